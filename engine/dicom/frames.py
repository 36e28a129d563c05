"""Content of a file and a frame's number in, the bytes of that frame out."""

from __future__ import annotations

import zlib
from io import BytesIO

import imagecodecs
from pydicom import encaps

from cxrsweep.engine.dicom.damage import refused_if_damaged
from cxrsweep.engine.dicom.facts import DicomHeader
from cxrsweep.engine.dicom.header import frame_bits
from cxrsweep.engine.failures import FailureCode, Refused

_ITEM_HEAD = 8
_TRAILING = 1 << 16  # what may follow the pixels of a deflated file before zlib has to do it


def native_pixels(content: bytes, header: DicomHeader) -> memoryview:
    """All native pixels, without a copy unless they are deflated.

    Raises:
        Refused: TRUNCATED or CORRUPT, the deflated stream is cut or damaged.
    """
    place = header.place
    body = memoryview(content)
    if place.deflated_from is not None:
        needed = place.start + -(-frame_bits(header) * header.frames // 8)
        body = memoryview(_inflated(content[place.deflated_from :], needed))
    return body[place.start : place.start + (place.length or 0)]


def _inflated(stream: bytes, needed: int) -> bytes | bytearray:
    """At least the first `needed` bytes of a raw deflate stream."""
    try:
        # libdeflate is twice as fast as zlib, but wants room for all that comes.
        body = imagecodecs.deflate_decode(stream, raw=True, out=needed + _TRAILING)
    except (RuntimeError, ValueError):
        try:
            body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, needed)
        except zlib.error as error:
            raise Refused(FailureCode.CORRUPT, "the deflated DICOM does not inflate") from error
    if len(body) < needed:
        raise Refused(FailureCode.TRUNCATED, f"inflates to {len(body)} bytes of {needed}")
    return body


def encapsulated_frame(content: bytes, header: DicomHeader, frame: int) -> bytes:
    """The encoded bytes of one frame, its fragments joined.

    Raises:
        Refused: TRUNCATED or CORRUPT, the fragments are cut or make no such frame.

    Source: PS3.5 A.4.
    """
    stream = BytesIO(content)
    stream.seek(header.place.start)
    _check_fragments(stream, len(content))
    stream.seek(header.place.start)
    offsets = header.frame_offsets if all(header.frame_offsets) else None
    with refused_if_damaged(f"the place of frame {frame}"):
        found = encaps.get_frame(
            stream, frame, extended_offsets=offsets, number_of_frames=header.frames
        )
    if not found:
        raise Refused(FailureCode.TRUNCATED, f"frame {frame} has no bytes")
    return found


def _check_fragments(stream: BytesIO, size: int) -> None:
    """Refuse a file that ends inside a fragment: it would be read short."""
    with refused_if_damaged("the list of pixel fragments"):
        encaps.parse_basic_offsets(stream)
        count, places = encaps.parse_fragments(stream)
    if not count:
        raise Refused(FailureCode.TRUNCATED, "no pixel fragments")
    stream.seek(places[-1] + 4)
    end = places[-1] + _ITEM_HEAD + int.from_bytes(stream.read(4), "little")
    if end > size:
        raise Refused(FailureCode.TRUNCATED, f"the pixels end at byte {end} of {size}")
