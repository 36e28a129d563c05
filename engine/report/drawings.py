"""What the page draws: counts in, charts with the words that say the same out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from cxrsweep.engine.evaluation.results import Curves, Evaluation
from cxrsweep.engine.meter import STAGES
from cxrsweep.engine.report.charts import (
    Chart,
    Point,
    histogram,
    lane_chart,
    rate_chart,
    unit_curve,
)
from cxrsweep.engine.report.pace import Pace
from cxrsweep.engine.report.tally import MEGAPIXELS, STEPS, LabelTally, Tally

_BARS = 40
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DIAGONAL: list[Point] = [(0, 0), (1, 1)]


@dataclass(frozen=True)
class LabelPart:
    """Scores of one label as the page shows them.

    Attributes:
        name: of the label.
        threshold: of the recipe, or None.
        reached: radiographs that reach it.
        quantiles: at 5, 25, 50, 75 and 95 %; None where nothing was scored.
        chart: histogram, or None where nothing was scored.
    """

    name: str
    threshold: float | None
    reached: int
    quantiles: list[float | None]
    chart: Chart | None


def label_part(name: str, tally: LabelTally) -> LabelPart:
    """Histogram and quantiles of one label."""
    quantiles = [tally.quantile(share) for share in _QUANTILES]
    total, chart = sum(tally.counts), None
    if total:
        each = STEPS // _BARS
        bars = [sum(tally.counts[first : first + each]) for first in range(0, STEPS, each)]
        spoken = (
            f"Histogram of the score {name} of {total:,} radiographs:"
            f" median {quantiles[2]:.2f}, half of them between {quantiles[1]:.2f}"
            f" and {quantiles[3]:.2f}."
        )
        if tally.threshold is not None:
            spoken += f" {tally.reached:,} reach the threshold of {tally.threshold:g}."
        chart = histogram(bars, 1, f"score {name}", spoken, tally.threshold)
    return LabelPart(name, tally.threshold, tally.reached, quantiles, chart)


def lung_chart(tally: Tally) -> Chart:
    """Histogram of the lung fraction, up to the last class that holds any."""
    held = max((place + 1 for place, count in enumerate(tally.lung) if count), default=1)
    held = -(-held // 10) * 10  # a round end of the axis
    bars = tally.lung[:held]
    most = max(range(held), key=bars.__getitem__)
    spoken = (
        f"Histogram of the lung fraction of {tally.scored:,} radiographs; most are at"
        f" {most / 100:.2f}, and {tally.flags['no_lung']:,} have no lung."
    )
    return histogram(bars, held / 100, "lung fraction", spoken)


def size_classes(tally: Tally) -> list[tuple[str, int]]:
    """Words and radiographs of each class of size that holds any."""
    edges = [f"{edge:g}" for edge in MEGAPIXELS]
    words = [f"below {edges[0]}"]
    words += [f"{low} to {high}" for low, high in pairwise(edges)]
    words.append(f"{edges[-1]} and more")
    return [(word, count) for word, count in zip(words, tally.sizes, strict=True) if count]


def pace_charts(pace: Pace) -> list[Chart]:
    """Rate over time, and the stage that bound it; none where nothing was timed."""
    if not pace.ends:
        return []
    unit, seconds = _time_unit(pace.wall_s)
    ends = [end / seconds for end in pace.ends]
    rate = (
        f"Radiographs per second over {ends[-1]:.1f} {unit} of sweeping: between"
        f" {min(pace.rates):.1f} and {max(pace.rates):.1f}."
    )
    lanes = [stage for stage in STAGES if stage in pace.binding]
    parts = ", ".join(f"{s} {pace.bound_s[s] / pace.wall_s:.0%}" for s in lanes)
    bound = f"Stage that the sweep waited for over the same time: {parts}."
    charts = [rate_chart(ends, pace.rates, unit, rate)]
    if lanes:
        charts.append(lane_chart(ends, pace.binding, lanes, unit, bound))
    return charts


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds < 300:
        return "seconds", 1
    return ("minutes", 60) if seconds < 3 * 3600 else ("hours", 3600)


def evaluation_parts(evaluation: Evaluation) -> dict[str, list[tuple[str, Chart]]]:
    """Title and chart of each curve of each label; none for which a kind of truth is missing."""
    return {
        label: list(_curves(label, of.curves, of.auc.value, of.positives / of.n))
        for label, of in evaluation.labels.items()
    }


def _curves(
    label: str, curves: Curves, auc: float | None, prevalence: float
) -> Iterator[tuple[str, Chart]]:
    if curves.roc.x:
        spoken = f"ROC curve of {label}, with an area of {auc:.3f}; the diagonal is chance."
        yield (
            "ROC",
            unit_curve(
                curves.roc, "1 - specificity", "sensitivity", spoken, _DIAGONAL, dotted=False
            ),
        )
    if curves.precision_recall.x:
        spoken = (
            f"Precision-recall curve of {label}; the level line is chance, {prevalence:.3f}, the"
            " share of positives."
        )
        level: list[Point] = [(0, prevalence), (1, prevalence)]
        yield (
            "Precision and recall",
            unit_curve(
                curves.precision_recall, "sensitivity (recall)", "PPV (precision)", spoken, level,
                dotted=False,
            ),
        )  # fmt: skip
    bins = ", ".join(
        f"{share:.2f} of {count} at {mean:.2f}"
        for mean, share, count in zip(
            curves.calibration.x, curves.calibration.y, curves.calibration_counts, strict=True
        )
    )
    spoken = f"Calibration of {label}: positives among radiographs by mean score: {bins}."
    yield (
        "Calibration",
        unit_curve(
            curves.calibration, "mean score", "share of positives", spoken, _DIAGONAL, dotted=True
        ),
    )
