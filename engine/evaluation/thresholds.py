"""Decision thresholds: scored radiographs and a target in, a threshold and what it costs out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation import RESAMPLES
from cxrsweep.engine.evaluation.intervals import (
    LEVEL,
    Interval,
    Units,
    intervals_of,
    resampled,
    share_interval,
)
from cxrsweep.engine.evaluation.metrics import LAST_DIGIT, Bools, Floats, Scored
from cxrsweep.engine.evaluation.results import ChosenThreshold, Estimate, estimate_of

CASES = 10_000
_WORDS = {
    "sensitivity": "sensitivity of at least {:g}",
    "specificity": "specificity of at least {:g}",
    "ppv": "PPV of at least {:g}",
    "flagged": "at most {:g} flagged of 10,000",
}


@dataclass(frozen=True)
class Target:
    """What a threshold is chosen for.

    Attributes:
        kind: of the figure; flagged counts cases per 10,000.
        value: at least, or of flagged cases at most.
        prevalence: in (0, 1), for PPV and flagged cases.
    """

    kind: Literal["sensitivity", "specificity", "ppv", "flagged"]
    value: float
    prevalence: float


def chosen_threshold(
    scored: Scored, label: str, target: Target, resamples: int = RESAMPLES, seed: int = 0
) -> ChosenThreshold:
    """Choose the threshold that reaches the target and gives most of the rest.

    Of sensitivity the highest threshold that reaches it; of all others the lowest. It lies half a
    digit below a score of results.csv, so that what is rounded there is decided the same way.

    Args:
        scored: radiographs with truth; their decisions do not matter.
        label: for the result and for messages.
        target: what to reach.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        EvaluationError: one kind of truth is missing, or no threshold reaches the target.
    """
    if scored.positive.all() or not scored.positive.any():
        raise EvaluationError(
            f"a threshold for {label} needs positives and negatives;"
            f" {int(scored.positive.sum())} of {len(scored.positive)} are positive"
        )
    rates = _Rates(scored)
    ones = np.ones((1, len(scored.scores)))
    chosen = int(rates.chosen(ones, target)[0])
    if chosen < 0:
        raise EvaluationError(_unreached(label, target, rates.values(ones, target)))
    limit = float(rates.limits[chosen])

    def places(weights: Floats) -> Floats:
        return rates.chosen(weights, target).astype(np.float64)

    drawn = resampled(rates.patients, resamples, seed, places)
    decided = replace(scored, flagged=scored.scores >= limit)
    figures = intervals_of(decided, resamples, seed)
    costs = _costs(decided, rates, chosen, target.prevalence, (resamples, seed))
    costs = _no_narrower(costs, figures["sensitivity"], figures["specificity"], target.prevalence)
    return ChosenThreshold(
        label=label,
        asked=_WORDS[target.kind].format(target.value),
        prevalence=target.prevalence,
        threshold=_limits_of(rates.limits, limit, drawn),
        sensitivity=estimate_of(figures["sensitivity"]),
        specificity=estimate_of(figures["specificity"]),
        ppv=estimate_of(costs[0]),
        flagged_per_10000=_per_10000(estimate_of(costs[1])),
        n=len(scored.positive),
        positives=int(scored.positive.sum()),
        groups=int(scored.patients.max()) + 1,
    )


class _Rates:
    """Sensitivity and specificity at every score that occurs, under weights.

    Attributes:
        limits: (U,) thresholds, rising.
        patients: (N,) in the order of the weights.
    """

    def __init__(self, scored: Scored) -> None:
        order = np.argsort(scored.scores, kind="stable")
        scores, self._starts = np.unique(scored.scores[order], return_index=True)
        # rounded, so that the figure in the bundle is the one that is printed
        self.limits = np.clip(np.round(scores - LAST_DIGIT / 2, 7), 0, 1)
        self.patients = scored.patients[order]
        self._positive = scored.positive[order].astype(np.float64)

    def of(self, weights: Floats) -> tuple[Floats, Floats]:
        """(B, U) sensitivities and specificities; nan where a kind was not drawn."""
        with np.errstate(invalid="ignore"):
            parts = []
            for kind in (self._positive, 1 - self._positive):
                counts = np.add.reduceat(weights * kind, self._starts, axis=1)
                parts.append(counts[:, ::-1].cumsum(1)[:, ::-1] / counts.sum(1, keepdims=True))
        return parts[0], 1 - parts[1]

    def values(self, weights: Floats, target: Target) -> Floats:
        """(B, U) of the figure that the target is about."""
        sensitivity, specificity = self.of(weights)
        if target.kind == "sensitivity":
            return sensitivity
        if target.kind == "specificity":
            return specificity
        ppv, flagged = predictive(sensitivity, specificity, target.prevalence)
        return ppv if target.kind == "ppv" else CASES * flagged

    def chosen(self, weights: Floats, target: Target) -> np.ndarray:
        """(B,) place of the chosen threshold, -1 where none reaches the target."""
        reached = _reached(self.values(weights, target), target)
        is_any = reached.any(1)
        if target.kind == "sensitivity":
            place = reached.shape[1] - 1 - reached[:, ::-1].argmax(1)
        else:
            place = reached.argmax(1)
        return np.where(is_any, place, -1)


def _reached(values: Floats, target: Target) -> Bools:
    slack = 1e-12  # 19 of 20 is 0.95, whatever the order of the sums
    if target.kind == "flagged":
        return np.asarray(values <= target.value * (1 + slack))
    return np.asarray(values >= target.value - slack)


def predictive(
    sensitivity: Floats, specificity: Floats, prevalence: float
) -> tuple[Floats, Floats]:
    """PPV and share of flagged cases where a prevalence holds; PPV nan where none is flagged."""
    found = prevalence * sensitivity
    flagged = found + (1 - prevalence) * (1 - specificity)
    with np.errstate(invalid="ignore", divide="ignore"):
        return found / flagged, flagged


def _unreached(label: str, target: Target, values: Floats) -> str:
    best = np.nanmin(values) if target.kind == "flagged" else np.nanmax(values)
    remedy = "allow more" if target.kind == "flagged" else "ask for less"
    return (
        f"no threshold of {label} reaches: {_WORDS[target.kind].format(target.value)}"
        f" (prevalence {target.prevalence:g}); the best is {best:.4g}: {remedy}"
    )


def _limits_of(limits: Floats, value: float, drawn: Floats) -> Estimate:
    """Percentiles of the thresholds that the resamples choose; each of them is a real one."""
    found = drawn[drawn >= 0].astype(int)
    if len(found) < 0.9 * len(drawn):
        return Estimate(value=value, low=None, high=None)
    edges = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(limits[found], edges, method="inverted_cdf")
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def _costs(
    scored: Scored, rates: _Rates, chosen: int, prevalence: float, draws: tuple[int, int]
) -> list[Interval]:
    """PPV and share of flagged cases at the prevalence."""

    def both(weights: Floats) -> Floats:
        sensitivity, specificity = rates.of(weights)
        return np.column_stack(
            predictive(sensitivity[:, chosen], specificity[:, chosen], prevalence)
        )

    values = both(np.ones((1, len(scored.scores))))[0]
    drawn = resampled(rates.patients, *draws, both)
    found = []
    for value, column, part in zip(
        values, drawn.T, (scored.flagged, np.ones_like(scored.flagged)), strict=True
    ):
        patients = len(np.unique(scored.patients[part]))
        known = column[np.isfinite(column)]
        if patients < 2 or len(known) < 0.9 * len(column):
            found.append(Interval(float(value), math.nan, math.nan))
            continue
        units = Units(patients, patients)
        found.append(share_interval(float(value), float(known.var(ddof=1)), units))
    return found


def _no_narrower(
    costs: list[Interval], sensitivity: Interval, specificity: Interval, prevalence: float
) -> list[Interval]:
    """Widen PPV and share of flagged cases where a sample without errors hides what they may be.

    Where no negative is flagged, or every positive is, no resample differs in it: then the ends of
    sensitivity and specificity say how far the others may lie.
    """
    if specificity.value < 1 and 0 < sensitivity.value < 1:
        return costs
    ends = [
        (np.array([sensitivity.low]), np.array([specificity.low])),
        (np.array([sensitivity.high]), np.array([specificity.high])),
        (np.array([sensitivity.high]), np.array([specificity.low])),
        (np.array([sensitivity.low]), np.array([specificity.high])),
    ]
    corners = np.array([predictive(*end, prevalence) for end in ends])[..., 0]
    return [
        Interval(
            cost.value, float(np.nanmin([cost.low, *some])), float(np.nanmax([cost.high, *some]))
        )
        for cost, some in zip(costs, corners.T, strict=True)
    ]


def _per_10000(estimate: Estimate) -> Estimate:
    values = {name: value and CASES * value for name, value in estimate.model_dump().items()}
    return Estimate(**values)
