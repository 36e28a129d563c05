"""A result in, its figures out: what each is called, how much it is and in what unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cxrsweep.bench.results import (
    Gate,
    Judged,
    Latency,
    Result,
    Rivals,
    Throughput,
)


@dataclass(frozen=True)
class Figure:
    """One figure, its names the same from result to result.

    Attributes:
        name: what was measured: "sweep", "decode", "batch 4 from files".
        measure: what of it: "throughput", "latency", "latency-p99", "time-ratio".
        unit: of value, low and high.
        value: median where it was measured repeatedly.
        low, high: its interval, or the least and most of the rounds; None where there is none.
        note: what else is to be known of it.
    """

    name: str
    measure: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def is_bigger_better(result: Result) -> bool:
    """Whether rates were measured; else times, or ratios of times."""
    return isinstance(result, Throughput | Rivals)


def figures_of(result: Result) -> list[Figure]:
    """What is worth following from commit to commit; rivals with other scores do not count."""
    if isinstance(result, Latency):
        return list(_of_latency(result))
    if isinstance(result, Throughput):
        return list(_of_throughput(result))
    if isinstance(result, Rivals):
        return [*_of_throughput(result.sweep), *_of_rivals(result)]
    judged: list[Judged] = [*(result.stages if isinstance(result, Gate) else result.figures)]
    return [
        Figure(j.name, "time-ratio", "x", j.ratio, j.ratio_low, j.ratio_high, j.verdict)
        for j in judged
    ]


def _of_latency(result: Latency) -> Iterator[Figure]:
    for batch in result.batches:
        for start, spread in batch.by_start().items():
            name = f"batch {batch.batch} from {start}"
            note = "" if spread.is_steady else "too noisy: this median is not known to 2 %"
            ends = spread.p50_low_ms, spread.p50_high_ms
            yield Figure(name, "latency", "ms", spread.p50_ms, *ends, note)
            for percentile in ("p90", "p95", "p99"):
                value = getattr(spread, f"{percentile}_ms")
                yield Figure(name, f"latency-{percentile}", "ms", value)


def _of_throughput(result: Throughput) -> Iterator[Figure]:
    rounds, unit = result.end_to_end_rounds, "radiographs/s"
    where = ", cold cache" if result.files.cache == "cold" else ""
    yield Figure(
        f"sweep{where}",
        "throughput",
        unit,
        result.end_to_end_per_s,
        min(rounds),
        max(rounds),
        result.advice,
    )
    yield Figure(f"sweep{where}", "efficiency-shared", "share", result.efficiency.shared)
    yield Figure(f"sweep{where}", "efficiency-min", "share", result.efficiency.min)
    yield Figure(f"all stages, sharing{where}", "throughput", unit, result.shared_per_s)
    for stage in result.stages:
        yield Figure(f"{stage.name}{where}", "throughput", unit, stage.ceiling_per_s)
    if result.cold:
        yield from _of_throughput(result.cold)


def _of_rivals(result: Rivals) -> Iterator[Figure]:
    for rival in result.rivals:
        if rival.scores_agree:
            ratio = rival.ratio, rival.ratio_low, rival.ratio_high
            yield Figure(f"sweep over {rival.name}", "rate-ratio", "x", *ratio, rival.settings)
