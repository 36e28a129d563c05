"""Figures of one label, for many weightings of the same radiographs at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]

BINS = 10  # of equal width, for the calibration error and the calibration curve
LAST_DIGIT = 1e-6  # results.csv has six decimals: 0 and 1 stand for what rounds to them
_STEPS = 30
_STEADY = 1e-6  # of the last step; Newton's next one would be its square

SHARES = (
    *("auc", "average_precision", "sensitivity", "specificity", "ppv", "npv"),
    *("f_score", "balanced_accuracy", "brier", "ece"),
)
ODDS = "diagnostic_odds_ratio"
LINE = ("calibration_slope", "calibration_intercept")
METRICS = (*SHARES[:8], ODDS, "brier", *LINE, "ece")


@dataclass(frozen=True)
class Scored:
    """Radiographs with a score and the truth of one label.

    Attributes:
        positive: (N,) truth.
        scores: (N,) in [0, 1].
        flagged: (N,) decision.
        patients: (N,) number of each radiograph's patient, from 0, none left out.
    """

    positive: Bools
    scores: Floats
    flagged: Bools
    patients: Places

    def some(self, chosen: Bools) -> Scored:
        """Only some radiographs, patients numbered anew."""
        patients = np.unique(self.patients[chosen], return_inverse=True)[1]
        return Scored(self.positive[chosen], self.scores[chosen], self.flagged[chosen], patients)


def bin_of(scores: Floats) -> Places:
    """(N,) number of each score's bin; an edge belongs to the bin below it, as in scikit-learn."""
    return np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], scores)


class WeightedFigures:
    """Computes every metric of some radiographs under weights.

    Args:
        scored: the radiographs, in any order.

    Attributes:
        patients: (N,) patient of each radiograph in the order of the weights, by rising score.
    """

    def __init__(self, scored: Scored) -> None:
        order = np.argsort(scored.scores, kind="stable")
        self.patients = scored.patients[order]
        scores, positive = scored.scores[order], scored.positive[order]
        flagged = scored.flagged[order]
        self._positive = positive.astype(np.float64)
        self._starts = np.flatnonzero(np.r_[True, np.diff(scores) > 0][: len(scores)])
        cells = [positive & flagged, ~positive & flagged, positive & ~flagged, ~positive & ~flagged]
        bins = bin_of(scores)[:, None] == np.arange(BINS)
        gaps = bins * (self._positive - scores)[:, None]
        self._sums = np.column_stack([*cells, (scores - positive) ** 2, gaps]).astype(np.float64)
        self._line = _CalibrationLine(scores, self._positive)

    def of(self, weights: Floats) -> dict[str, Floats]:
        """Every metric under each row of weights; nan where it is not defined.

        Args:
            weights: (B, N) from 0, in the order of `patients`.

        Returns:
            metric -> (B,).
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            sums = weights @ self._sums
            tp, fp, fn, tn = sums[:, :4].T
            total = weights.sum(1)
            slope, intercept = self._line.of(weights)
            sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
            return {
                **self.ranked(weights),
                "sensitivity": sensitivity,
                "specificity": specificity,
                "ppv": tp / (tp + fp),
                "npv": tn / (tn + fn),
                "f_score": 2 * tp / (2 * tp + fp + fn),
                "balanced_accuracy": (sensitivity + specificity) / 2,
                ODDS: odds_ratio(tp, fp, fn, tn),
                "brier": sums[:, 4] / total,
                "calibration_slope": slope,
                "calibration_intercept": intercept,
                "ece": np.abs(sums[:, 5:]).sum(1) / total,
            }

    def ranked(self, weights: Floats) -> dict[str, Floats]:
        """What depends on the order of the scores alone; equal scores count as one place.

        Args:
            weights: (B, N) from 0, in the order of `patients`.

        Returns:
            auc and average_precision, (B,) each.
        """
        positive = self._at_scores(weights * self._positive)
        negative = self._at_scores(weights * (1 - self._positive))
        below = negative.cumsum(1)
        positives, negatives = positive.sum(1), below[:, -1]
        found = positive[:, ::-1].cumsum(1)
        flagged = found + negative[:, ::-1].cumsum(1)
        precision = found / np.where(flagged > 0, flagged, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = (positive * (below - negative / 2)).sum(1) / (positives * negatives)
            average = (positive[:, ::-1] * precision).sum(1) / positives
        return {"auc": auc, "average_precision": average}

    def _at_scores(self, weights: Floats) -> Floats:
        if len(self._starts) == weights.shape[1]:
            return weights
        return np.add.reduceat(weights, self._starts, axis=1)


def odds_ratio(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    """Diagnostic odds ratio; where a cell is zero, each of the four gets 0.5 more.

    Source: Haldane 1956, Anscombe 1956.
    """
    more = np.where((tp == 0) | (fp == 0) | (fn == 0) | (tn == 0), 0.5, 0.0)
    return np.asarray((tp + more) * (tn + more) / ((fp + more) * (fn + more)))


class _CalibrationLine:
    """Slope of the truth's log odds over the score's, and what is to be added at slope 1."""

    def __init__(self, scores: Floats, positive: Floats) -> None:
        half = LAST_DIGIT / 2
        self._logits = logit(np.clip(scores, half, 1 - half))
        self._positive = positive

    def of(self, weights: Floats) -> tuple[Floats, Floats]:
        """(B,) slopes and (B,) intercepts."""
        if not 0 < self._positive.sum() < len(self._positive) or np.ptp(self._logits) == 0:
            nothing = np.full(len(weights), np.nan)
            return nothing, nothing
        found = []
        for is_free, begin in zip((True, False), self._begin, strict=True):
            start = np.tile(begin, (len(weights), 1))
            found.append(self._newton(weights, start, is_free=is_free))
        return found[0][:, 1], found[1][:, 0]

    @cached_property
    def _begin(self) -> list[Floats]:
        """Both fits with every weight 1: a resample's are near them."""
        ones, zeros = np.ones((1, len(self._logits))), np.zeros((1, 2))
        return [self._newton(ones, zeros, is_free=is_free)[0] for is_free in (True, False)]

    def _newton(self, weights: Floats, start: Floats, *, is_free: bool) -> Floats:
        """Fit (B, 2) intercepts and slopes; nan where it does not settle, as for separated data.

        Args:
            weights: (B, N).
            start: (B, 2).
            is_free: fit the slope too; else it stays 1.
        """
        x, place = self._logits, start.copy()
        if not is_free:
            place[:, 1] = 1.0
        wanted, step = weights * self._positive, np.full(len(weights), np.inf)
        for _ in range(_STEPS):
            share = expit(place[:, :1] + place[:, 1:] * x)
            residual, curve = wanted - weights * share, weights * share * (1 - share)
            up, bend = residual.sum(1), curve.sum(1)
            if is_free:
                up_x, bend_x, bend_xx = residual @ x, curve @ x, curve @ (x * x)
                area = bend * bend_xx - bend_x**2
                moves = (
                    np.column_stack([bend_xx * up - bend_x * up_x, bend * up_x - bend_x * up])
                    / area[:, None]
                )
            else:
                moves = np.column_stack([up / bend, np.zeros(len(bend))])
            step = np.abs(moves).max(1)
            place += moves
            if not (step[np.isfinite(step)] > _STEADY).any():
                break
        place[~(step <= _STEADY)] = np.nan
        return place
