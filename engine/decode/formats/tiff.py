"""TIFF by libtiff, strictly: a damaged strip, which OpenCV shows as black, raises."""

from __future__ import annotations

import io
import zlib
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from cxrsweep.engine.decode.formats.samples import grey_of
from cxrsweep.engine.decode.turning import as_stored
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import NO_LIMITS, Header
from cxrsweep.engine.gate.tiff_walk import TiffFacts, tiff_facts

_INFLATED_AT_ONCE = 1 << 20


def decode(content: bytes, header: Header) -> NDArray[Any]:
    """Decode the first page.

    Returns:
        (H, W) grey as stored: uint8 of up to 8 bits, of more as they are; 0 is black.

    Raises:
        Refused: CORRUPT, it does not decode.
        MemoryError: there is none for it.
    """
    facts = tiff_facts(content, NO_LIMITS)
    try:
        is_longer = _has_longer_streams(content, facts)
        if facts.photometric == "cmyk":
            return grey_of(_by_pillow(content, facts, "RGB"), facts.bits)
        if is_longer:
            return _of_longer_streams(content, facts)
        samples = imagecodecs.tiff_decode(content)
    except (RuntimeError, IndexError, ValueError, OSError, SyntaxError, zlib.error) as error:
        raise Refused(FailureCode.CORRUPT, f"tiff does not decode ({error})") from error
    if facts.photometric == "ycbcr":
        return grey_of(_unflipped(samples, facts.orientation), facts.bits)
    if samples.ndim == 3 and facts.is_planar:
        samples = np.moveaxis(samples, 0, -1)
    if facts.photometric == "palette":
        indices = samples if samples.ndim == 2 else samples[..., 0]
        return np.asarray(_greys_of_palette(facts)[indices.astype(np.uint8)], np.uint8)
    return grey_of(_black_at_zero(samples, facts), facts.bits)


def _has_longer_streams(content: bytes, facts: TiffFacts) -> bool:
    """Whether a zlib stream holds more than its strip or tile shows.

    Every stream is held to its checksum, which libtiff leaves unread once it has its bytes.

    Raises:
        zlib.error: a stream is damaged.
    """
    is_longer = False
    for piece in facts.pieces if facts.is_deflated else ():
        inflater = zlib.decompressobj()
        rest = memoryview(content)[piece.start : piece.start + piece.size]
        inflated = len(inflater.decompress(rest, piece.used + 1))
        is_longer = is_longer or inflated > piece.used
        while not inflater.eof:
            more = inflater.decompress(inflater.unconsumed_tail, _INFLATED_AT_ONCE)
            if not more and not inflater.eof:
                raise zlib.error("incomplete stream")
    return is_longer


def _of_longer_streams(content: bytes, facts: TiffFacts) -> NDArray[Any]:
    """Grey of a page whose last strip is filled up, by Pillow.

    imagecodecs 2026.3 has a libtiff that leaves the last rows of such a strip as the memory was.

    Raises:
        Refused: UNSUPPORTED, of a kind that Pillow shows in another way.
    """
    modes = {"black-is-zero": {8: "L"}, "white-is-zero": {8: "L"}, "rgb": {8: "RGB"}}
    mode = modes.get(facts.photometric, {}).get(facts.bits)
    if mode is None:
        why = f"tiff of {facts.bits} bits in strips that are longer than what they show"
        raise Refused(FailureCode.UNSUPPORTED, why)
    return grey_of(_by_pillow(content, facts, mode), facts.bits)


def _by_pillow(content: bytes, facts: TiffFacts, mode: str) -> NDArray[np.uint8]:
    """Pixels by Pillow. Of ink, imagecodecs converts it too, but goes on after damage."""
    with TiffImageFile(io.BytesIO(content)) as image:
        return as_stored(np.asarray(image.convert(mode)), facts.orientation)


def _unflipped(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo libtiff's half of a turn where it converts colours: it flips, never transposes."""
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples


def _greys_of_palette(facts: TiffFacts) -> NDArray[np.uint8]:
    """(2 ** bits) uint8."""
    colours = np.asarray(facts.colours, np.uint16).reshape(3, -1).T
    # Of 8 bits against the standard where none is larger; libtiff looks for that as well.
    eights = (colours // (256 if colours.max() > 255 else 1)).astype(np.uint8)[None]
    return np.ravel(
        np.asarray(cv2.cvtColor(np.ascontiguousarray(eights), cv2.COLOR_RGB2GRAY), np.uint8)
    )


def _black_at_zero(samples: NDArray[Any], facts: TiffFacts) -> NDArray[Any]:
    if facts.photometric != "white-is-zero":
        return samples
    if samples.dtype.kind == "f":
        return -samples
    if facts.bits < 8 and samples.dtype != np.bool_:
        return np.asarray((1 << facts.bits) - 1 - samples, np.uint8)
    return ~samples
