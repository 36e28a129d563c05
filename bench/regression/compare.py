"""Two results of the same benchmark in, the ratio of every figure out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from cxrsweep.bench.intervals import LEVEL, Interval
from cxrsweep.bench.regression.verdict import DRAWS, Verdict
from cxrsweep.bench.regression.verdict import LEVEL as BOOTSTRAP_LEVEL
from cxrsweep.bench.results import (
    Comparison,
    Gate,
    Judged,
    Latency,
    Result,
    ResultError,
    Rivals,
    Setup,
    Spread,
    Throughput,
    VerdictWord,
)

_WORST_FIRST: tuple[VerdictWord, ...] = ("slower", "cannot tell", "not slower")


def compared(first: Result, second: Result, threshold: float) -> Comparison:
    """Compare figure by figure.

    Args:
        first: the older.
        second: of the same kind, on the same bundle and files.
        threshold: share that is too much.

    Raises:
        ResultError: they measured different things.
    """
    first, second = _measurement(first), _measurement(second)
    _refuse_different(first, second)
    if isinstance(first, Latency) and isinstance(second, Latency):
        pairs, level = list(_latencies(first, second)), LEVEL
    elif isinstance(first, Throughput) and isinstance(second, Throughput):
        pairs, level = list(_sweeps(first, second)), BOOTSTRAP_LEVEL
    else:
        raise ResultError(f"{first.kind} and {second.kind} have no figure in common")
    if not pairs:
        raise ResultError("the two have no size of batch in common")
    figures = [_judged(name, ratio, threshold) for name, ratio in pairs]
    return Comparison(
        setup=second.setup,
        files=second.files,
        first=first.setup,
        of=first.kind,
        batch=getattr(first, "batch", None),
        threads=first.threads,
        level=level,
        threshold=threshold,
        verdict=min((figure.verdict for figure in figures), key=_WORST_FIRST.index),
        figures=figures,
    )


def _measurement(result: Result) -> Latency | Throughput:
    if isinstance(result, Gate | Comparison):
        raise ResultError(f"a verdict ({result.kind}) is no measurement to compare with")
    return result.sweep if isinstance(result, Rivals) else result


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


def _judged(name: str, ratio: Interval, threshold: float) -> Judged:
    verdict = Verdict.CANNOT_TELL
    if ratio.low > 1 + threshold:
        verdict = Verdict.SLOWER
    elif ratio.high < 1 + threshold:
        verdict = Verdict.NOT_SLOWER
    ends = {"ratio_low": ratio.low, "ratio_high": ratio.high}
    return Judged(name=name, ratio=ratio.value, verdict=verdict.value, **ends)


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
    ends = [(1 - BOOTSTRAP_LEVEL) / 2, (1 + BOOTSTRAP_LEVEL) / 2]
    low, high = np.quantile(medians[0] / medians[1], ends)
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
        after = later[batch.batch].by_start()
        for start, old in batch.by_start().items():
            yield f"batch {batch.batch} from {start}", _ratio_of_spreads(old, after[start])


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
