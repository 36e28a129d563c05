"""The gate: bytes of a file in, the kind of radiograph they hold out, or why they are refused.

Nothing is decoded here. JPEG and PNG are walked strictly, because some files that a decoder accepts
make DALI's parsers overrun their buffers; other formats only get their header read.
"""

from __future__ import annotations

import io

from PIL import BmpImagePlugin, ImageFile, TiffImagePlugin, WebPImagePlugin

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate import jpeg_walk, png_walk
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
    "tiff": TiffImagePlugin.TiffImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
_BITS_BY_MODE = {"1": 1, "L": 8, "LA": 8, "P": 8, "PA": 8, "RGB": 8, "RGBA": 8, "RGBX": 8}
_BITS_BY_MODE |= {"CMYK": 8, "YCbCr": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}
_BITS_PER_SAMPLE = 258
MOST_BITS: dict[Kind, int] = {"png": 16, "tiff": 16}  # of other kinds 8
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_TIFF = (b"II*\0", b"MM\0*")
_NOT_READ: tuple[tuple[bytes, int, str], ...] = (
    (b"GIF8", 0, "GIF"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"\0\0\0\x0cJXL ", 0, "JPEG XL"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftyphei", 4, "HEIF"),
    (b"II+\0", 0, "BigTIFF"),
    (b"MM\0+", 0, "BigTIFF"),
    (b"PK\x03\x04", 0, "a zip within an archive"),
    (b"\x1f\x8b", 0, "a gzip file"),
    (b"\x28\xb5\x2f\xfd", 0, "a zstd file"),
    (b"ustar", 257, "a tar within an archive"),
    *((b"P%d\n" % number, 0, "PNM") for number in range(1, 8)),
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
        header = _header_by_pillow(content, _kind_of(content))
        check_size(header.width, header.height, limits)
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
    return Header("dicom", found.columns, found.rows, found.samples.stored, frame=frame)


def _kind_of(content: bytes) -> Kind:
    """Kind of a file that is neither JPEG nor PNG, by its first bytes."""
    if content.startswith(_TIFF):
        return "tiff"
    if content.startswith(b"RIFF") and content.startswith(b"WEBP", 8):
        return "webp"
    # "BM" alone may begin a text; the size of the second header tells.
    if content.startswith(b"BM") and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    for magic, offset, name in _NOT_READ:
        if content.startswith(magic, offset):
            raise Refused(FailureCode.UNSUPPORTED, f"{name} is not read yet")
    raise Refused(FailureCode.NOT_AN_IMAGE, "the content starts like no known image format")


def _header_by_pillow(content: bytes, kind: Kind) -> Header:
    """Header of BMP, TIFF and WebP; Pillow parses it without decoding."""
    declared = int.from_bytes(content[4:8], "little") + 8
    if kind == "webp" and declared > len(content):
        raise Refused(FailureCode.TRUNCATED, f"webp declares {declared} bytes, has {len(content)}")
    try:
        with _PILLOW[kind](io.BytesIO(content)) as image:
            bits = _bits_of(image)
            # Of TIFF, Pillow gives the turned size and OpenCV the turned pixels, asked or not.
            turned = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
            orientation = UPRIGHT if kind == "tiff" else legal_orientation(turned)
            width, height = image.size
    except Exception as error:  # Pillow's parsers raise anything on odd bytes
        raise Refused(
            FailureCode.CORRUPT, f"{kind} header is damaged ({type(error).__name__})"
        ) from error
    if bits is None:
        raise Refused(FailureCode.UNSUPPORTED, f"{kind} with samples of an unusual kind")
    return Header(kind, width, height, bits, orientation)


def _bits_of(image: ImageFile.ImageFile) -> int | None:
    """Bits per sample; a colour TIFF of 16 bits has Pillow's mode for 8."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        declared = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
        if max(declared) > 8:
            return int(max(declared))
    return _BITS_BY_MODE.get(image.mode)
