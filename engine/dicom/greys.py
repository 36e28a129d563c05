"""Stored words in, 8-bit grey out: modality, window, inversion and padding in one table."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.decode.windowing import (
    Uint8,
    Values,
    counted_window,
    default_window,
    eight_bits,
    grey_levels,
    looked_up,
    window_between,
)
from cxrsweep.engine.dicom.facts import Greys, Lookup, Samples
from cxrsweep.engine.dicom.lookups import mapped

_IDENTITY = np.arange(256, dtype=np.uint8)
# ITU-R BT.601, as in JPEG and OpenCV.
_LUMINANCE = (0.299, 0.587, 0.114)


def grey_frame(words: NDArray[Any], samples: Samples, greys: Greys) -> Uint8:
    """Grey levels of one decoded frame.

    Args:
        words: (H, W), or (H, W, 3) in colour, unsigned.
        samples: how the words hold samples.
        greys: how samples become grey.

    Returns:
        (H, W) uint8, low is dark whatever MONOCHROME1 says; padding is black.

    Source: PS3.3 C.7.6.3.1.2 (photometric interpretation), PS3.4 N.2 (order of the transforms).
    """
    if samples.per_pixel == 3:
        return eight_bits(_luminance(words, samples))
    words = np.ascontiguousarray(words)
    if greys.palette:
        return looked_up(_palette_table(greys.palette, words.itemsize, samples), words)
    if words.itemsize > 2:
        return _grey_of_many(words, samples, greys)
    table = _table(words, samples, greys)
    if words.itemsize == 1 and (table == _IDENTITY).all():
        return words if words.flags.writeable else words.copy()  # the file's bytes stay its own
    return looked_up(table, words)


def stored_values(words: NDArray[Any], samples: Samples) -> NDArray[np.int64]:
    """Samples in their words: shifted to the high bit, masked, with their sign.

    Source: PS3.5 section 8.1.1.
    """
    values = words.astype(np.int64) >> (samples.high_bit + 1 - samples.stored)
    values &= (1 << samples.stored) - 1
    if samples.is_signed:
        values -= (values >> (samples.stored - 1)) << samples.stored
    return values


def _luminance(words: NDArray[Any], samples: Samples) -> NDArray[Any]:
    """(H, W) of colour: the first channel where it is luminance already."""
    if words.ndim == 2:
        return words
    if samples.photometric in ("YBR_FULL", "YBR_FULL_422"):
        return np.ascontiguousarray(words[..., 0])
    if words.itemsize > 2:
        return np.asarray(np.rint(words @ np.array(_LUMINANCE)), np.float64)
    return cv2.cvtColor(np.ascontiguousarray(words), cv2.COLOR_RGB2GRAY)


def _table(words: NDArray[Any], samples: Samples, greys: Greys) -> Uint8:
    """The grey level of every word that a frame may hold: (256,) or (65536,) uint8."""
    every = np.arange(1 << 8 * words.itemsize)
    stored = stored_values(every, samples)
    kept = ~_is_padding(stored, samples, greys)
    values = _modality(stored.astype(np.float64), greys)
    if greys.voi_lookup:
        table = _voi(values, greys.voi_lookup)
    elif greys.window:
        table = grey_levels(values, greys.window)
    elif samples.stored <= 8:
        table = grey_levels(values, window_between(*_full_range(samples, greys)))
    else:
        table = grey_levels(values, counted_window(values, words, kept))
    return _shown(table, samples, kept)


def _shown(levels: Uint8, samples: Samples, kept: NDArray[np.bool_]) -> Uint8:
    """MONOCHROME1 inverted, padding black: what a presentation LUT of INVERSE also asks for."""
    if samples.photometric == "MONOCHROME1":
        levels = 255 - levels
    return np.where(kept, levels, 0).astype(np.uint8)


def _grey_of_many(words: NDArray[Any], samples: Samples, greys: Greys) -> Uint8:
    """The same for words with too many values for a table."""
    stored = stored_values(words, samples)
    kept = ~_is_padding(stored, samples, greys)
    values = _modality(stored.astype(np.float64), greys)
    if greys.voi_lookup:
        return _shown(_voi(values, greys.voi_lookup), samples, kept)
    window = greys.window
    if window is None:
        counted = values[kept] if kept.any() else values
        window = default_window(*np.unique(counted, return_counts=True))
    return _shown(grey_levels(values, window), samples, kept)


def _is_padding(stored: NDArray[np.int64], samples: Samples, greys: Greys) -> NDArray[np.bool_]:
    """Source: PS3.3 C.7.5.1.1.2: one value, or all values up to the range limit, both ends in."""
    if greys.padding is None:
        return np.zeros(stored.shape, np.bool_)
    # The elements are as wide as 16 bits; their sign is that of the samples.
    ends = np.array(greys.padding, np.uint16).astype(np.int64)
    if samples.is_signed:
        ends = ends.astype(np.uint16).view(np.int16).astype(np.int64)
    return np.asarray((stored >= ends.min()) & (stored <= ends.max()))


def _modality(values: Values, greys: Greys) -> Values:
    """Source: PS3.3 C.11.1: a table, or slope and intercept."""
    if greys.modality_lookup:
        return mapped(greys.modality_lookup, values)
    return values * greys.slope + greys.intercept


def _voi(values: Values, lookup: Lookup) -> Uint8:
    """Source: PS3.3 C.11.2.1.1: entries from 0 to 2^bits - 1 are black to white."""
    return grey_levels(mapped(lookup, values), window_between(0, (1 << lookup.bits) - 1))


def _full_range(samples: Samples, greys: Greys) -> tuple[float, float]:
    """Values of the least and the greatest sample of few bits: they keep their levels."""
    if greys.modality_lookup:
        return 0, (1 << greys.modality_lookup.bits) - 1
    low = -(1 << samples.stored - 1) if samples.is_signed else 0
    ends = sorted(
        sample * greys.slope + greys.intercept for sample in (low, low + (1 << samples.stored) - 1)
    )
    return ends[0], ends[1]


def _palette_table(
    palette: tuple[Lookup, Lookup, Lookup], itemsize: int, samples: Samples
) -> Uint8:
    """Luminance of the colour of every word. Source: PS3.3 C.7.6.3.1.5 and .6."""
    stored = stored_values(np.arange(1 << 8 * itemsize), samples).astype(np.float64)
    shares = sum(
        weight * mapped(colour, stored) / ((1 << colour.bits) - 1)
        for weight, colour in zip(_LUMINANCE, palette, strict=True)
    )
    return grey_levels(np.asarray(shares, np.float64), window_between(0, 1))
