"""Pixels as the sweep makes them, by OpenCV and PyTorch: what a rival needs for the same scores."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cxrsweep.engine.recipe import Recipe


class Preparation:
    """Decodes, equalises and stretches files.

    Args:
        recipe: its side and equalisation; only the fit "stretch" is known here.
        area: resize by OpenCV's area filter: faster, and other pixels than the sweep's.
    """

    def __init__(self, recipe: Recipe, *, area: bool = False) -> None:
        assert recipe.fit == "stretch", "the rivals know no other fit"
        assert recipe.antialias, "the rivals know no plain samples"
        assert recipe.equalise != "clahe", "the rivals know no CLAHE"
        self.side = recipe.side
        self.equalise = recipe.equalise == "histogram"
        self.area = area

    def fitted(self, path: Path) -> NDArray[np.uint8]:
        """A file as (1, S, S) uint8."""
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert grey is not None, f"OpenCV cannot decode {path}"
        if self.equalise:
            grey = cv2.equalizeHist(grey)
        if self.area:
            shrunk = cv2.resize(grey, (self.side, self.side), interpolation=cv2.INTER_AREA)
            return np.asarray(shrunk, np.uint8)[None]
        columns = shrunk_rows(torch.from_numpy(np.asarray(grey)).float(), self.side)
        fitted = shrunk_rows(columns.T, self.side).T
        return np.asarray(fitted.round().clamp(0, 255).byte().numpy())[None]


def shrunk_rows(plane: Tensor, side: int) -> Tensor:
    """Resize the rows of a plane with the antialiased triangle filter, as DALI does.

    torch and DALI differ in the first and last row alone: where the filter reaches over the border,
    torch leaves its taps out and DALI repeats the border. Same scores need the same pixels.

    Args:
        plane: (h, w) float32.
        side: rows of the result.

    Returns:
        (side, w) float32.
    """
    wide = (side, plane.shape[1])
    rows = F.interpolate(plane[None, None], wide, mode="bilinear", antialias=True)[0, 0]
    weights = _border_weights(plane.shape[0] / side)
    rows[0] = weights @ plane[: len(weights)]
    rows[-1] = weights.flip(0) @ plane[-len(weights) :]
    return rows


def _border_weights(scale: float) -> Tensor:
    """Weights of the first source rows in the first row of the result."""
    centre, radius = scale / 2 - 0.5, max(scale, 1.0)
    taps = np.arange(math.floor(centre - radius), math.ceil(centre + radius) + 1)
    shares = np.clip(1 - np.abs(taps - centre) / radius, 0, None)
    weights = np.zeros(taps.max() + 1, np.float32)
    np.add.at(weights, np.clip(taps, 0, None), shares / shares.sum())
    return torch.from_numpy(weights)
