"""How far two answers to the same question are apart: pixels, scores, boxes, decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runners import Scores
from cxrsweep.engine.runs.decisions import decisions_of

Uint8 = NDArray[np.uint8]


def pixel_agreement(truth: Uint8, found: Uint8, names: Sequence[str]) -> dict[str, Any]:
    """Compare grey levels.

    Args:
        truth: (N, 1, S, S) uint8.
        found: the same.
        names: N, to name the worst.

    Returns:
        largest and mean difference in grey levels, share of pixels that differ, the largest of
        the radiographs' own means, and whose it is.
    """
    difference = np.abs(truth.astype(np.int16) - found.astype(np.int16)).reshape(len(names), -1)
    means = difference.mean(1)
    return {
        "radiographs": len(names),
        "largest": int(difference.max()),
        "mean": round(float(difference.mean()), 5),
        "differing_share": round(float((difference > 0).mean()), 6),
        "over_2_share": round(float((difference > 2).mean()), 6),
        "worst_mean": round(float(means.max()), 5),
        "worst": names[int(means.argmax())],
    }


def joined(parts: Sequence[Scores]) -> Scores:
    """One table of scores from those of several batches."""
    probes = [part.probe_scores for part in parts if part.probe_scores is not None]
    return Scores(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.lung_box for part in parts]),
        np.concatenate([part.lung_fraction for part in parts]),
        np.concatenate(probes) if probes else None,
    )


def are_equal(one: Scores, other: Scores) -> bool:
    """Whether every output is the same to the bit."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in Scores.__dataclass_fields__]
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and a.tobytes() == b.tobytes())
        for a, b in pairs
    )


def score_agreement(
    recipe: Recipe, names: Sequence[str], truth: Scores, found: Scores
) -> dict[str, Any]:
    """Compare scores, boxes and decisions.

    Args:
        recipe: its thresholds decide, its side scales the boxes.
        names: N, to name the worst.
        truth: what is held to be right.
        found: of the same radiographs.

    Returns:
        differences of scores, of box sides in pixels of the S-sized radiograph and of the lung
        fraction; radiographs whose decision differs; names. A score that is not a number counts
        as a difference of 1 and is counted by itself.
    """
    difference = np.nan_to_num(np.abs(found.scores - truth.scores), nan=1.0)
    boxes = np.abs(found.lung_box - truth.lung_box) * recipe.side
    fractions = np.nan_to_num(np.abs(found.lung_fraction - truth.lung_fraction))
    flips = (decisions_of(recipe, found.scores) != decisions_of(recipe, truth.scores)).any(1)
    per_radiograph = difference.max(1)
    return {
        "radiographs": len(names),
        "largest_score_difference": float(per_radiograph.max()),
        "mean_score_difference": float(difference.mean()),
        "not_a_number": int(np.isnan(found.scores).any(1).sum()),
        "largest_box_shift_px": float(np.nan_to_num(boxes, nan=recipe.side).max()),
        "mean_box_shift_px": float(np.nan_to_num(boxes, nan=recipe.side).mean()),
        "largest_lung_fraction_difference": float(fractions.max()),
        "decision_flips": int(flips.sum()),
        "flipped": [names[place] for place in np.flatnonzero(flips).tolist()][:8],
        "worst": names[int(per_radiograph.argmax())],
    }
