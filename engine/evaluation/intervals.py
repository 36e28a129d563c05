"""95 % intervals by resampling patients: radiographs of one patient are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cxrsweep.engine.evaluation.metrics import (
    LINE,
    METRICS,
    ODDS,
    SHARES,
    Bools,
    Floats,
    Places,
    Scored,
    WeightedFigures,
)

LEVEL = 0.95
FEWEST = 2  # patients that an interval needs
_CELLS_AT_ONCE = 400_000
_DEFINED = 0.9  # share of the resamples in which a figure must exist


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval; nan where there is none."""

    value: float
    low: float
    high: float


def resampled(
    patients: Places, resamples: int, seed: int, figure: Callable[[Floats], Floats]
) -> Floats:
    """Draw patients with replacement and compute something under each drawing.

    Args:
        patients: (N,) patient of each radiograph, numbered from 0.
        resamples: B.
        seed: of the drawings; they do not depend on how many are computed at once.
        figure: (b, N) times that each radiograph was drawn in, (b, ...) out.

    Returns:
        (B, ...).
    """
    return np.concatenate([figure(w) for w in _weights(patients, resamples, seed)])


def _weights(patients: Places, resamples: int, seed: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    count = int(patients.max()) + 1
    at_once = max(1, _CELLS_AT_ONCE // len(patients))
    for start in range(0, resamples, at_once):
        drawn = [
            np.bincount(generator.integers(0, count, count), minlength=count)
            for _ in range(min(at_once, resamples - start))
        ]
        yield np.stack(drawn).astype(np.float64)[:, patients]


def intervals_of(scored: Scored, resamples: int, seed: int) -> dict[str, Interval]:
    """Every metric with its interval.

    Args:
        scored: at least one radiograph.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    figures = WeightedFigures(scored)
    values = figures.of(np.ones((1, len(scored.scores))))

    def all_of(weights: Floats) -> Floats:
        found = figures.of(weights)
        return np.column_stack([found[name] for name in METRICS])

    drawn = resampled(figures.patients, resamples, seed, all_of)
    units, least = _units(scored), _woolf_error(scored)
    found = {
        name: _interval(name, float(values[name][0]), drawn[:, column], units[name], least)
        for column, name in enumerate(METRICS)
    }
    halves = [found[name] for name in ("sensitivity", "specificity")]
    return {**found, "balanced_accuracy": _mean_interval(*halves)}


def auc_of(scored: Scored, scores: Floats, resamples: int, seed: int) -> Interval:
    """AUC of other scores of the same radiographs, with its interval.

    Args:
        scored: truth and patients.
        scores: (N,) of any range.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    figures = WeightedFigures(replace(scored, scores=scores))
    value = float(figures.ranked(np.ones((1, len(scores))))["auc"][0])
    drawn = resampled(figures.patients, resamples, seed, lambda w: figures.ranked(w)["auc"])
    return _interval("auc", value, drawn, _units(scored)["auc"], 0.0)


@dataclass(frozen=True)
class Units:
    """How many patients a figure rests on.

    Attributes:
        patients: of the scarcer kind.
        at_edge: independent radiographs where every one is right, or none.
        most: independent radiographs elsewhere, at most.
    """

    patients: int
    at_edge: float
    most: float = math.inf


def _units(scored: Scored) -> dict[str, Units]:
    def units_of(chosen: Bools) -> Units:
        patients = len(np.unique(scored.patients[chosen]))
        return Units(patients, patients)

    positive, flagged = scored.positive, scored.flagged
    ill, well = units_of(positive), units_of(~positive)
    fewest = min(ill.patients, well.patients)
    everyone = len(np.unique(scored.patients))
    return {
        **dict.fromkeys(METRICS, Units(fewest, fewest)),
        **dict.fromkeys(("brier", "ece", *LINE), Units(everyone, everyone)),
        # Near 1 the AUC of m and n patients varies as a share of twice their harmonic mean does.
        # Source: the variance of Hanley and McNeil 1982 for AUC -> 1.
        "auc": Units(
            fewest,
            _harmonic(ill.patients, well.patients),
            _harmonic(int(positive.sum()), int((~positive).sum())),
        ),
        "sensitivity": ill,
        "specificity": well,
        "ppv": units_of(flagged),
        "npv": units_of(~flagged),
    }


def _harmonic(one: int, other: int) -> float:
    return 4 * one * other / (one + other)


def _interval(name: str, value: float, drawn: Floats, units: Units, least: float) -> Interval:
    found = drawn[np.isfinite(drawn)]
    is_known = math.isfinite(value) and len(found) >= max(_DEFINED * len(drawn), 2)
    if not is_known or units.patients < FEWEST:
        return Interval(value, math.nan, math.nan)
    if name in SHARES:
        return share_interval(value, float(found.var(ddof=1)), units)
    times = student(units)
    if name == ODDS:
        error = times * max(float(np.log(found).std(ddof=1)), least)
        return Interval(value, value * math.exp(-error), value * math.exp(error))
    error = times * float(found.std(ddof=1))
    return Interval(value, value - error, value + error)


def student(units: Units) -> float:
    """Half width of an interval in standard errors, a bit more than 1.96 for few patients."""
    more = math.sqrt(units.patients / (units.patients - 1))
    return float(stats.t.ppf((1 + LEVEL) / 2, units.patients - 1)) * more


def share_interval(value: float, variance: float, units: Units) -> Interval:
    """Wilson's interval of a share, of as many radiographs as the bootstrap's variance tells.

    It stays inside [0, 1] and has a width where every radiograph is right, which resampling cannot
    see: there, each patient counts once.

    Args:
        value: in [0, 1].
        variance: of the value, by the bootstrap.
        units: what the value rests on.

    Source: Wilson 1927; effective sample size as in Korn and Graubard 1998.
    """
    spread = value * (1 - value)
    is_inside = spread > 0 and variance > 0
    count = min(spread / variance, units.most) if is_inside else units.at_edge
    squared = student(units) ** 2 / count
    centre = (value + squared / 2) / (1 + squared)
    half = math.sqrt(squared * (spread + squared / 4)) / (1 + squared)
    return Interval(value, max(centre - half, 0.0), min(centre + half, 1.0))


def _mean_interval(one: Interval, other: Interval) -> Interval:
    """Interval of the mean of two independent shares from their own intervals.

    Source: square and add, Newcombe 1998.
    """
    value = (one.value + other.value) / 2
    down = math.hypot(one.value - one.low, other.value - other.low) / 2
    up = math.hypot(one.high - one.value, other.high - other.value) / 2
    return Interval(value, value - down, value + up)


def _woolf_error(scored: Scored) -> float:
    """Standard error of a log odds ratio with an empty cell, which resampling cannot see; else 0.

    Source: Woolf 1955, with the 0.5 of Gart 1966.
    """
    cells = [
        float((scored.positive == truth).astype(int) @ (scored.flagged == decision).astype(int))
        for truth in (True, False)
        for decision in (True, False)
    ]
    return 0.0 if all(cells) else math.sqrt(sum(1 / (cell + 0.5) for cell in cells))
