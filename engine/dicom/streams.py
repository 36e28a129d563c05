"""What an encoded frame says of itself, read before a decoder sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate import codestream_walk, jpeg_walk

Codec = Literal["jpeg", "jpeg-ls", "jpeg2000", "htj2k"]

_JPEG = b"\xff\xd8"
_APP0, _APP14, _JPEG_LS_FRAME = 0xE0, 0xEE, 0xF7
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})


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
    if frame.startswith((codestream_walk.CODESTREAM, codestream_walk.BOXED)):
        return _jpeg_2000(frame)
    if not frame.startswith(_JPEG):
        return None
    found = _jpeg(frame)
    codestream_walk.check_end(frame, f"a {found.codec} frame")
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
    found = codestream_walk.codestream_of(frame)
    return Stream(
        "htj2k" if found.is_high_throughput else "jpeg2000",
        found.width,
        found.height,
        found.bits,
        found.components,
        is_signed=found.is_signed,
    )
