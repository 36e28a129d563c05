"""Ratios in, their intervals beside 1 and the threshold out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from cxrsweep.bench.intervals import LEVEL
from cxrsweep.bench.regression.verdict import LEVEL as GATE_LEVEL
from cxrsweep.bench.reports.colours import BLACK, BLUE, GREY, RED
from cxrsweep.bench.results import Comparison, Gate, Judged, Rivals


@dataclass(frozen=True)
class _Row:
    name: str
    ratio: float
    low: float | None
    high: float | None
    note: str
    colour: str = BLUE
    marker: str = "o"
    is_filled: bool = True


STYLES = {
    "not slower": (BLUE, "o", True),
    "slower": (RED, "s", True),
    "cannot tell": (GREY, "D", False),
}


def draw_judged(figure: SubFigure, result: Gate | Comparison) -> None:
    """Draw every figure of a gate or a comparison beside its verdict.

    Args:
        figure: empty.
        result: ratios of times: more is slower.
    """
    axes = figure.subplots()
    judged = [*(result.stages if isinstance(result, Gate) else result.figures)]
    rows = [
        _Row(
            _name(one), one.ratio, one.ratio_low, one.ratio_high, one.verdict, *STYLES[one.verdict]
        )
        for one in judged
    ]
    _draw(axes, rows, "  ")
    new, old, level = "new", "old", GATE_LEVEL
    if isinstance(result, Gate):
        noise = [stage.noise for stage in result.stages]
        axes.plot(noise, range(len(noise)), "x", c=BLACK, ms=9, mew=2, label="old over itself")
    else:
        new, old, level = "second", "first", result.level
    limit = 1 + result.threshold
    axes.axvline(limit, color=RED, ls="--", lw=2, label=f"threshold: {limit:.2f}")
    start, end = axes.get_xlim()
    axes.axvspan(limit, end, color=RED, alpha=0.1, lw=0)
    axes.set_xlim(start, end)
    axes.set_xlabel(f"time of the {new} over the {old}, {level:.0%} interval (right: slower)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _name(judged: Judged) -> str:
    by_time = getattr(judged, "measure", "time") == "time"
    return judged.name if by_time else f"{judged.name}, CPU time"


def draw_rivals(figure: SubFigure, result: Rivals) -> None:
    """Draw the ratios of a race, which has no threshold.

    Args:
        figure: empty.
        result: ratios of rates: more is a faster sweep.
    """
    axes = figure.subplots()
    rows = []
    for rival in result.rivals:
        note = "same scores" if rival.scores_agree else "other scores: does not count"
        style = STYLES["not slower" if rival.scores_agree else "cannot tell"]
        name = "\n".join([rival.name, *textwrap.wrap(rival.settings, 36)][:3])
        rows.append(_Row(name, rival.ratio, rival.ratio_low, rival.ratio_high, note, *style))
    _draw(axes, rows, "\n")
    has_ends = any(row.low is not None for row in rows)
    interval = f", {LEVEL:.0%} interval" if has_ends else ""
    axes.set_xlabel(f"rate of the sweep over the rival's{interval} (right: the sweep is faster)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center")


def _draw(axes: Axes, rows: Sequence[_Row], between: str) -> None:
    """Marks, intervals and notes, the first row at the top, and a line at 1."""
    for y, row in enumerate(rows):
        figures = f"{row.ratio:.3f}, of one round"
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [y, y], "-|", c=row.colour, lw=2, ms=12, mew=2)
            figures = f"{row.ratio:.3f} ({row.low:.3f} to {row.high:.3f})"
        face = row.colour if row.is_filled else "white"
        axes.plot(row.ratio, y, row.marker, c=row.colour, mfc=face, ms=10, mew=2)
        note = figures + between + row.note
        axes.text(1.01, y, note, transform=axes.get_yaxis_transform(), va="center")
    axes.axvline(1, color=BLACK, lw=1.5, label="1: as fast")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
