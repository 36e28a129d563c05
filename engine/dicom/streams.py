"""What an encoded frame says of itself, read before a decoder sees it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate import jpeg_walk

Codec = Literal["jpeg", "jpeg-ls", "jpeg2000", "htj2k"]

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JP2_BOX = b"\0\0\0\x0cjP  "
_END = b"\xff\xd9"  # of JPEG (EOI), JPEG-LS (EOI) and JPEG 2000 (EOC)
_TRAILER_BYTES = 64
_APP0, _APP14, _JPEG_LS_FRAME = 0xE0, 0xEE, 0xF7
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_TILE, _TILE_HEADER_BYTES = b"\xff\x90", 12
_CAP = b"\xff\x50"  # of a codestream of part 15, ISO/IEC 15444-15 A.2


@dataclass(frozen=True)
class Stream:
    """Facts of an encoded frame.

    Attributes:
        codec: by content, whatever the transfer syntax says.
        width: in pixels.
        height: in pixels.
        bits: of a sample.
        components: samples per pixel.
        is_signed: whether the decoder gives signed samples.
        is_lossless_jpeg: whether JPEG's lossless process made it.
        names_its_colours: whether a JPEG says itself what its components are.
    """

    codec: Codec
    width: int
    height: int
    bits: int
    components: int
    is_signed: bool = False
    is_lossless_jpeg: bool = False
    names_its_colours: bool = False


def stream_of(frame: bytes) -> Stream | None:
    """Facts of an encoded frame, None where it is none of the codecs.

    Raises:
        Refused: TRUNCATED without an end marker; CORRUPT, UNSUPPORTED or TOO_LARGE by its header.
    """
    if frame.startswith((_JPEG_2000, _JP2_BOX)):
        found = _jpeg_2000(frame)
    elif frame.startswith(_JPEG):
        found = _jpeg(frame)
    else:
        return None
    # Decoders fill in what is missing without a word.
    if _END not in frame[-_TRAILER_BYTES:]:
        raise Refused(FailureCode.TRUNCATED, f"a {found.codec} frame without its end marker")
    return found


def _jpeg(frame: bytes) -> Stream:
    """Source: ITU T.81 B.2.2; JFIF and Adobe markers as libjpeg reads them."""
    header: tuple[int, int, int, int] | None = None
    process, end, names, identifiers = 0, 0, False, b""
    for marker, start, end in jpeg_walk.segments(frame):
        if marker in jpeg_walk.FRAMES:
            header, process = jpeg_walk.frame_header(frame, start, end), marker
            identifiers = frame[start + 6 : end : 3]
        elif (marker == _APP0 and frame.startswith(b"JFIF\0", start)) or (
            marker == _APP14 and frame.startswith(b"Adobe", start)
        ):
            names = True
    if header is None:
        raise Refused(FailureCode.CORRUPT, "a JPEG scan before any frame header")
    jpeg_walk.check_scans(frame, end, jpeg_walk.MAX_PROGRESSIVE_SCANS)
    bits, width, height, components = header
    return Stream(
        "jpeg-ls" if process == _JPEG_LS_FRAME else "jpeg",
        width,
        height,
        bits,
        components,
        is_lossless_jpeg=process in _LOSSLESS_FRAMES,
        names_its_colours=names or identifiers == b"RGB",
    )


def _jpeg_2000(frame: bytes) -> Stream:
    """Source: ISO/IEC 15444-1 A.5.1: SIZ is the second marker of a codestream."""
    start = frame.find(_JPEG_2000)
    if start < 0 or len(frame) < start + 43:
        raise Refused(FailureCode.CORRUPT, "JPEG 2000 without a codestream")
    right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    after = start + 4 + int.from_bytes(frame[start + 4 : start + 6], "big")
    _walk_tiles(frame, after)
    if components < 1 or right <= left or bottom <= top:
        raise Refused(FailureCode.CORRUPT, "JPEG 2000 of no pixels")
    return Stream(
        "htj2k" if frame[after : after + 2] == _CAP else "jpeg2000",
        right - left,
        bottom - top,
        (depth & 0x7F) + 1,
        components,
        is_signed=bool(depth & 0x80),
    )


def _walk_tiles(frame: bytes, position: int) -> None:
    """Check that the tile-parts fill a codestream: decoders show the rest of a cut one as grey.

    Source: ISO/IEC 15444-1 A.4.2: SOT has the length of its tile-part, 0 in the last one for all
    that is left.
    """
    while frame[position : position + 2] not in (_TILE, _END):
        length = int.from_bytes(frame[position + 2 : position + 4], "big")
        if frame[position : position + 1] != b"\xff" or length < 2:
            break
        position += 2 + length
    while frame[position : position + 2] == _TILE:
        length = int.from_bytes(frame[position + 6 : position + 10], "big")
        if length == 0:
            return
        position += max(length, _TILE_HEADER_BYTES)
    if position + 2 > len(frame):
        raise Refused(FailureCode.TRUNCATED, f"JPEG 2000 that ends before byte {position}")
    if frame[position : position + 2] != _END:
        raise Refused(FailureCode.CORRUPT, f"no JPEG 2000 marker at byte {position}")
