"""Content of a DICOM file in, its elements before the pixels and the pixels' place out.

pydicom does the reading. It is kept from converting any value that pixels do not need: that is
where most of its time goes, where it warns with text of the header, and where damage trips it.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from struct import Struct

from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from cxrsweep.engine.dicom.damage import refused_if_damaged
from cxrsweep.engine.dicom.elements import Elements, tag_of
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits

# What pydicom still says about nested damage; the file is refused or read all the same. Not
# catch_warnings: it is not safe in threads.
warnings.filterwarnings("ignore", module=r"pydicom\.")

PREAMBLE_BYTES = 132
UNDEFINED_LENGTH = 0xFFFFFFFF
MAX_ELEMENTS = 20_000  # of the top level; a radiograph has about 100
_FLOAT_PIXELS, _DOUBLE_PIXELS, _PIXELS = 0x7FE00008, 0x7FE00009, 0x7FE00010
_CHARACTER_SET = 0x00080005
_FIRST_INFLATED = 1 << 16

_META_TAGS = [tag_of("MediaStorageSOPClassUID"), tag_of("TransferSyntaxUID")]
_KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality ViewPosition SamplesPerPixel PhotometricInterpretation
    PlanarConfiguration NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit
    PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit WindowCenter WindowWidth
    VOILUTFunction RescaleIntercept RescaleSlope ModalityLUTSequence VOILUTSequence
    RedPaletteColorLookupTableDescriptor RedPaletteColorLookupTableData
    GreenPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableData
    BluePaletteColorLookupTableDescriptor BluePaletteColorLookupTableData
    ExtendedOffsetTable ExtendedOffsetTableLengths
"""
_WANTED = [tag_of(keyword) for keyword in _KEYWORDS.split()]


@dataclass(frozen=True)
class PixelPlace:
    """Where the pixels lie.

    Attributes:
        start: first byte of the value, in the inflated content where that is deflated.
        length: of the value in bytes; None where it is encapsulated in fragments.
        is_little_endian: byte order of native pixels.
        deflated_from: first deflated byte of the file; None where nothing is deflated.
        is_float: whether the samples are floating-point numbers.
        is_words: whether native pixels are written as 16-bit words (OW), whatever their size.
    """

    start: int
    length: int | None
    is_little_endian: bool
    deflated_from: int | None = None
    is_float: bool = False
    is_words: bool = False


@dataclass(frozen=True)
class Read:
    """What a file holds: elements, its transfer syntax or "", the place of its pixels if any."""

    elements: Elements
    transfer_syntax: str
    place: PixelPlace | None


def read_file(content: bytes, limits: Limits) -> Read:
    """Read the elements before the pixels.

    Args:
        content: a whole file that `is_dicom`.
        limits: bound what a deflated file inflates to.

    Raises:
        Refused: TRUNCATED, CORRUPT or TOO_LARGE.
    """
    with refused_if_damaged("the DICOM header"):
        return _read_file(content, limits)


