"""Scores in, decisions out: what a recipe's thresholds make of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.recipe import Recipe

UNSURE = 0.5  # decision threshold of a sigmoid label without one in the recipe


def decisions_of(recipe: Recipe, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Decide each label: by its threshold, else by the highest softmax score or 0.5.

    Args:
        recipe: thresholds and activation.
        scores: (N, L) float32.

    Returns:
        (N, L) bool.
    """
    labels = recipe.classifier.labels
    if recipe.classifier.activation == "softmax" and not recipe.thresholds:
        return np.asarray(scores == scores.max(1, keepdims=True))
    limits = np.array([recipe.thresholds.get(label, UNSURE) for label in labels], np.float32)
    return np.asarray(scores >= limits)
