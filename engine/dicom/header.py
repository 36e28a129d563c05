"""Bytes of a DICOM file in, its whitelisted facts out, or why it has no picture to score."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

from cxrsweep.engine.decode.windowing import Window, WindowShape
from cxrsweep.engine.dicom import syntaxes
from cxrsweep.engine.dicom.damage import refused_if_damaged
from cxrsweep.engine.dicom.dataset import PREAMBLE_BYTES, PixelPlace, Read, read_file
from cxrsweep.engine.dicom.elements import Elements
from cxrsweep.engine.dicom.facts import (
    MODALITIES,
    MONOCHROME,
    OTHER,
    PHOTOMETRICS,
    VIEWS,
    DicomHeader,
    FileFacts,
    Greys,
    Photometric,
    Samples,
)
from cxrsweep.engine.dicom.lookups import lookup_of, palette_of
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits, check_size

_SHAPES: dict[str, WindowShape] = {"LINEAR_EXACT": "linear-exact", "SIGMOID": "sigmoid"}
_COLOURS = ("Red", "Green", "Blue")
_FIRST_GROUPS = (0x0002, 0x0008)  # of a file without preamble


def is_dicom(content: bytes) -> bool:
    """Whether the content looks like DICOM, with its preamble or without.

    Without one, the first two elements must be of group 0002 or 0008, in order, and the first must
    end inside the content: no image format begins like that.

    Source: PS3.10 section 7.1, PS3.5 section 7.1.
    """
    if content[128:PREAMBLE_BYTES] == b"DICM":
        return True
    order = {0x02: "little", 0x08: "little", 0x00: "big"}.get(content[0] if content else -1)
    if order == "big":
        return _starts_big_endian(content)
    if not order or content[1:2] != b"\0" or len(content) < 16:
        return False
    return _second_group_follows(content)


def _starts_big_endian(content: bytes) -> bool:
    vr = content[4:6]
    return content[:2] == b"\x00\x08" and len(vr) == 2 and vr.isalpha() and vr.isupper()


def _second_group_follows(content: bytes) -> bool:
    vr = content[4:6]
    if not (vr.isalpha() and vr.isupper()):
        end = 8 + int.from_bytes(content[4:8], "little")
    elif vr in (b"OB", b"UN", b"SQ", b"UT"):
        end = 12 + int.from_bytes(content[8:12], "little")
    else:
        end = 8 + int.from_bytes(content[6:8], "little")
    second = content[end : end + 4]
    if len(second) < 4:
        return False
    before, after = ((e[1] << 24) + (e[0] << 16) + (e[3] << 8) + e[2] for e in (content, second))
    return before < after and after >> 16 in _FIRST_GROUPS


def dicom_header(content: bytes, limits: Limits, frame: int | None = None) -> DicomHeader:
    """Read the whitelisted facts of one file; nothing is decoded.

    Args:
        content: a whole file that `is_dicom`.
        limits: of one frame, and of what a deflated file inflates to.
        frame: from 0, the only one that is going to be decoded, so that the file may end after it;
            None: all of them have to be there.

    Raises:
        Refused: TRUNCATED, CORRUPT, TOO_LARGE, UNSUPPORTED, or NO_PIXELS for objects that are no
            picture. The reason never quotes the header.
    """
    found = read_file(content, limits)
    if found.place is None:
        raise _without_pixels(found)
    header = _supported_header(found, found.place, limits)
    if frame is not None and frame >= header.frames:
        reason = f"frame {frame + 1} of a file with {header.frames}"
        raise Refused(FailureCode.CORRUPT, reason)
    _check_length(header, header.frames if frame is None else frame + 1, len(content))
    return header


def file_facts(content: bytes, limits: Limits) -> FileFacts:
    """Read what a sweep may want to know of a file before it is in the index.

    Args:
        content: the file, or its first bytes; `has_pixels` of the answer says whether they were
            enough.
        limits: as of `dicom_header`.

    Raises:
        Refused: as `dicom_header`, where the elements cannot be read.
    """
    found = read_file(content, limits)
    frames = 1
    if found.place:
        # What has no picture that is read, or too large a one, is one row that says so.
        with suppress(Refused):
            frames = _supported_header(found, found.place, limits).frames
    view = _listed(found.elements, "ViewPosition", VIEWS)
    uid = found.elements.uid("SOPInstanceUID")
    return FileFacts(frames, view, uid, found.place is not None)


def _supported_header(found: Read, place: PixelPlace, limits: Limits) -> DicomHeader:
    with refused_if_damaged("a DICOM lookup table"):  # pydicom parses its sequence only now
        header = _header(found, place)
    check_size(header.columns, header.rows, limits)
    _check_supported(header)
    return header


def _without_pixels(found: Read) -> Refused:
    known = ("SOPClassUID", "SOPInstanceUID", "Modality", "Rows")
    if not found.transfer_syntax and not any(keyword in found.elements for keyword in known):
        return Refused(FailureCode.CORRUPT, "the DICOM header names no object")
    return Refused(FailureCode.NO_PIXELS, "a DICOM object without pixel data")


def _header(found: Read, place: PixelPlace) -> DicomHeader:
    elements = found.elements
    samples = _samples(elements)
    frames = elements.numbers("NumberOfFrames")
    tables = [elements.stored_bytes(f"ExtendedOffsetTable{end}") for end in ("", "Lengths")]
    return DicomHeader(
        found.transfer_syntax,
        elements.word("Rows") or 0,
        elements.word("Columns") or 0,
        max(1, int(frames[0])) if frames else 1,
        samples,
        _greys(elements, samples),
        place,
        _listed(elements, "ViewPosition", VIEWS),
        _listed(elements, "Modality", MODALITIES),
        elements.uid("SOPInstanceUID"),
        (tables[0], tables[1]),
    )


def _listed(elements: Elements, keyword: str, known: frozenset[str]) -> str:
    if not elements.stored_bytes(keyword).strip(b" \0"):
        return ""
    code = elements.code(keyword)
    return code if code in known else OTHER


def _samples(elements: Elements) -> Samples:
    """Format of the samples; what the file leaves out is what one of its kind would have."""
    allocated = elements.word("BitsAllocated")
    if allocated is None:
        raise Refused(FailureCode.CORRUPT, "the DICOM header does not say BitsAllocated")
    stored = elements.word("BitsStored") or allocated
    high_bit = elements.word("HighBit")
    per_pixel = elements.word("SamplesPerPixel") or 1
    photometric = elements.code("PhotometricInterpretation")
    if "PhotometricInterpretation" not in elements:
        photometric = "MONOCHROME2" if per_pixel == 1 else "RGB"
    if photometric not in PHOTOMETRICS:
        raise Refused(FailureCode.UNSUPPORTED, "DICOM of another photometric interpretation")
    if not 1 <= stored <= allocated:
        raise Refused(FailureCode.CORRUPT, f"{stored} bits stored in {allocated} allocated")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    return Samples(
        allocated,
        stored,
        high_bit,
        elements.word("PixelRepresentation") == 1,
        per_pixel,
        elements.word("PlanarConfiguration") == 1,
        cast(Photometric, photometric),
    )


def _greys(elements: Elements, samples: Samples) -> Greys:
    if samples.photometric == "PALETTE COLOR":
        red, green, blue = (palette_of(elements, colour) for colour in _COLOURS)
        return Greys(palette=(red, green, blue))
    if samples.photometric not in MONOCHROME:
        return Greys()
    slopes, intercepts = elements.numbers("RescaleSlope"), elements.numbers("RescaleIntercept")
    # Both or neither, PS3.3 C.11.1; a slope of 0 would make every pixel the same.
    is_rescaled = bool(slopes and intercepts and slopes[0])
    return Greys(
        slopes[0] if is_rescaled else 1.0,
        intercepts[0] if is_rescaled else 0.0,
        lookup_of(elements, "ModalityLUTSequence", samples),
        lookup_of(elements, "VOILUTSequence", samples),
        _window(elements),
        _padding(elements),
    )


def _window(elements: Elements) -> Window | None:
    """The first legal window; several are alternatives, the first is what a viewer shows first."""
    shape = _SHAPES.get(elements.code("VOILUTFunction"), "linear")
    pairs = zip(elements.numbers("WindowCenter"), elements.numbers("WindowWidth"), strict=False)
    windows = (Window(centre, width, shape) for centre, width in pairs)
    return next((window for window in windows if window.is_legal), None)


def _padding(elements: Elements) -> tuple[int, int] | None:
    value = elements.word("PixelPaddingValue")
    if value is None:
        return None
    limit = elements.word("PixelPaddingRangeLimit")
    return value, value if limit is None else limit


def _check_supported(header: DicomHeader) -> None:
    samples = header.samples
    if header.transfer_syntax and header.transfer_syntax not in syntaxes.READ:
        name = syntaxes.name_of(header.transfer_syntax)
        raise Refused(FailureCode.UNSUPPORTED, f"DICOM in {name}")
    if header.place.is_float:
        raise Refused(FailureCode.UNSUPPORTED, "DICOM with floating-point pixels")
    if samples.allocated not in (1, 8, 16, 32):
        raise Refused(FailureCode.UNSUPPORTED, f"DICOM with {samples.allocated} bits allocated")
    has_one = samples.photometric in MONOCHROME or samples.photometric == "PALETTE COLOR"
    if samples.per_pixel != (1 if has_one else 3):
        raise Refused(
            FailureCode.UNSUPPORTED, f"{samples.photometric} with {samples.per_pixel} samples"
        )
    if samples.photometric not in MONOCHROME and samples.allocated == 1:
        raise Refused(FailureCode.UNSUPPORTED, f"{samples.photometric} of 1 bit")
    if samples.photometric == "PALETTE COLOR" and samples.allocated == 32:
        raise Refused(FailureCode.UNSUPPORTED, "PALETTE COLOR of 32 bits")
    if samples.photometric == "YBR_FULL_422" and header.place.length and header.columns % 2:
        raise Refused(FailureCode.CORRUPT, f"YBR_FULL_422 with {header.columns} columns")


def frame_bits(header: DicomHeader) -> int:
    """Bits of one native frame.

    Source: PS3.3 C.7.6.3.1.2: YBR_FULL_422 stores two samples of colour for two pixels.
    """
    samples = header.samples
    per_pixel = 2 if samples.photometric == "YBR_FULL_422" else samples.per_pixel
    return header.rows * header.columns * per_pixel * samples.allocated


def bytes_of(header: DicomHeader, frames: int) -> int:
    """Bytes of the first native frames; those of single bits share bytes."""
    return -(-frame_bits(header) * frames // 8)


def _check_length(header: DicomHeader, frames: int, size: int) -> None:
    """Refuse native pixels that cannot all be there; what is deflated is found out on decoding."""
    place = header.place
    if place.length is None:
        return
    needed = bytes_of(header, frames)
    if place.length < needed:
        raise Refused(
            FailureCode.TRUNCATED, f"{place.length} bytes of pixels where {needed} are declared"
        )
    if place.deflated_from is None and place.start + needed > size:
        raise Refused(
            FailureCode.TRUNCATED, f"the pixels end at byte {place.start + needed} of {size}"
        )
