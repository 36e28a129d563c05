"""Two results of the same benchmark in, the ratio of every figure out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cxrsweep.bench.intervals import Interval
from cxrsweep.bench.regression.verdict import DRAWS, LEVEL, Verdict
from cxrsweep.bench.results import (
    Gate,
    Latency,
    Result,
    ResultError,
    Rivals,
    Setup,
    Spread,
    Throughput,
)

_STARTS = ("network", "host", "files")


@dataclass(frozen=True)
class Compared:
    """One figure.

    Attributes:
        name: what was measured.
        ratio: time of the second over that of the first, with its interval.
        verdict: by a threshold, as for stages of the gate.
    """

    name: str
    ratio: Interval
    verdict: Verdict


def compared(first: Result, second: Result, threshold: float) -> list[Compared]:
    """Compare figure by figure.

    Args:
        first: the older.
        second: of the same kind, on the same bundle and files.
        threshold: share that is too much.

    Raises:
        ResultError: they measured different things.
    """
    if isinstance(first, Rivals):
        first = first.sweep
    if isinstance(second, Rivals):
        second = second.sweep
    if isinstance(first, Gate) or isinstance(second, Gate):
        raise ResultError("a verdict of the gate is no measurement to compare with")
    _refuse_different(first, second)
    if isinstance(first, Latency) and isinstance(second, Latency):
        pairs = list(_latencies(first, second))
    elif isinstance(first, Throughput) and isinstance(second, Throughput):
        pairs = list(_sweeps(first, second))
    else:
        raise ResultError(f"{first.kind} and {second.kind} have no figure in common")
    if not pairs:
        raise ResultError("the two have no size of batch in common")
    return [Compared(name, ratio, judged_alone(ratio, threshold)) for name, ratio in pairs]


def notes_on(first: Setup, second: Setup) -> list[str]:
    """Where the two were measured on different things that are not refused."""
    before, after = first.model_dump(), second.model_dump()
    before |= before.pop("versions")
    after |= after.pop("versions")
    return [
        f"{key}: {before.get(key)}, then {after.get(key)}"
        for key in before | after
        if key != "started" and before.get(key) != after.get(key)
    ]


def judged_alone(ratio: Interval, threshold: float) -> Verdict:
    """The verdict of an interval against a threshold."""
    if ratio.low > 1 + threshold:
        return Verdict.SLOWER
    return Verdict.NOT_SLOWER if ratio.high < 1 + threshold else Verdict.CANNOT_TELL


def ratio_of_rates(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Median rate of the first over that of the second, with a bootstrap interval of both.

    Raises:
        ResultError: one has fewer than three rounds.
    """
    if min(len(first), len(second)) < 3:
        raise ResultError("an interval needs three rounds or more on both sides; give --rounds 5")
    generator = np.random.default_rng(0)
    medians = []
    for rates in (np.asarray(first), np.asarray(second)):
        drawn = generator.integers(0, len(rates), (DRAWS, len(rates)))
        medians.append(np.median(rates[drawn], axis=1))
    low, high = np.quantile(medians[0] / medians[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.median(first) / np.median(second)), float(low), float(high))


def _refuse_different(first: Latency | Throughput, second: Latency | Throughput) -> None:
    same = {
        "kind": (first.kind, second.kind),
        "bundle": (first.setup.bundle_sha256[:12], second.setup.bundle_sha256[:12]),
        "files": (first.files, second.files),
        "batch": (getattr(first, "batch", None), getattr(second, "batch", None)),
        "number of cores": (first.threads, second.threads),
    }
    for name, (old, new) in same.items():
        if old != new:
            raise ResultError(
                f"the two were measured with another {name} ({old}, then {new}), so a ratio would"
                " say nothing; measure both with the same"
            )


def _latencies(first: Latency, second: Latency) -> Iterator[tuple[str, Interval]]:
    later = {batch.batch: batch for batch in second.batches}
    for batch in first.batches:
        if batch.batch not in later:
            continue
        other = later[batch.batch]
        before: tuple[Spread, ...] = (batch, batch.host_to_scores, batch.file_to_scores)
        after: tuple[Spread, ...] = (other, other.host_to_scores, other.file_to_scores)
        for start, old, new in zip(_STARTS, before, after, strict=True):
            yield f"batch {batch.batch} from {start}", _ratio_of_spreads(old, new)


def _sweeps(first: Throughput, second: Throughput) -> Iterator[tuple[str, Interval]]:
    for old, new in ((first, second), (first.cold, second.cold)):
        if old and new:
            ratio = ratio_of_rates(old.end_to_end_rounds, new.end_to_end_rounds)
            yield f"sweep, {old.files.cache} cache", ratio


def _ratio_of_spreads(old: Spread, new: Spread) -> Interval:
    """Of medians with independent intervals: the shares of their widths add up in squares."""
    value = new.p50_ms / old.p50_ms
    shares = [(s.p50_high_ms - s.p50_low_ms) / 2 / s.p50_ms for s in (old, new)]
    half = value * math.hypot(*shares)
    return Interval(value, value - half, value + half)
