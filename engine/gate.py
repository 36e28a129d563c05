"""The gate: bytes of a file in, the kind of radiograph they hold out, or why they are refused.

Nothing is decoded here. JPEG and PNG are walked strictly, because some files that a decoder accepts
make DALI's parsers overrun their buffers; other formats only get their header read.
"""

from __future__ import annotations

import io
import warnings

from PIL import Image

from cxrsweep.engine import jpeg_walk, png_walk
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.header import (
    ORIENTATION_TAG,
    UPRIGHT,
    Header,
    Kind,
    Limits,
    check_size,
    legal_orientation,
)

Magic = tuple[bytes, int, str]

_KIND_BY_PILLOW: dict[str, Kind] = {"BMP": "bmp", "TIFF": "tiff", "WEBP": "webp"}
_BITS_BY_MODE = {"1": 1, "L": 8, "LA": 8, "P": 8, "PA": 8, "RGB": 8, "RGBA": 8, "RGBX": 8}
_BITS_BY_MODE |= {"CMYK": 8, "YCbCr": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}
_READ: tuple[Magic, ...] = (
    (b"BM", 0, "BMP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"WEBP", 8, "WEBP"),
)
_NOT_READ: tuple[Magic, ...] = (
    (b"DICM", 128, "DICOM"),
    (b"GIF8", 0, "GIF"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"ftypavif", 4, "AVIF"),
    (b"II+\0", 0, "BigTIFF"),
    (b"MM\0+", 0, "BigTIFF"),
)


def header_of(content: bytes, limits: Limits) -> Header:
    """Check one file.

    Args:
        content: the whole file.
        limits: sizes that are refused.

    Returns:
        its header; the content may still fail to decode.

    Raises:
        Refused: EMPTY, NOT_AN_IMAGE, TRUNCATED, CORRUPT, TOO_LARGE or UNSUPPORTED.
    """
    if not content:
        raise Refused(FailureCode.EMPTY, "the file has no bytes")
    if content.startswith(jpeg_walk.SIGNATURE):
        header = jpeg_walk.jpeg_header(content, limits)
    elif content.startswith(png_walk.SIGNATURE):
        header = png_walk.png_header(content, limits)
    else:
        header = _header_by_pillow(content, _format_of(content))
        check_size(header.width, header.height, limits)
    if header.bits > 8:
        raise Refused(
            FailureCode.UNSUPPORTED, f"{header.kind} with {header.bits} bits per sample, not 8"
        )
    return header


def _format_of(content: bytes) -> str:
    """Pillow's name of the format, by its first bytes."""
    for magic, offset, name in _READ:
        if content.startswith(magic, offset):
            return name
    for magic, offset, name in _NOT_READ:
        if content.startswith(magic, offset):
            raise Refused(FailureCode.UNSUPPORTED, f"{name} is not read yet")
    raise Refused(FailureCode.NOT_AN_IMAGE, "the content starts like no known image format")


def _header_by_pillow(content: bytes, name: str) -> Header:
    """Header of BMP, TIFF and WebP; Pillow parses it without decoding."""
    declared = int.from_bytes(content[4:8], "little") + 8
    if name == "WEBP" and declared > len(content):
        raise Refused(FailureCode.TRUNCATED, f"WebP declares {declared} bytes, has {len(content)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its warning about pixel counts repeats our own limit
            with Image.open(io.BytesIO(content), formats=[name]) as image:
                bits = _BITS_BY_MODE.get(image.mode)
                # Of TIFF, Pillow gives the turned size and OpenCV the turned pixels, asked or not.
                turned = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
                orientation = UPRIGHT if name == "TIFF" else legal_orientation(turned)
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise Refused(FailureCode.TOO_LARGE, f"{name} header: too many pixels") from error
    except Exception as error:  # Pillow's parsers raise anything on odd bytes
        raise Refused(
            FailureCode.CORRUPT, f"{name} header is damaged ({type(error).__name__})"
        ) from error
    if bits is None:
        raise Refused(FailureCode.UNSUPPORTED, f"{name} with samples of an unusual kind")
    return Header(_KIND_BY_PILLOW[name], width, height, bits, orientation)
