"""Reads the first directory of a TIFF, classic or BigTIFF, without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import (
    ORIENTATION_TAG,
    UPRIGHT,
    Header,
    Limits,
    check_size,
    legal_orientation,
)

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
Photometric = Literal["white-is-zero", "black-is-zero", "rgb", "palette", "cmyk", "ycbcr"]
# Numbers of tags and their values: TIFF 6.0 sections 8, 14 to 16, 18, 19, 22.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _PLANES, _FORMAT, _COLOURS = 277, 284, 339, 320
_STRIPS, _TILES = (273, 279), (324, 325)  # where they are, and how long
_STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT = 278, 322, 323
_PHOTOMETRICS: dict[int, Photometric] = {
    0: "white-is-zero",
    1: "black-is-zero",
    2: "rgb",
    3: "palette",
    5: "cmyk",
    6: "ycbcr",
}
_CHANNELS: dict[Photometric, int] = {"rgb": 3, "cmyk": 4, "ycbcr": 3}
# None, CCITT RLE, group 3 and 4, LZW, JPEG, deflate, PackBits, deflate again, LZMA, Zstandard, WebP
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000, 50001})
_NONE, _JPEG = 1, 7
_DEFLATED = frozenset({8, 32946})
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_LEGAL_BITS = {
    _UNSIGNED: (1, 2, 4, 8, 10, 12, 14, 16, 32),
    _SIGNED: (8, 16, 32),
    _FLOAT: (16, 32, 64),
    _UNDEFINED: (1, 2, 4, 8, 10, 12, 14, 16, 32),
}
_MOST_SAMPLES = 8
_KEPT = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES, _FORMAT, _COLOURS}
    | {ORIENTATION_TAG, _STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT, *_STRIPS, *_TILES}
)
_TYPES = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}  # of whole numbers
_Tags = dict[int, NDArray[Any]]


@dataclass(frozen=True)
class Piece:
    """A strip or tile.

    Attributes:
        start: first byte in the file.
        size: bytes in the file.
        used: bytes of it, decompressed, that the page shows; a tile is used whole.
    """

    start: int
    size: int
    used: int


@dataclass(frozen=True)
class TiffFacts:
    """What the first directory says of the pixels.

    Attributes:
        width: as stored, in pixels.
        height: as stored, in pixels.
        bits: of a sample.
        photometric: what samples mean.
        is_planar: whether each channel is stored by itself.
        orientation: 1 to 8.
        colours: of a palette, (3 * 2 ** bits) uint16: all reds, greens, blues.
        is_deflated: whether strips or tiles are zlib streams.
        pieces: strips or tiles in their order; empty where the file says badly where they are.
    """

    width: int
    height: int
    bits: int
    photometric: Photometric
    is_planar: bool
    orientation: int
    colours: NDArray[Any]
    is_deflated: bool
    pieces: tuple[Piece, ...]


def tiff_header(content: bytes, limits: Limits) -> Header:
    """Check a TIFF: its first directory, and that what that points at is there.

    Raises:
        Refused: TRUNCATED, CORRUPT, TOO_LARGE or UNSUPPORTED.
    """
    facts = tiff_facts(content, limits)
    return Header("tiff", facts.width, facts.height, facts.bits, facts.orientation)


def tiff_facts(content: bytes, limits: Limits) -> TiffFacts:
    """Read the first directory.

    Raises:
        Refused: as tiff_header.
    """
    try:
        tags = _directory(content)
        width, height = int(tags[_WIDTH][0]), int(tags[_HEIGHT][0])
    except (KeyError, ValueError, OverflowError, struct.error) as error:
        raise Refused(FailureCode.CORRUPT, f"tiff directory is damaged ({error})") from error
    samples, planes = _one(tags, _SAMPLES, 1), _one(tags, _PLANES, 1)
    compression = _one(tags, _COMPRESSION, _NONE)
    photometric = _PHOTOMETRICS.get(_one(tags, _PHOTOMETRIC, 1))
    check_size(width, height, limits)
    if compression not in _COMPRESSIONS:
        raise Refused(FailureCode.UNSUPPORTED, f"tiff of compression {compression}")
    if photometric is None or not _CHANNELS.get(photometric, 1) <= samples <= _MOST_SAMPLES:
        raise Refused(FailureCode.UNSUPPORTED, "tiff of an unusual photometric interpretation")
    # libtiff goes on after damage where it converts these, so damage must be impossible to see.
    if photometric == "ycbcr" and compression not in (_NONE, _JPEG):
        raise Refused(FailureCode.UNSUPPORTED, f"tiff of YCbCr in compression {compression}")
    bits = _bits(tags, photometric)
    pieces = _pieces(tags, width, height, bits * (1 if planes == 2 else samples))
    last = max((piece.start + piece.size for piece in pieces), default=0)
    if last > len(content):
        raise Refused(FailureCode.TRUNCATED, f"tiff of {len(content)} bytes needs {last}")
    orientation = legal_orientation(_one(tags, ORIENTATION_TAG, UPRIGHT))
    colours = tags.get(_COLOURS, np.empty(0, np.uint16))
    if photometric == "palette" and (len(colours) != 3 << bits or colours.itemsize != 2):
        raise Refused(FailureCode.CORRUPT, f"tiff with a palette of {len(colours)} values")
    is_deflated = compression in _DEFLATED
    return TiffFacts(
        width, height, bits, photometric, planes == 2, orientation, colours, is_deflated, pieces
    )


def _bits(tags: _Tags, photometric: Photometric) -> int:
    depths = {int(depth) for depth in tags.get(_BITS, np.ones(1))[:_MOST_SAMPLES]}
    formats = {int(one) for one in tags.get(_FORMAT, np.full(1, _UNSIGNED))[:_MOST_SAMPLES]}
    if len(depths) != 1 or len(formats) != 1:
        raise Refused(FailureCode.UNSUPPORTED, "tiff of samples that differ in depth or kind")
    (bits,), (sample_format,) = depths, formats
    most = {"palette": 8, "cmyk": 8, "ycbcr": 8, "rgb": 16}.get(photometric, 64)
    is_plain = sample_format == _UNSIGNED or most == 64
    if bits not in _LEGAL_BITS.get(sample_format, ()) or bits > most or not is_plain:
        raise Refused(FailureCode.UNSUPPORTED, f"tiff of {bits} bits in format {sample_format}")
    return bits


def _one(tags: _Tags, tag: int, default: int) -> int:
    return int(tags[tag][0]) if tag in tags else default


def _directory(content: bytes) -> _Tags:
    """Whole numbers of the first directory, each tag's a view of the file's bytes.

    Pillow's reader takes no BigTIFF of the big-endian order and refuses depths that it cannot show.

    Raises:
        ValueError, struct.error: it is not whole.

    Source: TIFF 6.0, section 2; BigTIFF has 8 bytes where that has 4, and 20 of an entry where 12.
    """
    order = "<" if content.startswith(b"II") else ">"
    is_big = b"+" in content[2:4]
    (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), content, 8 if is_big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if is_big else "H"), content, offset)
    first, size, room = (offset + 8, 20, 8) if is_big else (offset + 2, 12, 4)
    tags: _Tags = {}
    for at in range(first, min(first + entries * size, len(content)), size):
        tag, kind, count = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), content, at)
        if tag not in _KEPT or kind not in _TYPES or not count or tag in tags:
            continue
        words = np.dtype(order + _TYPES[kind])
        place = at + size - room
        if count * words.itemsize > room:
            (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), content, place)
        tags[tag] = np.frombuffer(content, words, count, place)
    return tags


def _pieces(tags: _Tags, width: int, height: int, pixel_bits: int) -> tuple[Piece, ...]:
    for offsets, lengths in (_STRIPS, _TILES):
        if offsets in tags and lengths in tags and len(tags[offsets]) == len(tags[lengths]):
            break
    else:
        return ()
    places = list(zip(tags[offsets].tolist(), tags[lengths].tolist(), strict=True))
    if (offsets, lengths) == _TILES:
        wide, high = _one(tags, _TILE_WIDTH, 0), _one(tags, _TILE_HEIGHT, 0)
        used = [-(-wide * pixel_bits // 8) * high] * len(places)
    else:
        rows = max(min(_one(tags, _STRIP_ROWS, height), height), 1)
        each = [min(rows, height - first) for first in range(0, height, rows)]
        # Of planar colour, the strips of each channel follow those of the one before.
        used = [-(-width * pixel_bits // 8) * each[n % len(each)] for n in range(len(places))]
    return tuple(Piece(*place, bytes_used) for place, bytes_used in zip(places, used, strict=True))
