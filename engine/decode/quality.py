"""Doubts about a radiograph that is scored all the same: fitted pixels in, flag words out."""

from __future__ import annotations

import numpy as np

from cxrsweep.engine.decode.grey import Uint8

INVERTED, CLIPPED = "inverted", "clipped"  # in the column `flags`
_SIDE = 64  # pixels are looked at on a grid of about so many a side
_MARGIN = 20  # grey levels; docs/formats.md says what it costs and finds
_WHITE_SHARE = 0.05


def quality_words(shown: Uint8) -> list[str]:
    """Words for the column `flags`, from a few thousand pixels of this radiograph alone.

    Args:
        shown: (H, W) equalised as the recipe says, without padding; one smaller than 64 pixels
            gets no word.

    Returns:
        `inverted`: the spine is darker than the lungs, and the left and right edges brighter than
        the spine; `clipped`: over 5 % of the pixels are white.
    """
    height, width = shown.shape
    if min(height, width) < _SIDE:
        return []
    few = shown[:: height // _SIDE, :: width // _SIDE]
    height, width = few.shape
    middle = few[height // 4 : height * 3 // 4]
    spine = middle[:, width * 7 // 16 : width * 9 // 16].mean()
    left, right = width * 3 // 16, width * 11 // 32
    lungs = middle[:, left:right], middle[:, width - right : width - left]
    edges = few[:, : width // 20], few[:, -(width // 20) :]
    words = []
    if spine < _mean(lungs) and _mean(edges) - spine > _MARGIN:
        words.append(INVERTED)
    if np.count_nonzero(few == 255) > _WHITE_SHARE * few.size:
        words.append(CLIPPED)
    return words


def _mean(parts: tuple[Uint8, Uint8]) -> float:
    return float((parts[0].mean() + parts[1].mean()) / 2)
