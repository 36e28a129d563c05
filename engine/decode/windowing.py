"""Windowing: pixels of more than 8 bits in, 8 grey levels out, by one rule for every format.

A pixel of up to 16 bits has at most 65,536 values, so a window becomes a table that is computed
once per radiograph, in float64 on the CPU: who looks it up, CPU or GPU, gets the same grey level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Uint8 = NDArray[np.uint8]
Values = NDArray[np.float64]
WindowShape = Literal["linear", "linear-exact", "sigmoid"]

# Share of the pixels below and above the default window: lead letters and dead detector lines are
# less than this, and would otherwise take most of the 256 levels.
TAIL = 0.005
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class Window:
    """Which values become which grey levels.

    Attributes:
        centre: value that becomes mid-grey.
        width: how many values become grey; what lies outside is black or white.
        shape: linear and linear-exact differ by half a value at either end; sigmoid never clips.
    """

    centre: float
    width: float
    shape: WindowShape = "linear"

    @property
    def is_legal(self) -> bool:
        """Whether the standard allows it.

        Source: PS3.3 C.11.2.1.2.1 (width at least 1), C.11.2.1.3 (width above 0).
        """
        if not (np.isfinite(self.centre) and np.isfinite(self.width)):
            return False
        return self.width >= 1 if self.shape == "linear" else self.width > 0


def window_between(low: float, high: float) -> Window:
    """The window whose black is exactly `low` and whose white is exactly `high`."""
    return Window(low / 2 + high / 2, high - low, "linear-exact")


def grey_levels(values: Values, window: Window) -> Uint8:
    """Grey levels of values; halves are rounded up.

    Args:
        values: any shape, float64; NaN becomes black.
        window: a linear-exact one of width 0 splits into black up to its centre and white above.

    Returns:
        the same shape, uint8.

    Source: PS3.3 C.11.2.1.2.1 and C.11.2.1.3, with an output range of 0 to 255.
    """
    centre, width = window.centre, window.width
    if window.shape == "sigmoid":
        # Beyond 700 the exponential overflows; the grey level is black or white long before.
        levels = 255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    else:
        if window.shape == "linear":
            centre, width = centre - 0.5, width - 1
        if width <= 0:
            levels = np.where(values > centre, 255.0, 0.0)
        else:
            # The standard's formula with one division, the last step: true halves stay halves.
            levels = (values - (centre - width / 2)) * 255 / width
    levels = np.clip(np.nan_to_num(levels, nan=0.0, posinf=255, neginf=0), 0, 255)
    return np.asarray(np.floor(levels + 0.5), np.uint8)


def default_window(values: Values, counts: NDArray[Any]) -> Window:
    """The window of pixels that come without one: from the 0.5th to the 99.5th percentile.

    A percentile is the smallest value that at least that share of the pixels does not exceed, so it
    is a value that occurs and the same on every machine. Where both are one value, the whole range.

    Args:
        values: (K,) float64, each value that occurs.
        counts: (K,) how many pixels have it; at least one is above 0.
    """
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    reached = np.cumsum(counts, dtype=np.float64)
    low, high = np.searchsorted(reached, [TAIL * reached[-1], (1 - TAIL) * reached[-1]])
    if values[low] == values[high]:
        low, high = 0, len(values) - 1
    return window_between(float(values[low]), float(values[high]))


def counted(words: NDArray[Any]) -> NDArray[np.float64]:
    """How many pixels have each stored word.

    Args:
        words: (H, W) uint8 or uint16.

    Returns:
        (256,) or (65536,) float64, whole numbers.
    """
    size = 1 << 8 * words.itemsize
    # NumPy's bincount makes an index of 8 bytes per pixel first and takes seven times as long.
    counts = cv2.calcHist([words], [0], None, [size], [0, size])
    return np.asarray(counts, np.float64).ravel()


def looked_up(table: Uint8, words: NDArray[Any]) -> Uint8:
    """Replace each word by its entry.

    Args:
        table: (256,) uint8 for uint8 words, (65536,) for uint16.
        words: (H, W) uint8 or uint16.

    Returns:
        (H, W) uint8.
    """
    if words.dtype == np.uint8 or _OPENCV_TAKES_WORDS:
        return np.asarray(cv2.LUT(words, table), np.uint8)
    found = np.empty(words.shape, np.uint8)
    for start in range(0, words.shape[0], _BLOCK_ROWS):  # the index of a block fits the cache
        block = slice(start, start + _BLOCK_ROWS)
        np.take(table, words[block], out=found[block], mode="clip")
    return found


def eight_bits(
    pixels: NDArray[Any], window: Window | None = None, *, padding: int | None = None
) -> Uint8:
    """Grey levels of decoded pixels of any depth.

    Args:
        pixels: (H, W) of a real type; uint8 is returned as it is where there is no window.
        window: in values of the pixels; the default window of the pixels without one.
        padding: a value that is no part of the picture: not counted, and black.

    Returns:
        (H, W) uint8.
    """
    if pixels.dtype == np.uint8 and window is None and padding is None:
        return pixels
    if pixels.dtype.kind not in "ui" or pixels.itemsize > 2:
        return _eight_bits_of_many(pixels, window, padding)
    words = np.ascontiguousarray(pixels).view(f"u{pixels.itemsize}")
    values = np.arange(1 << 8 * pixels.itemsize).astype(words.dtype).view(pixels.dtype)
    kept = np.ones(len(values), np.bool_) if padding is None else values != padding
    floats = values.astype(np.float64)
    table = grey_levels(floats, window or counted_window(floats, words, kept))
    return looked_up(np.where(kept, table, 0).astype(np.uint8), words)


def counted_window(values: Values, words: NDArray[Any], kept: NDArray[np.bool_]) -> Window:
    """Default window of the pixels whose words are kept, or of all where none is.

    Args:
        values: (256,) or (65536,) float64, the value of each word.
        words: (H, W) uint8 or uint16.
        kept: like values: whether pixels of that word count.
    """
    counts = counted(words)
    present = (counts > 0) & kept
    if not present.any():
        present = counts > 0
    return default_window(values[present], counts[present])


def _eight_bits_of_many(pixels: NDArray[Any], window: Window | None, padding: int | None) -> Uint8:
    """The same for types with too many values for a table, a block of rows at a time."""
    if window is None:
        values, counts = np.unique(pixels[np.isfinite(pixels)], return_counts=True)
        present = values != padding if padding is not None else np.ones(len(values), np.bool_)
        if not present.any():
            present[:] = True
        if not len(values):
            return np.zeros(pixels.shape, np.uint8)
        window = default_window(values[present].astype(np.float64), counts[present])
    found = np.empty(pixels.shape, np.uint8)
    for start in range(0, pixels.shape[0], _BLOCK_ROWS):
        block = pixels[start : start + _BLOCK_ROWS]
        levels = grey_levels(block.astype(np.float64), window)
        found[start : start + _BLOCK_ROWS] = (
            levels if padding is None else np.where(block == padding, 0, levels)
        )
    return found


def _takes_words() -> bool:
    """Whether this OpenCV looks up 16-bit words (5 does, in a third of NumPy's time)."""
    try:
        found = cv2.LUT(np.full((1, 1), 65535, np.uint16), np.full(65536, 7, np.uint8))
    except cv2.error:
        return False
    return bool(found.shape == (1, 1) and found[0, 0] == 7)


_OPENCV_TAKES_WORDS = _takes_words()
