"""Latency in, percentiles and rates against the size of batch out."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cxrsweep.bench.reports.colours import BLACK, BLUE, GREEN, ORANGE, RED
from cxrsweep.bench.results import Latency

TITLES = {
    "network": "the network alone",
    "host": "from pixels in host memory",
    "files": "from encoded files",
}
# Percentile -> colour, marker and line.
PERCENTILES = {
    "p50": (BLUE, "o", "-"),
    "p90": (GREEN, "^", "--"),
    "p95": (ORANGE, "v", "-."),
    "p99": (RED, "s", ":"),
}
STARTS = {"network": (BLACK, "s", "--"), "host": (ORANGE, "^", "-."), "files": (BLUE, "o", "-")}


def draw_latency(figure: SubFigure, result: Latency) -> None:
    """Draw percentiles from each starting point, and below them the rates of all three.

    Args:
        figure: empty.
        result: single batches, none overlapping: the network alone is the ceiling of the others.
    """
    above, below = figure.subfigures(2, squeeze=False, height_ratios=[1.2, 1])[:, 0]
    panels = above.subplots(1, len(TITLES), sharey=True)
    for axes, start in zip(panels, TITLES, strict=True):
        _draw_percentiles(axes, result, start)
    panels[0].set_ylabel("milliseconds per batch")
    _draw_scale(panels[0], result)
    above.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    axes = below.subplots()
    _draw_rates(axes, result)
    below.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _draw_percentiles(axes: Axes, result: Latency, start: str) -> None:
    sizes = [batch.batch for batch in result.batches]
    spreads = [batch.by_start()[start] for batch in result.batches]
    ends = [spread.p50_low_ms for spread in spreads], [spread.p50_high_ms for spread in spreads]
    axes.vlines(sizes, *ends, colors=BLUE, lw=5, alpha=0.35, label="95 % interval of p50")
    for percentile, (colour, marker, line) in PERCENTILES.items():
        values = [getattr(spread, f"{percentile}_ms") for spread in spreads]
        axes.plot(sizes, values, line, c=colour, marker=marker, ms=7, label=percentile)
    noisy = {size: s.p50_ms for size, s in zip(sizes, spreads, strict=True) if not s.is_steady}
    label = "p50 not known to 2 %"
    axes.plot([*noisy], [*noisy.values()], "o", c=BLUE, mfc="white", ms=7, label=label)
    axes.set_title(TITLES[start])
    _name_sizes(axes, sizes)


def _draw_scale(axes: Axes, result: Latency) -> None:
    """One scale that holds every percentile; intervals may be longer on noisy machines."""
    spreads = [spread for batch in result.batches for spread in batch.by_start().values()]
    axes.set_yscale("log")
    low, high = min(s.p50_ms for s in spreads) / 1.4, max(s.p99_ms for s in spreads) * 1.4
    axes.set_ylim(low, high)
    named = (1, 2, 5) if high / low > 10 else (1, 1.5, 2, 3, 5, 7)  # two at least
    axes.yaxis.set_major_locator(LogLocator(subs=named))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_rates(axes: Axes, result: Latency) -> None:
    sizes = [batch.batch for batch in result.batches]
    for start, (colour, marker, line) in STARTS.items():
        spreads = [batch.by_start()[start] for batch in result.batches]
        rates = [spread.per_s for spread in spreads]
        label = f"{TITLES[start]}: the ceiling" if start == "network" else TITLES[start]
        axes.plot(sizes, rates, line, c=colour, marker=marker, ms=8, label=label)
    axes.set_ylim(0, 1.15 * max(s.per_s for b in result.batches for s in b.by_start().values()))
    axes.set_ylabel("radiographs per second\nat the median")
    _name_sizes(axes, sizes)


def _name_sizes(axes: Axes, sizes: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlim(min(sizes) / 1.3, max(sizes) * 1.3)
    axes.set_xlabel("radiographs in a batch")
    axes.grid(alpha=0.3)