def _read_file(content: bytes, limits: Limits) -> Read:
    start = PREAMBLE_BYTES if content[128:PREAMBLE_BYTES] == b"DICM" else 0
    first = start
    meta, start = _file_meta(content, first)
    syntax = meta.uid("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        return _read_deflated(content, start, limits)
    elements, place, end = _read_body(content, start, syntax)
    if place is None and _ends_within_a_head(content, first, start, syntax):
        end = len(content) + 1
    _check_whole(elements, place, end, len(content))
    return Read(elements, syntax, place)


def _check_whole(elements: Elements, place: PixelPlace | None, end: int, size: int) -> None:
    if place is None and (end > size or not elements.is_whole()):
        raise Refused(FailureCode.TRUNCATED, f"DICOM ends in its header, after {size} bytes")


def _file_meta(content: bytes, start: int) -> tuple[Elements, int]:
    """Group 0002, always little endian, and where the data set after it begins."""
    stream = BytesIO(content)
    stream.seek(start)
    dataset = _elements(
        stream, _is_implicit(content, start), True, _META_TAGS, lambda tag: tag >> 16 != 2
    )
    return Elements(dataset, True), stream.tell()


def _read_deflated(content: bytes, start: int, limits: Limits) -> Read:
    """Inflate no more than the header needs: a little first, then sixteen times as much.

    Source: PS3.5 A.5: the data set is one raw deflate stream.
    """
    most = int(limits.mebibytes * 2**20)
    size = _FIRST_INFLATED
    while True:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        body = inflater.decompress(memoryview(content)[start:], min(size, most))
        elements, place, end = _read_body(body, 0, DeflatedExplicitVRLittleEndian)
        if place is not None:
            place = replace(place, deflated_from=start)
            return Read(elements, DeflatedExplicitVRLittleEndian, place)
        if len(body) < min(size, most):
            _check_whole(elements, None, end if inflater.eof else len(body) + 1, len(body))
            return Read(elements, DeflatedExplicitVRLittleEndian, None)
        if size >= most:
            raise Refused(FailureCode.TOO_LARGE, f"inflates to over {limits.mebibytes:g} MiB")
        size *= 16


def _read_body(content: bytes, start: int, syntax: str) -> tuple[Elements, PixelPlace | None, int]:
    """Elements up to the pixels, the pixels' place, and where reading stopped."""
    is_implicit, is_little_endian = encoding_of(content, start, syntax)
    stream = BytesIO(content)
    stream.seek(start)
    # pydicom converts the character set at once and warns with its text; it is stepped over.
    before = _elements(
        stream, is_implicit, is_little_endian, _WANTED, lambda tag: tag >= _CHARACTER_SET
    )
    _step_over_character_set(stream, is_little_endian)
    dataset = _elements(
        stream, is_implicit, is_little_endian, _WANTED, lambda tag: tag >= _FLOAT_PIXELS
    )
    dataset.update(before)
    place = _pixel_place(content, stream.tell(), is_little_endian)
    return Elements(dataset, is_little_endian), place, stream.tell()


class _NotedStream(BytesIO):
    """Notes whether a read came upon the end."""

    is_short = False

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.is_short |= 0 < len(found) < (size or 0)
        return found


def _ends_within_a_head(content: bytes, first: int, start: int, syntax: str) -> bool:
    """Whether a file ends within the head of an element, which pydicom passes over.

    Args:
        content: of a file without pixels.
        first: where its first element begins.
        start: where its data set begins.
        syntax: its transfer syntax, or "".
    """
    stream = _NotedStream(content)
    stream.seek(first)
    _elements(stream, _is_implicit(content, first), True, [], lambda tag: tag >> 16 != 2)
    if not stream.is_short:
        stream.seek(start)
        encoding = encoding_of(content, start, syntax)
        _elements(stream, *encoding, [], lambda tag: tag >= _FLOAT_PIXELS)
    return stream.is_short


def encoding_of(content: bytes, start: int, syntax: str) -> tuple[bool, bool]:
    """Whether a data set is implicit and whether it is little endian.

    The bytes say which VR encoding it is, as some files declare the other; the transfer syntax says
    the byte order, and where it is unknown the first group does.
    """
    is_implicit = _is_implicit(content, start)
    if syntax and syntax != ImplicitVRLittleEndian:
        return is_implicit, syntax != ExplicitVRBigEndian
    first_group = int.from_bytes(content[start : start + 2], "little")
    return is_implicit, is_implicit or first_group < 0x0400


def _is_implicit(content: bytes, start: int) -> bool:
    """No two capitals where an explicit VR would be: a first length above 16,705 has them."""
    vr = content[start + 4 : start + 6]
    return not (len(vr) == 2 and vr.isalpha() and vr.isupper())


def _elements(
    stream: BytesIO,
    is_implicit: bool,
    is_little_endian: bool,
    wanted: list[BaseTag],
    is_end: Callable[[int], bool],
) -> Dataset:
    """Wanted elements, unconverted, from the stream's position up to the first end tag."""
    seen = 0

    def _stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal seen
        seen += 1
        # No file has group 0000, but one whose rest was zeroed has a million of its elements.
        if tag < 0x00010000:
            raise Refused(FailureCode.CORRUPT, "the DICOM header is damaged (an element 0000)")
        if seen > MAX_ELEMENTS:
            raise Refused(FailureCode.CORRUPT, f"DICOM with over {MAX_ELEMENTS} elements")
        return is_end(tag)

    found = data_element_generator(
        stream, is_implicit, is_little_endian, _stop, specific_tags=list(wanted)
    )
    return Dataset({element.tag: element for element in found})


def _step_over_character_set(stream: BytesIO, is_little_endian: bool) -> None:
    """Move past (0008,0005) if it is next; its VR, CS, has a length of 2 bytes."""
    start = stream.tell()
    tag, length, _ = _element_head(stream.read(12), is_little_endian)
    stream.seek(start + (8 + length if tag == _CHARACTER_SET else 0))


def _pixel_place(content: bytes, position: int, is_little_endian: bool) -> PixelPlace | None:
    tag, length, size = _element_head(content[position : position + 12], is_little_endian)
    if tag not in (_FLOAT_PIXELS, _DOUBLE_PIXELS, _PIXELS):
        return None
    return PixelPlace(
        position + size,
        None if length == UNDEFINED_LENGTH else length,
        is_little_endian,
        is_float=tag != _PIXELS,
        is_words=content[position + 4 : position + 6] == b"OW",
    )


def _element_head(head: bytes, is_little_endian: bool) -> tuple[int, int, int]:
    """Tag, length of the value and bytes before it, for either VR encoding; tag 0 at the end.

    Source: PS3.5 section 7.1. No implicit length looks like a VR: the letters make it odd.
    """
    order = "><"[is_little_endian]
    if len(head) < 8:
        return 0, 0, 0
    group, number, length = Struct(f"{order}HHL").unpack(head[:8])
    vr = head[4:6]
    if vr in (b"OB", b"OW", b"OF", b"OD", b"UN") and len(head) == 12:
        return group << 16 | number, Struct(f"{order}L").unpack(head[8:])[0], 12
    if vr.isalpha() and vr.isupper():
        return group << 16 | number, Struct(f"{order}H").unpack(head[6:8])[0], 8
    return group << 16 | number, length, 8
