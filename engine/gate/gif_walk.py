"""Walks a GIF up to the end of its first frame, without decoding it."""

from __future__ import annotations

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header, Limits, check_size

SIGNATURE = b"GIF8"
_EXTENSION, _IMAGE = 0x21, 0x2C


def gif_header(content: bytes, limits: Limits) -> Header:
    """Check a GIF as far as its first frame goes.

    Raises:
        Refused: TRUNCATED, CORRUPT or TOO_LARGE.

    Source: GIF 89a, sections 18 to 24: screen, colour tables, blocks and their sub-blocks.
    """
    if len(content) < 13:
        raise Refused(FailureCode.TRUNCATED, f"GIF of {len(content)} bytes")
    width, height = _word(content, 6), _word(content, 8)
    check_size(width, height, limits)
    position = 13 + _table_bytes(content[10])
    while content[position : position + 1] == bytes([_EXTENSION]):
        position = _after_blocks(content, position + 2)
    if position + 10 > len(content):
        raise Refused(FailureCode.TRUNCATED, "GIF ends before its first frame")
    if content[position] != _IMAGE:
        raise Refused(FailureCode.CORRUPT, f"no GIF block at byte {position}")
    left, top, frame_width, frame_height = (_word(content, position + at) for at in (1, 3, 5, 7))
    # Decoders enlarge the screen for such a frame, beyond what was held against the limit.
    if left + frame_width > width or top + frame_height > height:
        raise Refused(FailureCode.CORRUPT, "GIF whose first frame leaves its screen")
    _after_blocks(content, position + 11 + _table_bytes(content[position + 9]))
    return Header("gif", width, height, 8)


def _word(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 2], "little")


def _table_bytes(packed: int) -> int:
    """Length of a colour table, by the byte that announces it."""
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _after_blocks(content: bytes, position: int) -> int:
    """Where a chain of sub-blocks has ended."""
    while position < len(content) and content[position]:
        position += content[position] + 1
    if position >= len(content):
        raise Refused(FailureCode.TRUNCATED, "GIF ends within its first frame")
    return position + 1
