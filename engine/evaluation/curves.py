"""Points of the curves of one label: truth and scores in, what a report draws out."""

from __future__ import annotations

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from cxrsweep.engine.evaluation.metrics import BINS, Bools, Floats, bin_of
from cxrsweep.engine.evaluation.results import Curve, Curves

MOST_POINTS = 1000  # a page is not wider


def curves_of(positive: Bools, scores: Floats) -> Curves:
    """ROC, precision and recall, and calibration.

    Args:
        positive: (N,) truth, of both kinds; of one kind alone, ROC and precision are empty.
        scores: (N,) in [0, 1].
    """
    share, mean = calibration_curve(positive, scores, n_bins=BINS)
    counts = np.bincount(bin_of(scores), minlength=BINS)
    roc = precision_recall = Curve(x=[], y=[])
    if positive.any() and not positive.all():
        false_positive, true_positive, _ = roc_curve(positive, scores)
        precision, recall, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
        roc = _curve(false_positive, true_positive)
        precision_recall = _curve(recall[::-1], precision[::-1])
    return Curves(
        roc=roc,
        precision_recall=precision_recall,
        calibration=_curve(mean, share),
        calibration_counts=[int(count) for count in counts if count],
    )


def _curve(x: Floats, y: Floats) -> Curve:
    """All points, or evenly spaced ones with both ends."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
    return Curve(x=x[kept].tolist(), y=y[kept].tolist())
