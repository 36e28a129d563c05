"""RLE Lossless: segments of PackBits, one per byte of a sample."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.dicom import syntaxes
from cxrsweep.engine.dicom.facts import DicomHeader
from cxrsweep.engine.failures import FailureCode, Refused

_HEADER_BYTES, _PADDING_BYTES = 64, 256


def is_available(uid: str) -> bool:
    """Whether frames of a transfer syntax are decoded here."""
    return uid in syntaxes.RLE


def decode(frame: bytes, header: DicomHeader) -> NDArray[Any]:
    """One frame, to (H, W) or (H, W, 3) uint8, uint16 or uint32 words.

    Raises:
        Refused: TRUNCATED within its header; CORRUPT, another number of segments than samples
            have bytes, or of pixels.

    Source: PS3.5 annex G.
    """
    samples = header.samples
    size = samples.allocated // 8
    if len(frame) <= _HEADER_BYTES:
        raise Refused(FailureCode.TRUNCATED, f"an RLE frame of {len(frame)} bytes")
    declared = np.frombuffer(frame, "<u4", _HEADER_BYTES // 4)
    if not size or declared[0] != size * samples.per_pixel:
        raise Refused(FailureCode.CORRUPT, "RLE with another number of segments than samples need")
    starts = [*map(int, declared[1 : 1 + int(declared[0])]), len(frame)]
    if any(a >= b for a, b in pairwise(starts)):
        raise Refused(FailureCode.CORRUPT, "RLE segments overlap or are empty")
    pixels = header.rows * header.columns
    packed = memoryview(frame)  # copies of the segments would cost as much as unpacking them
    unpacked = [
        _segment(packed[start:end], pixels).reshape(header.rows, header.columns)
        for start, end in pairwise(starts)
    ]
    planes = [_words(unpacked[first : first + size]) for first in range(0, len(unpacked), size)]
    return planes[0] if samples.per_pixel == 1 else np.stack(planes, axis=-1)


def _words(segments: list[NDArray[np.uint8]]) -> NDArray[Any]:
    """Words of one plane from their bytes, the most significant first."""
    if len(segments) == 1:
        return segments[0]
    # OpenCV interleaves seven times as fast as NumPy's strided copy.
    joined = cv2.merge(segments[::-1])
    return joined.view(f"<u{len(segments)}")[..., 0]


def _segment(packed: memoryview, pixels: int) -> NDArray[np.uint8]:
    try:
        # With an end, as PackBits makes a hostile segment 64 times as long.
        segment = imagecodecs.packbits_decode(cast(bytes, packed), out=pixels + _PADDING_BYTES)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise Refused(FailureCode.CORRUPT, "an RLE segment does not unpack") from error
    if len(segment) < pixels:
        raise Refused(FailureCode.CORRUPT, f"an RLE segment holds {len(segment)} of {pixels}")
    return np.frombuffer(segment, np.uint8, pixels)
