"""Reads the header of an AVIF file, without decoding it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.boxes import boxes
from cxrsweep.engine.gate.header import Header, Limits, check_size

SIGNATURES = (b"ftypavif", b"ftypavis")  # at byte 4
# Angle of the turn in quarters against the clock, axis of the mirror or None -> EXIF orientation.
_ORIENTATIONS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (0, 1): 2, (1, 0): 5, (1, 1): 7, (2, 0): 2, (2, 1): 4, (3, 0): 7, (3, 1): 5,
}  # fmt: skip


def avif_header(content: bytes, limits: Limits) -> Header:
    """Read size, depth and turn of the primary picture.

    Raises:
        Refused: TRUNCATED, CORRUPT or TOO_LARGE.

    Source: ISO/IEC 23008-12, 6.5 (properties of an item), and the AV1 image file format.
    """
    try:
        properties = dict(_properties(content))
        width, height = struct.unpack(">II", properties[b"ispe"][4:12])
        depth = _depth(properties)
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise Refused(FailureCode.CORRUPT, "avif without the size of its picture") from error
    check_size(width, height, limits)
    angle = properties.get(b"irot", b"\0")[0] & 3
    axis = properties[b"imir"][0] & 1 if b"imir" in properties else None
    return Header("avif", width, height, depth, _ORIENTATIONS[angle, axis])


def _depth(properties: dict[bytes, bytes]) -> int:
    if b"pixi" in properties:
        return properties[b"pixi"][5]
    flags = properties[b"av1C"][2]  # high_bitdepth and twelve_bit, of the AV1 specification
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _properties(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each property of the primary picture."""
    top = {name: place for name, *place in boxes(content, 0, len(content))}
    start, end = top[b"meta"]
    meta = {name: place for name, *place in boxes(content, start + 4, end)}
    primary = _primary(content, *meta[b"pitm"])
    held = {name: place for name, *place in boxes(content, *meta[b"iprp"])}
    listed = [
        (name, content[begin : min(last, begin + 64)] + b"\0")
        for name, begin, last in boxes(content, *held[b"ipco"])
    ]
    start, end = held[b"ipma"]
    for number in _numbers(content, start, end, primary):
        yield listed[number - 1] if number else (b"", b"")


def _primary(content: bytes, start: int, end: int) -> int:
    size = 4 if content[start] else 2
    return int.from_bytes(content[start + 4 : min(end, start + 4 + size)], "big")


def _numbers(content: bytes, start: int, end: int, item: int) -> list[int]:
    """Which properties an item has, counted from 1."""
    wide_item, wide_number = content[start] > 0, content[start + 3] & 1
    (entries,) = struct.unpack_from(">I", content, start + 4)
    position = start + 8
    size = 2 if wide_number else 1
    for _ in range(entries):
        if position >= end:
            break
        step = 4 if wide_item else 2
        found = int.from_bytes(content[position : position + step], "big")
        count = content[position + step]
        position += step + 1
        if found == item:
            places = range(position, position + count * size, size)
            mask = (1 << 8 * size - 1) - 1  # the highest bit says that the property is essential
            return [int.from_bytes(content[at : at + size], "big") & mask for at in places]
        position += count * size
    return []
