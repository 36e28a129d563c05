"""Intervals of repeated measurements on machines that drift: rounds in, 95 % intervals out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
FEWEST = 2.5  # independent rounds that a short, drifting series is worth, at least


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Larger distance of an end from the value, as a share of the value."""
        return max(self.high - self.value, self.value - self.low) / self.value


def median_interval(rounds: Sequence[Sequence[float]]) -> Interval:
    """Median of all measurements, with the interval that the medians of the rounds give it.

    Measurements of one round are alike, and so are rounds that follow each other, because machines
    drift: n rounds count as the fewer independent ones that would tell as much.

    Args:
        rounds: at least two, each with at least one value.

    Source: mean of an autoregressive series of order 1: n (1 - r) / (1 + r) independent values; r
    corrected for its bias, Marriott and Pope 1954.
    """
    medians = np.array([np.median(values) for values in rounds])
    value = float(np.median(np.concatenate([np.asarray(values) for values in rounds])))
    spread = float(medians.std(ddof=1))
    if spread == 0:
        return Interval(value, value, value)
    count = len(medians)
    likeness = min(max(_likeness(medians), 0.0), 0.9)
    independent = max(count * (1 - likeness) / (1 + likeness), FEWEST)
    half = student_quantile((1 + LEVEL) / 2, independent - 1) * spread / math.sqrt(independent)
    return Interval(value, value - half, value + half)


def _likeness(series: NDArray[np.float64]) -> float:
    """Correlation of neighbours."""
    centred = series - series.mean()
    found = float((centred[1:] * centred[:-1]).sum() / (centred**2).sum())
    return found + (1 + 3 * found) / len(series)


def student_quantile(share: float, freedom: float) -> float:
    """Quantile of Student's t; off by less than 2 % from 3 degrees of freedom on.

    Source: Abramowitz and Stegun 26.7.5.
    """
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
