"""Pixels that are stored as they are: a view of the file's bytes, no copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.dicom import syntaxes
from cxrsweep.engine.dicom.facts import DicomHeader
from cxrsweep.engine.dicom.header import frame_bits
from cxrsweep.engine.failures import FailureCode, Refused


def is_available(uid: str) -> bool:
    """Whether frames of a transfer syntax are decoded here."""
    return uid in syntaxes.NATIVE or uid == syntaxes.ENCAPSULATED_NATIVE


def decode(pixels: memoryview, header: DicomHeader, frame: int) -> NDArray[Any]:
    """One frame of native pixels.

    Args:
        pixels: of all frames.
        header: of the file.
        frame: from 0.

    Returns:
        (H, W) or (H, W, 3) uint8, uint16 or uint32 words; luminance alone of YBR_FULL_422.

    Raises:
        Refused: TRUNCATED, there are too few bytes.

    Source: PS3.5 section 8.1.1 and annex D (1 bit allocated), PS3.3 C.7.6.3.1.2 and .3.
    """
    samples, shape = header.samples, (header.rows, header.columns)
    bits = frame_bits(header)
    if len(pixels) * 8 < bits * (frame + 1):
        raise Refused(FailureCode.TRUNCATED, f"frame {frame} is not in {len(pixels)} bytes")
    if samples.allocated == 1:
        return _bits(pixels, bits, frame).reshape(shape)
    swapped = header.place.is_words and not header.place.is_little_endian
    if samples.allocated == 8 and swapped:
        # Only in retired big endian: bytes were written in words, so each pair is turned.
        turned = np.frombuffer(pixels[: len(pixels) // 2 * 2], np.uint16).byteswap()
        pixels = memoryview(turned.tobytes())
    order = "><"[header.place.is_little_endian]
    one = pixels[frame * bits // 8 : (frame + 1) * bits // 8]
    words = np.frombuffer(one, f"{order}u{samples.allocated // 8}")
    words = words.astype(words.dtype.newbyteorder("="), copy=False)
    if samples.photometric == "YBR_FULL_422":
        return np.ascontiguousarray(words.reshape(-1, 4)[:, :2]).reshape(shape)
    if samples.per_pixel == 1:
        return words.reshape(shape)
    if samples.is_planar:
        return words.reshape(samples.per_pixel, *shape).transpose(1, 2, 0)
    return words.reshape(*shape, samples.per_pixel)


def _bits(pixels: memoryview, bits: int, frame: int) -> NDArray[np.uint8]:
    """One frame of single bits; frames do not begin at whole bytes."""
    first, last = frame * bits // 8, -(-(frame + 1) * bits // 8)
    unpacked = np.unpackbits(np.frombuffer(pixels[first:last], np.uint8), bitorder="little")
    skipped = frame * bits - first * 8
    return unpacked[skipped : skipped + bits]
