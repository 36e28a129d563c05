"""The verdict: paired times of two revisions in; slower, not slower or cannot tell out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from cxrsweep.bench.intervals import Interval
from cxrsweep.engine.errors import CxrsweepError

# Of several stages, one may look slower by chance: 99 % each keeps the chance of any below 5 %.
LEVEL = 0.99
DRAWS = 4000
FEWEST_PAIRS = 8


Measure = Literal["time", "CPU time"]


class GateError(CxrsweepError):
    """Nothing was measured, so there is no verdict."""


class Verdict(StrEnum):
    """What can be said of one revision against another."""

    SLOWER = "slower"
    NOT_SLOWER = "not slower"
    CANNOT_TELL = "cannot tell"


EXIT_CODES = {Verdict.NOT_SLOWER: 0, Verdict.SLOWER: 10, Verdict.CANNOT_TELL: 11}
NOTHING_MEASURED = 12


@dataclass(frozen=True)
class StageVerdict:
    """One stage.

    Attributes:
        stage: its name.
        ratio: seconds of the new revision over those of the old one, with its 99 % interval.
        noise: the same of the old revision over itself: what this machine makes of no change.
        verdict: see `judged`.
        measure: what the ratios are of.
    """

    stage: str
    ratio: Interval
    noise: Interval
    verdict: Verdict
    measure: Measure = "time"


def ratio_interval(ratios: Sequence[float]) -> Interval:
    """Median of paired ratios with its 99 % percentile-bootstrap interval.

    Args:
        ratios: of seconds, one per pair.

    Raises:
        GateError: there are too few, or one is no positive number: nothing was measured.
    """
    values = np.asarray(ratios, np.float64)
    if len(values) < FEWEST_PAIRS or not (np.isfinite(values).all() and (values > 0).all()):
        raise GateError(
            f"{len(values)} pairs of times were measured, and {FEWEST_PAIRS} positive ones are the"
            " fewest that tell anything; give it more --seconds"
        )
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(values), (DRAWS, len(values)))
    medians = np.median(values[drawn], axis=1)
    low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.median(values)), float(low), float(high))


def judged(
    stage: str,
    old: Sequence[float],
    again: Sequence[float],
    new: Sequence[float],
    threshold: float,
    measure: Measure = "time",
) -> StageVerdict:
    """Judge one stage.

    Slower: the whole interval lies above the threshold, and above what the machine made of the old
    revision against itself. Not slower: the whole interval lies below the threshold. Anything
    between cannot be told.

    Args:
        stage: its name.
        old: seconds of the old revision, one per round.
        again: the same, by a second process of the old revision.
        new: seconds of the new revision in the same rounds.
        threshold: share, for example 0.05.
        measure: what the seconds are of.

    Raises:
        GateError: nothing was measured.
    """
    if not len(old) == len(again) == len(new):
        raise GateError(f"{stage}: {len(old)}, {len(again)} and {len(new)} times make no pairs")
    noise = ratio_interval([b / a for a, b in zip(old, again, strict=True)])
    both = [(a + b) / 2 for a, b in zip(old, again, strict=True)]
    ratio = ratio_interval([b / a for a, b in zip(both, new, strict=True)])
    floor = max(noise.value, 1 / noise.value)
    if ratio.low > max(1 + threshold, floor):
        verdict = Verdict.SLOWER
    elif ratio.high < 1 + threshold:
        verdict = Verdict.NOT_SLOWER
    else:
        verdict = Verdict.CANNOT_TELL
    return StageVerdict(stage, ratio, noise, verdict, measure)


def overall(stages: Sequence[StageVerdict]) -> Verdict:
    """Slower if any stage is, not slower if all are, else cannot tell.

    Raises:
        GateError: there is no stage.
    """
    if not stages:
        raise GateError("no stage was measured")
    verdicts = {stage.verdict for stage in stages}
    for found in (Verdict.SLOWER, Verdict.CANNOT_TELL):
        if found in verdicts:
            return found
    return Verdict.NOT_SLOWER
