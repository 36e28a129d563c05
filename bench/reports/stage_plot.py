"""Throughput in, bars of the stages beside the sweep and the shared limit out."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from cxrsweep.bench.reports.colours import BLACK, RED, SKY
from cxrsweep.bench.results import Stage, Throughput

# Reading and writing are a hundred times as fast as the slowest stage: longer bars are cut.
LONGEST = 6.0


def draw_stages(figure: SubFigure, result: Throughput) -> None:
    """Draw the stages as bars; the slowest one is hatched and named.

    Args:
        figure: empty.
        result: of one size of batch, so that nothing can be drawn against the batch.
    """
    axes = figure.subplots()
    rates = [stage.ceiling_per_s for stage in result.stages]
    shown = [rate for rate in rates if rate <= LONGEST * min(rates)]
    end = 1.2 * max(*shown, result.shared_per_s, *result.end_to_end_rounds)
    bars = axes.barh([stage.name for stage in result.stages], rates, 0.62, color=SKY)
    for stage, bar in zip(result.stages, bars.patches, strict=True):
        is_binding = stage.name == result.binding
        if is_binding:
            bar.set(hatch="//", edgecolor=BLACK, linewidth=1.5)
        _label(axes, stage, bar.get_y() + bar.get_height() / 2, end, is_binding)
    axes.invert_yaxis()
    _draw_lines(axes, result)
    axes.set_xlim(0, end)
    cut = " (→: longer than drawn)" if max(rates) > end else ""
    axes.set_xlabel(f"radiographs per second, each stage alone{cut}")
    axes.grid(axis="x", alpha=0.3)
    shared, least = result.efficiency.shared, result.efficiency.min
    title = f"E: {shared:.2f} of the shared limit, {least:.2f} of the slowest stage"
    title += ", cold cache" if result.files.cache == "cold" else ""
    axes.set_title(title, loc="left")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _label(axes: Axes, stage: Stage, y: float, end: float, is_binding: bool) -> None:
    rate = stage.ceiling_per_s
    text = f"{rate:,.1f}" if rate < 1000 else f"{rate:,.0f}"
    text += " binds" if is_binding else ""
    weight = "bold" if is_binding else "normal"
    gap = 0.008 * end
    if rate > end:
        axes.text(end - gap, y, f"{text} →", ha="right", va="center", weight=weight)
    else:
        axes.text(rate + gap, y, text, ha="left", va="center", weight=weight)


def _draw_lines(axes: Axes, result: Throughput) -> None:
    rounds = result.end_to_end_rounds
    spread = f"rounds: {min(rounds):.1f} to {max(rounds):.1f}" if len(rounds) > 1 else "one round"
    axes.axvspan(min(rounds), max(rounds), color=RED, alpha=0.2, lw=0, zorder=0)
    axes.axvline(
        result.end_to_end_per_s, color=RED, lw=2.5,
        label=f"sweep, end to end: {result.end_to_end_per_s:.1f} ({spread})",
    )  # fmt: skip
    axes.axvline(
        result.shared_per_s, color=BLACK, lw=2, ls="--",
        label=f"limit, all stages on the same cores: {result.shared_per_s:.1f}",
    )  # fmt: skip
