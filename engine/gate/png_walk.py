"""Walks a PNG strictly, chunk by chunk with checksums, without decoding it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import UPRIGHT, Header, Limits, check_size, exif_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Colour type -> legal bit depths, PNG specification 11.2.1.
_LEGAL_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def png_header(content: bytes, limits: Limits) -> Header:
    """Check a whole PNG file.

    Args:
        content: starts with SIGNATURE.
        limits: of the declared size, checked before anything else is read.

    Returns:
        its header, with the EXIF orientation.

    Raises:
        Refused: TRUNCATED, CORRUPT (order, checksum, two eXIf chunks) or TOO_LARGE.
    """
    size: tuple[int, int, int] | None = None
    seen: set[bytes] = set()
    orientation = UPRIGHT
    for name, start, end in _chunks(content):
        if (size is None) != (name == b"IHDR"):
            raise Refused(FailureCode.CORRUPT, "PNG without exactly one IHDR chunk at its start")
        if name == b"IHDR":
            size = _ihdr(content, start, end)
            check_size(size[0], size[1], limits)
        elif name == b"eXIf":
            # Two that disagree make DALI's parser and decoder turn the picture differently.
            if name in seen:
                raise Refused(FailureCode.CORRUPT, "PNG with two eXIf chunks")
            orientation = exif_orientation(content[start:end])
        _check_sum(content, start, end)
        seen.add(name)
    if size is None or b"IDAT" not in seen:
        raise Refused(FailureCode.CORRUPT, "PNG without pixels")
    return Header("png", *size, orientation)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk's data, up to IEND.

    A chunk that the file's end cuts off is refused only after the header was seen, so that a
    declared size over the limit is named first.
    """
    position, size, name = len(SIGNATURE), len(content), b""
    while name != b"IEND":
        if position + 12 > size:
            raise Refused(FailureCode.TRUNCATED, f"PNG ends after {size} bytes without IEND")
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + 8 + length
        if end + 4 > size:
            raise Refused(FailureCode.TRUNCATED, f"PNG ends after {size} bytes, in a chunk")
        yield name, position + 8, end
        position = end + 4


def _check_sum(content: bytes, start: int, end: int) -> None:
    expected = int.from_bytes(content[end : end + 4], "big")
    if zlib.crc32(memoryview(content)[start - 4 : end]) != expected:
        raise Refused(FailureCode.CORRUPT, f"PNG chunk at byte {start - 8}: checksum is wrong")


def _ihdr(content: bytes, start: int, end: int) -> tuple[int, int, int]:
    """Width, height and bits."""
    if end - start != 13:
        raise Refused(FailureCode.CORRUPT, f"PNG IHDR of {end - start} bytes")
    width, height, bits, colour = struct.unpack_from(">IIBB", content, start)
    if bits not in _LEGAL_BITS.get(colour, ()):
        raise Refused(FailureCode.CORRUPT, f"PNG of colour type {colour} with {bits} bits")
    return width, height, bits
