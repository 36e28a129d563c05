"""The gate: bytes of a file in, the kind of radiograph they hold out, or why they are refused.

Nothing is decoded here. JPEG and PNG are walked strictly, because some files that a decoder accepts
make DALI's parsers overrun their buffers; of other formats the header is read, and as much of what
follows as tells that it is there.
"""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import BmpImagePlugin, Image, ImageFile, WebPImagePlugin

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate import (
    avif_walk,
    codestream_walk,
    gif_walk,
    jpeg_walk,
    jpeg_xl_walk,
    png_walk,
    pnm_walk,
    tiff_walk,
)
from cxrsweep.engine.gate.header import (
    ORIENTATION_TAG,
    UPRIGHT,
    Header,
    Kind,
    Limits,
    check_size,
    legal_orientation,
)

# The classes themselves: Image.open adds a limit of pixels that cannot be set for one call.
_PILLOW: dict[Kind, type[ImageFile.ImageFile]] = {
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
_BITS_BY_MODE = {"1": 1, "L": 8, "LA": 8, "P": 8, "RGB": 8, "RGBA": 8, "RGBX": 8}
MOST_BITS: dict[Kind, int] = {  # of other kinds 8
    **{"png": 16, "jpeg": 12, "jpeglossless": 16, "jpegls": 16, "jpeg2000": 16},
    **{"jpegxl": 32, "avif": 12, "tiff": 64, "pnm": 32},
}
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_WALKS: tuple[tuple[bytes, int, Callable[[bytes, Limits], Header]], ...] = (
    *((magic, 0, tiff_walk.tiff_header) for magic in tiff_walk.SIGNATURES),
    (codestream_walk.BOXED, 0, codestream_walk.jpeg_2000_header),
    (codestream_walk.CODESTREAM, 0, codestream_walk.jpeg_2000_header),
    (jpeg_xl_walk.BOXED, 0, jpeg_xl_walk.jpeg_xl_header),
    (jpeg_xl_walk.CODESTREAM, 0, jpeg_xl_walk.jpeg_xl_header),
    (gif_walk.SIGNATURE, 0, gif_walk.gif_header),
    *((magic, 4, avif_walk.avif_header) for magic in avif_walk.SIGNATURES),
)
_NOT_READ: tuple[tuple[bytes, int, str], ...] = (
    (b"ftyphei", 4, "HEIF"),
    (b"ftyphev", 4, "HEIF"),
    (b"ftypmif1", 4, "HEIF"),
    (b"PK\x03\x04", 0, "a zip within an archive"),
    (b"\x1f\x8b", 0, "a gzip file"),
    (b"\x28\xb5\x2f\xfd", 0, "a zstd file"),
    (b"ustar", 257, "a tar within an archive"),
)


def header_of(content: bytes, limits: Limits, frame: int = 0) -> Header:
    """Check one file.

    Args:
        content: the whole file.
        limits: sizes that are refused.
        frame: of a DICOM file, as of Header.

    Returns:
        its header; the content may still fail to decode.

    Raises:
        Refused: EMPTY, NOT_AN_IMAGE, TRUNCATED, CORRUPT, TOO_LARGE, UNSUPPORTED or NO_PIXELS.
    """
    if not content:
        raise Refused(FailureCode.EMPTY, "the file has no bytes")
    if content.startswith(jpeg_walk.SIGNATURE):
        header = jpeg_walk.jpeg_header(content, limits)
    elif content.startswith(png_walk.SIGNATURE):
        header = png_walk.png_header(content, limits)
    elif holds_dicom(content):
        return _header_of_dicom(content, limits, frame)
    else:
        header = _header_by_signature(content, limits)
    if header.bits > MOST_BITS.get(header.kind, 8):
        raise Refused(FailureCode.UNSUPPORTED, f"{header.kind} with {header.bits} bits per sample")
    return header


def holds_dicom(content: bytes) -> bool:
    """Whether a file, of which the first bytes suffice, is taken for DICOM."""
    if content.startswith((jpeg_walk.SIGNATURE, png_walk.SIGNATURE)):
        return False
    # Whether it is worth asking: a preamble, or the first byte of a group that comes first.
    if content[128:132] != b"DICM" and content[:1] not in (b"\x00", b"\x02", b"\x08"):
        return False
    from cxrsweep.engine.dicom.header import is_dicom  # pydicom takes 0.2 s to import

    return is_dicom(content)


def _header_of_dicom(content: bytes, limits: Limits, frame: int) -> Header:
    from cxrsweep.engine.dicom.header import dicom_header

    found = dicom_header(content, limits, frame - 1 if frame else None)
    bits, is_native = found.samples.stored, found.has_native_greys
    return Header("dicom", found.columns, found.rows, bits, frame=frame, is_native=is_native)


def _header_by_signature(content: bytes, limits: Limits) -> Header:
    """Header of a file that is neither JPEG, PNG nor DICOM, by its first bytes."""
    for magic, offset, walk in _WALKS:
        if content.startswith(magic, offset):
            return walk(content, limits)
    if content.startswith(b"RIFF") and content.startswith(b"WEBP", 8):
        return _header_by_pillow(content, "webp", limits)
    # "BM" alone may begin a text; the size of the second header tells.
    if content.startswith(b"BM") and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return _header_by_pillow(content, "bmp", limits)
    if pnm_walk.is_pnm(content):
        return pnm_walk.pnm_header(content, limits)
    for magic, offset, name in _NOT_READ:
        if content.startswith(magic, offset):
            raise Refused(FailureCode.UNSUPPORTED, f"{name} is not read")
    raise Refused(FailureCode.NOT_AN_IMAGE, "the content starts like no known image format")


def _header_by_pillow(content: bytes, kind: Kind, limits: Limits) -> Header:
    """Header of BMP and WebP; Pillow parses it without decoding."""
    declared = int.from_bytes(content[4:8], "little") + 8
    if kind == "webp" and declared > len(content):
        raise Refused(FailureCode.TRUNCATED, f"webp declares {declared} bytes, has {len(content)}")
    try:
        with _PILLOW[kind](io.BytesIO(content)) as image:
            bits = _BITS_BY_MODE.get(image.mode)
            orientation = legal_orientation(image.getexif().get(ORIENTATION_TAG, UPRIGHT))
            width, height = image.size
    except Image.DecompressionBombError as error:
        # Of WebP, the class itself holds to Pillow's limit, before it makes room for the pixels.
        raise Refused(
            FailureCode.TOO_LARGE, f"{kind} of over 178 megapixels, more than is ever read"
        ) from error
    except Exception as error:  # Pillow's parsers raise anything on odd bytes
        raise Refused(
            FailureCode.CORRUPT, f"{kind} header is damaged ({type(error).__name__})"
        ) from error
    check_size(width, height, limits)
    if bits is None:
        raise Refused(FailureCode.UNSUPPORTED, f"{kind} with samples of an unusual kind")
    return Header(kind, width, height, bits, orientation)
