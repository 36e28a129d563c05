"""The gate: bytes of one file in, what kind of radiograph they hold out, or the reason to refuse them.

Nothing is decoded here. JPEG and PNG are walked strictly, because some files that a decoder accepts
make DALI's parsers overrun their buffers; other formats only get their header read.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from cxrsweep.engine.failures import FailureCode, Refused

Kind = Literal["jpeg", "png", "bmp", "tiff", "webp"]

MAX_PROGRESSIVE_SCANS = 100  # a 58 KB file with 1,000 scans keeps a decoder busy for 10 s
ORIENTATION_TAG = 0x0112
UPRIGHT = 1


@dataclass(frozen=True)
class Header:
    """What the gate learnt about one file.

    Attributes:
        kind: format by content.
        width, height: size as stored, in pixels, before any EXIF turn.
        bits: per sample.
        orientation: EXIF orientation 1 to 8.
    """

    kind: Kind
    width: int
    height: int
    bits: int
    orientation: int = UPRIGHT

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height after the EXIF turn, in pixels."""
        turned = self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


@dataclass(frozen=True)
class Limits:
    """What is refused before decoding.

    Attributes:
        megapixels: largest width times height, in millions.
        mebibytes: largest file.
    """

    megapixels: float = 100.0
    mebibytes: float = 512.0


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
    if content.startswith(b"\xff\xd8\xff"):
        header = _jpeg_header(content)
    elif content.startswith(b"\x89PNG\r\n\x1a\n"):
        header = _png_header(content, limits)
    else:
        header = _header_by_pillow(content)
    check_size(header.width, header.height, limits)
    if header.bits > 8:
        raise Refused(
            FailureCode.UNSUPPORTED, f"{header.kind} with {header.bits} bits per sample, not 8"
        )
    return header


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse an empty or oversized radiograph.

    Raises:
        Refused: CORRUPT without pixels, TOO_LARGE above the limit.
    """
    if width <= 0 or height <= 0:
        raise Refused(FailureCode.CORRUPT, f"the header declares {width} x {height} pixels")
    if width * height > limits.megapixels * 1e6:
        raise Refused(
            FailureCode.TOO_LARGE,
            f"the header declares {width} x {height} pixels, over {limits.megapixels:g} megapixels",
        )


# Markers of ITU T.81, table B.1. TEM and RSTn have no length; in a file's header they have no
# business, and DALI's parser reads a length after them.
_SOI, _EOI, _SOS, _APP1, _DNL = 0xD8, 0xD9, 0xDA, 0xE1, 0xDC
_LENGTHLESS = frozenset({0x00, 0x01, 0xFF, *range(0xD0, 0xD9)})
_FRAMES = frozenset(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC})
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2


def _jpeg_header(content: bytes) -> Header:
    position, frame, orientation = 2, None, UPRIGHT
    size = len(content)
    while True:
        if position + 4 > size:
            raise Refused(FailureCode.TRUNCATED, f"JPEG ends in its header, after {size} bytes")
        if content[position] != 0xFF:
            raise Refused(FailureCode.CORRUPT, f"no JPEG marker at byte {position}")
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte, T.81 B.1.1.2
            position += 1
            continue
        if marker in _LENGTHLESS or marker in (_EOI, _DNL):
            raise Refused(FailureCode.CORRUPT, f"JPEG marker FF{marker:02X} in the header")
        length = content[position + 2] << 8 | content[position + 3]
        end = position + 2 + length
        if length < 2:
            raise Refused(FailureCode.CORRUPT, f"JPEG segment of {length} bytes at {position}")
        if end > size:
            raise Refused(FailureCode.TRUNCATED, f"JPEG ends in its header, after {size} bytes")
        if marker in _FRAMES:
            if frame:
                raise Refused(FailureCode.CORRUPT, "JPEG with two frame headers")
            frame = (marker, *_jpeg_frame(content, position, length))
        elif marker == _APP1 and content[position + 4 : position + 10] == b"Exif\0\0":
            orientation = _exif_orientation(content[position + 10 : end], orientation)
        elif marker == _SOS:
            break
        position = end
    if not frame:
        raise Refused(FailureCode.CORRUPT, "JPEG scan before any frame header")
    process, bits, width, height = frame
    _check_jpeg_scans(content, end, process)
    if process not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
        raise Refused(FailureCode.UNSUPPORTED, f"JPEG process SOF{process - 0xC0}")
    return Header("jpeg", width, height, bits, orientation)


def _jpeg_frame(content: bytes, position: int, length: int) -> tuple[int, int, int]:
    """Bits, width and height of a frame header, T.81 B.2.2."""
    if length < 8:
        raise Refused(FailureCode.CORRUPT, f"JPEG frame header of {length} bytes")
    bits, height, width, components = struct.unpack_from(">BHHB", content, position + 4)
    if components not in (1, 3, 4) or length != 8 + 3 * components:
        raise Refused(FailureCode.CORRUPT, f"JPEG frame of {components} components, {length} bytes")
    if height == 0:
        raise Refused(FailureCode.UNSUPPORTED, "JPEG that declares its height after the pixels")
    return bits, width, height


def _check_jpeg_scans(content: bytes, first: int, process: int) -> None:
    # Entropy-coded data never holds FFD9 (FF is stuffed), so a search for it is a walk to the end.
    if content.rfind(b"\xff\xd9", first) < 0:
        raise Refused(FailureCode.TRUNCATED, f"JPEG of {len(content)} bytes has no end marker")
    if process == _PROGRESSIVE and content.count(b"\xff\xda", first) >= MAX_PROGRESSIVE_SCANS:
        raise Refused(FailureCode.TOO_LARGE, f"JPEG with over {MAX_PROGRESSIVE_SCANS} scans")


_PNG_CHANNELS_BITS = {
    0: (1, 2, 4, 8, 16),
    2: (8, 16),
    3: (1, 2, 4, 8),
    4: (8, 16),
    6: (8, 16),
}  # colour type -> legal bit depths, PNG 11.2.1


def _png_header(content: bytes, limits: Limits) -> Header:
    size, position, orientation = len(content), 8, UPRIGHT
    header: tuple[int, int, int] | None = None
    has_pixels = has_exif = False
    view = memoryview(content)
    while True:
        if position + 12 > size:
            raise Refused(FailureCode.TRUNCATED, f"PNG ends after {size} bytes without IEND")
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if header is None and name != b"IHDR":
            raise Refused(FailureCode.CORRUPT, "PNG does not start with IHDR")
        if end > size:
            raise Refused(FailureCode.TRUNCATED, f"PNG ends after {size} bytes, in a chunk")
        crc = int.from_bytes(view[end - 4 : end], "big")
        if zlib.crc32(view[position + 4 : end - 4]) != crc:
            raise Refused(FailureCode.CORRUPT, f"PNG chunk at byte {position}: checksum is wrong")
        if name == b"IHDR":
            if header:
                raise Refused(FailureCode.CORRUPT, "PNG with two IHDR chunks")
            header = _png_ihdr(content, length)
            check_size(header[0], header[1], limits)
        elif name == b"eXIf":
            if has_exif:
                raise Refused(FailureCode.CORRUPT, "PNG with two eXIf chunks")
            has_exif = True
            orientation = _exif_orientation(content[position + 8 : end - 4], orientation)
        elif name == b"IDAT":
            has_pixels = True
        elif name == b"IEND":
            break
        position = end
    if not has_pixels or header is None:
        raise Refused(FailureCode.CORRUPT, "PNG without pixels")
    return Header("png", *header, orientation)


def _png_ihdr(content: bytes, length: int) -> tuple[int, int, int]:
    """Width, height and bits of a PNG."""
    if length != 13:
        raise Refused(FailureCode.CORRUPT, f"PNG IHDR of {length} bytes")
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    if bits not in _PNG_CHANNELS_BITS.get(colour, ()):
        raise Refused(FailureCode.CORRUPT, f"PNG of colour type {colour} with {bits} bits")
    return width, height, bits


_KIND_BY_PILLOW: dict[str, Kind] = {"BMP": "bmp", "TIFF": "tiff", "WEBP": "webp"}
_BITS_BY_MODE = {"1": 1, "L": 8, "LA": 8, "P": 8, "PA": 8, "RGB": 8, "RGBA": 8, "RGBX": 8}
_BITS_BY_MODE |= {"CMYK": 8, "YCbCr": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}
_MAGIC: tuple[tuple[bytes, int, str], ...] = (
    (b"BM", 0, "BMP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"WEBP", 8, "WEBP"),
)
_KNOWN_OTHERS: tuple[tuple[bytes, int, str], ...] = (
    (b"DICM", 128, "DICOM"),
    (b"GIF8", 0, "GIF"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"ftypavif", 4, "AVIF"),
    (b"II+\0", 0, "BigTIFF"),
    (b"MM\0+", 0, "BigTIFF"),
)


def _has_magic(content: bytes, magic: bytes, offset: int) -> bool:
    return content[offset : offset + len(magic)] == magic


def _header_by_pillow(content: bytes) -> Header:
    """Header of BMP, TIFF and WebP; Pillow parses it without decoding."""
    names = [name for magic, offset, name in _MAGIC if _has_magic(content, magic, offset)]
    if not names:
        for magic, offset, name in _KNOWN_OTHERS:
            if _has_magic(content, magic, offset):
                raise Refused(FailureCode.UNSUPPORTED, f"{name} is not read yet")
        raise Refused(FailureCode.NOT_AN_IMAGE, "the content starts like no known image format")
    declared = int.from_bytes(content[4:8], "little") + 8
    if names[0] == "WEBP" and declared > len(content):
        raise Refused(
            FailureCode.TRUNCATED, f"WebP declares {declared} bytes, has {len(content)}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its warning about pixel counts repeats our own limit
            with Image.open(io.BytesIO(content), formats=names) as image:
                bits = _BITS_BY_MODE.get(image.mode)
                orientation = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise Refused(FailureCode.TOO_LARGE, f"{names[0]} header: too many pixels") from error
    except Exception as error:  # noqa: BLE001 (Pillow's parsers raise anything on odd bytes)
        raise Refused(
            FailureCode.CORRUPT, f"{names[0]} header is damaged ({type(error).__name__})"
        ) from error
    if bits is None:
        raise Refused(FailureCode.UNSUPPORTED, f"{names[0]} with samples of an unusual kind")
    return Header(_KIND_BY_PILLOW[names[0]], width, height, bits, _legal(orientation))


def _exif_orientation(exif: bytes, otherwise: int) -> int:
    """Orientation of an EXIF block (a TIFF structure); a damaged block counts as upright."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if not order or len(exif) < 14:
        return otherwise
    (offset,) = struct.unpack_from(f"{order}I", exif, 4)
    if offset + 2 > len(exif):
        return otherwise
    (count,) = struct.unpack_from(f"{order}H", exif, offset)
    for entry in range(offset + 2, min(offset + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", exif, entry)
        if tag == ORIENTATION_TAG and kind == 3 and values == 1:
            return _legal(value)
    return otherwise


def _legal(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT
