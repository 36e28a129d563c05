"""Slow, plain references that the tests compare with."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def triangle_resized(grey: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.int64]:
    """Resize with the antialiased triangle filter, borders repeated: float64, rounded at the end.

    Args:
        grey: (H, W) uint8.
        size: rows and columns of the result.
    """
    plane = grey.astype(np.float64)
    for axis, side in enumerate(size):
        matrix = np.zeros((side, plane.shape[axis]))
        scale = plane.shape[axis] / side
        radius = max(scale, 1.0)
        for row in range(side):
            centre = (row + 0.5) * scale - 0.5
            taps = np.arange(math.floor(centre - radius), math.ceil(centre + radius) + 1)
            weights = np.clip(1 - np.abs(taps - centre) / radius, 0, None)
            for tap, weight in zip(taps, weights / weights.sum(), strict=True):
                matrix[row, min(max(tap, 0), plane.shape[axis] - 1)] += weight
        plane = matrix @ plane if axis == 0 else plane @ matrix.T
    return np.rint(plane).astype(np.int64)
