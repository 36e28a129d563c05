"""Walks a JPEG strictly, marker by marker, without decoding it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import (
    UPRIGHT,
    Header,
    Kind,
    Limits,
    check_size,
    exif_orientation,
)

SIGNATURE = b"\xff\xd8\xff"
MAX_PROGRESSIVE_SCANS = 100  # a 58 KB file with 1,000 scans keeps a decoder busy for 10 s

# Markers of ITU T.81, table B.1. TEM and RSTn have no length; in a file's header they have no
# business, and DALI's parser reads a length after them.
_EOI, _SOS, _APP1, _DNL = 0xD9, 0xDA, 0xE1, 0xDC
_LENGTHLESS = frozenset({0x00, 0x01, *range(0xD0, 0xD9), _EOI})
FRAMES = frozenset(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7})  # F7: JPEG-LS
_KINDS: dict[int, Kind] = {
    **dict.fromkeys((0xC0, 0xC1, 0xC2), "jpeg"),
    0xC3: "jpeglossless",
    **dict.fromkeys((0xC9, 0xCA), "jpegarithmetic"),
    0xF7: "jpegls",
}
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_BITS: dict[Kind, tuple[int, ...]] = {
    "jpeg": (8, 12),
    "jpeglossless": tuple(range(2, 17)),
    "jpegarithmetic": (8,),
    "jpegls": tuple(range(2, 17)),
}


def jpeg_header(content: bytes, limits: Limits) -> Header:
    """Check a whole JPEG file.

    Args:
        content: starts with SIGNATURE.
        limits: of the declared size.

    Returns:
        its header, with the EXIF orientation.

    Raises:
        Refused: TRUNCATED, CORRUPT, TOO_LARGE, or UNSUPPORTED (hierarchical, ink of more than 8
            bits and the like).
    """
    frame: tuple[int, int, int, int, int] | None = None
    orientation, start, end, seen_exif = UPRIGHT, 0, 0, False
    for marker, start, end in segments(content):
        if marker in FRAMES:
            if frame:
                raise Refused(FailureCode.CORRUPT, "JPEG with two frame headers")
            frame = (marker, *frame_header(content, start, end))
            check_size(frame[2], frame[3], limits)
        elif marker == _APP1 and not seen_exif and content.startswith(b"Exif\0\0", start):
            seen_exif = True  # of two, readers take the first
            orientation = exif_orientation(content[start + 6 : end])
    if not frame:
        raise Refused(FailureCode.CORRUPT, "JPEG scan before any frame header")
    process, bits, width, height, components = frame
    # Entropy-coded data never holds FFD9 (FF is stuffed), so a search for it is a walk to the end.
    if content.rfind(b"\xff\xd9", end) < 0:
        raise Refused(FailureCode.TRUNCATED, f"JPEG of {len(content)} bytes has no end marker")
    # One scan of all components is the whole picture unless progressive: libjpeg stops after it.
    is_progressive = process in _PROGRESSIVE
    if is_progressive or content[start] != components:
        check_scans(content, end, MAX_PROGRESSIVE_SCANS if is_progressive else components)
    return Header(_kind(process, bits, components), width, height, bits, orientation)


def _kind(process: int, bits: int, components: int) -> Kind:
    kind = _KINDS.get(process)
    if kind is None:
        raise Refused(FailureCode.UNSUPPORTED, f"JPEG process SOF{process - 0xC0} is not read")
    if bits not in _BITS[kind] or (components == 4 and (kind, bits) != ("jpeg", 8)):
        raise Refused(
            FailureCode.UNSUPPORTED, f"{kind} of {components} components with {bits} bits"
        )
    return kind


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment's content, up to the first scan's header.

    Raises:
        Refused: TRUNCATED or CORRUPT where there is no whole segment.
    """
    position, size, marker = 2, len(content), 0
    while marker != _SOS:
        if position + 4 > size:
            raise Refused(FailureCode.TRUNCATED, f"JPEG ends in its header, after {size} bytes")
        if content[position] != 0xFF:
            raise Refused(FailureCode.CORRUPT, f"no JPEG marker at byte {position}")
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte, T.81 B.1.1.2
            position += 1
            continue
        if marker in _LENGTHLESS or marker == _DNL:
            raise Refused(FailureCode.CORRUPT, f"JPEG marker FF{marker:02X} in the header")
        length = content[position + 2] << 8 | content[position + 3]
        end = position + 2 + length
        if length < 2:
            raise Refused(FailureCode.CORRUPT, f"JPEG segment of {length} bytes at {position}")
        if end > size:
            raise Refused(FailureCode.TRUNCATED, f"JPEG ends in its header, after {size} bytes")
        yield marker, position + 4, end
        position = end


def frame_header(content: bytes, start: int, end: int) -> tuple[int, int, int, int]:
    """Bits, width, height and components of a frame header, T.81 B.2.2.

    Raises:
        Refused: CORRUPT, or UNSUPPORTED without a height.
    """
    if end - start < 6:
        raise Refused(FailureCode.CORRUPT, f"JPEG frame header of {end - start} bytes")
    bits, height, width, components = struct.unpack_from(">BHHB", content, start)
    if components not in (1, 3, 4) or end - start != 6 + 3 * components:
        raise Refused(
            FailureCode.CORRUPT, f"JPEG frame of {components} components in {end - start} bytes"
        )
    if height == 0:
        raise Refused(FailureCode.UNSUPPORTED, "JPEG that declares its height after the pixels")
    return bits, width, height, components


def check_scans(content: bytes, first: int, most: int) -> None:
    """Refuse more scans than `most`, counted from byte `first`.

    Raises:
        Refused: TOO_LARGE.
    """
    # Each scan makes the decoder walk the whole picture again, however few bytes it has.
    scans = 1 + content.count(b"\xff\xda", first)
    if scans > most:
        raise Refused(FailureCode.TOO_LARGE, f"JPEG with {scans} scans, over {most}")
