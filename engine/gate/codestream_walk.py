"""Reads what a JPEG 2000 codestream says of itself, without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header, Limits, check_size

CODESTREAM = b"\xff\x4f\xff\x51"  # the two markers that begin it
BOXED = b"\0\0\0\x0cjP  "
_END = b"\xff\xd9"  # EOC here; JPEG and JPEG-LS end with the same two bytes
_TRAILER_BYTES = 64
_TILE, _TILE_HEADER_BYTES = b"\xff\x90", 12
_CAP = b"\xff\x50"  # of a codestream of part 15, ISO/IEC 15444-15 A.2
_MOST_COMPONENTS = 4
# Enumerated colour spaces, ISO/IEC 15444-1 I.5.3.3.
_SRGB, _GREY, _SYCC = 16, 17, 18


@dataclass(frozen=True)
class Codestream:
    """Facts of a codestream.

    Attributes:
        width: in pixels.
        height: in pixels.
        bits: of a sample of the first component.
        components: samples per pixel.
        is_signed: whether the first component is.
        is_even: whether all components have its depth, and as many samples as there are pixels.
        is_high_throughput: whether it is one of part 15 (HTJ2K).
    """

    width: int
    height: int
    bits: int
    components: int
    is_signed: bool
    is_even: bool
    is_high_throughput: bool


def jpeg_2000_header(content: bytes, limits: Limits) -> Header:
    """Check a JPEG 2000 file, boxed or a bare codestream.

    Raises:
        Refused: TRUNCATED, CORRUPT (also without components), TOO_LARGE or UNSUPPORTED.
    """
    found = codestream_of(content)
    check_size(found.width, found.height, limits)
    space = _colour_space(content)
    if found.components > _MOST_COMPONENTS or not found.is_even:
        raise Refused(FailureCode.UNSUPPORTED, "JPEG 2000 of uneven or more than 4 components")
    if space not in (None, _SRGB, _GREY, _SYCC):
        raise Refused(FailureCode.UNSUPPORTED, f"JPEG 2000 of colour space {space}")
    return Header("jpeg2000", found.width, found.height, found.bits)


def codestream_of(content: bytes) -> Codestream:
    """Facts of the first codestream in some bytes, whose tile-parts are walked.

    Raises:
        Refused: CORRUPT, TRUNCATED.

    Source: ISO/IEC 15444-1 A.5.1: SIZ is the second marker of a codestream.
    """
    start = content.find(CODESTREAM)
    if start < 0 or len(content) < start + 45:
        raise Refused(FailureCode.CORRUPT, "JPEG 2000 without a codestream")
    right, bottom, left, top = struct.unpack_from(">4L", content, start + 8)
    (components,) = struct.unpack_from(">H", content, start + 40)
    after = start + 4 + int.from_bytes(content[start + 4 : start + 6], "big")
    _walk_tiles(content, after)
    # Some parsers divide by the number of components.
    if components < 1 or right <= left or bottom <= top:
        raise Refused(FailureCode.CORRUPT, "JPEG 2000 of no pixels")
    each = [content[at : at + 3] for at in range(start + 42, after, 3)]
    if len(each) != components:
        raise Refused(FailureCode.CORRUPT, f"JPEG 2000 describes {len(each)} of {components}")
    depth = each[0][0]
    return Codestream(
        right - left,
        bottom - top,
        (depth & 0x7F) + 1,
        components,
        bool(depth & 0x80),
        all(one == bytes([depth, 1, 1]) for one in each),
        content[after : after + 2] == _CAP,
    )


def check_end(content: bytes, name: str) -> None:
    """Refuse a stream without its end marker: decoders fill in what is missing without a word.

    Raises:
        Refused: TRUNCATED.
    """
    if _END not in content[-_TRAILER_BYTES:]:
        raise Refused(FailureCode.TRUNCATED, f"{name} without its end marker")


def _colour_space(content: bytes) -> int | None:
    """The enumerated colour space of a boxed file, None where there is none.

    Source: ISO/IEC 15444-1 I.5.3.3: method, precedence, approximation, and the number.
    """
    at = content.find(b"colr\x01", 0, max(content.find(CODESTREAM), 0))
    return int.from_bytes(content[at + 7 : at + 11], "big") if at >= 0 else None


def _walk_tiles(content: bytes, position: int) -> None:
    """Check that the tile-parts fill a codestream: decoders show the rest of a cut one as grey.

    What follows the end marker of a walked codestream is not looked at: other boxes may.

    Source: ISO/IEC 15444-1 A.4.2: SOT has the length of its tile-part, 0 in the last one for all
    that is left.
    """
    while content[position : position + 2] not in (_TILE, _END):
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        if content[position : position + 1] != b"\xff" or length < 2:
            break
        position += 2 + length
    while content[position : position + 2] == _TILE:
        length = int.from_bytes(content[position + 6 : position + 10], "big")
        if length == 0:
            check_end(content, "JPEG 2000")
            return
        position += max(length, _TILE_HEADER_BYTES)
    if position + 2 > len(content):
        raise Refused(FailureCode.TRUNCATED, f"JPEG 2000 that ends before byte {position}")
    if content[position : position + 2] != _END:
        raise Refused(FailureCode.CORRUPT, f"no JPEG 2000 marker at byte {position}")
