"""Content of a file and a frame's number in, the bytes of that frame out."""

from __future__ import annotations

import zlib
from io import BytesIO

import imagecodecs
from pydicom import encaps

from cxrsweep.engine.dicom.damage import refused_if_damaged
from cxrsweep.engine.dicom.facts import DicomHeader
from cxrsweep.engine.dicom.header import bytes_of
from cxrsweep.engine.failures import FailureCode, Refused

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_ITEM_HEAD = 8
_TRAILING = 1 << 16  # what may follow the pixels of a deflated file before zlib has to do it


def native_pixels(content: bytes, header: DicomHeader, frames: int) -> memoryview:
    """All native pixels, without a copy unless they are deflated.

    Args:
        content: the whole file.
        header: of it.
        frames: how many have to be there.

    Raises:
        Refused: TRUNCATED or CORRUPT, the deflated stream is cut or damaged.
    """
    place = header.place
    body = memoryview(content)
    if place.deflated_from is not None:
        needed = place.start + bytes_of(header, frames)
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


def encapsulated_frame(
    content: bytes, header: DicomHeader, frame: int, *, is_alone: bool = False
) -> bytes:
    """The encoded bytes of one frame, its fragments joined.

    Args:
        content: the whole file.
        header: of it.
        frame: from 0.
        is_alone: the file may be damaged where other frames lie.

    Raises:
        Refused: TRUNCATED or CORRUPT, the fragments are cut or make no such frame.

    Source: PS3.5 A.4.
    """
    stream, frames = BytesIO(content), header.frames
    offsets = header.frame_offsets if all(header.frame_offsets) else None
    if is_alone:
        end = _end_of_whole_fragments(content, header.place.start)
        if content[end : end + 4] != _DELIMITER:
            stream = BytesIO(content[:end])  # a copy, only where something is damaged
    stream.seek(header.place.start)
    with refused_if_damaged("the list of pixel fragments"):
        has_table = bool(encaps.parse_basic_offsets(stream)) or offsets is not None
        count, places = encaps.parse_fragments(stream)
    if not is_alone:
        _check_last_fragment(stream, places, len(content))
    elif not has_table and count < frames:
        if frame >= count:
            reason = f"frame {frame + 1} of {frames} is not in {count} whole fragments"
            raise Refused(FailureCode.TRUNCATED, reason)
        frames = count  # a frame has a fragment or more, so these are one each as far as they go
    stream.seek(header.place.start)
    with refused_if_damaged(f"the place of frame {frame + 1}"):
        found = encaps.get_frame(stream, frame, extended_offsets=offsets, number_of_frames=frames)
    if not found:
        raise Refused(FailureCode.TRUNCATED, f"frame {frame + 1} has no bytes")
    return found


def _end_of_whole_fragments(content: bytes, start: int) -> int:
    """Where the items end that follow each other without damage, the offset table among them."""
    end = start
    while content[end : end + 4] == _ITEM:
        length = int.from_bytes(content[end + 4 : end + _ITEM_HEAD], "little")
        if end + _ITEM_HEAD + length > len(content):
            break
        end += _ITEM_HEAD + length
    return end


def _check_last_fragment(stream: BytesIO, places: list[int], size: int) -> None:
    """Refuse a file that ends inside a fragment: it would be read short."""
    if not places:
        raise Refused(FailureCode.TRUNCATED, "no pixel fragments")
    stream.seek(places[-1] + 4)
    end = places[-1] + _ITEM_HEAD + int.from_bytes(stream.read(4), "little")
    if end > size:
        raise Refused(FailureCode.TRUNCATED, f"the pixels end at byte {end} of {size}")
