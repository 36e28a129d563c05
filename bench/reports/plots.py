"""A result in, a figure of matplotlib or its file out."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

from cxrsweep.bench.reports.interval_plot import draw_judged, draw_rivals
from cxrsweep.bench.reports.latency_plot import draw_latency
from cxrsweep.bench.reports.stage_plot import draw_stages
from cxrsweep.bench.results import Comparison, Gate, Latency, Result, Rivals

ENDINGS = (".svg", ".png")
# Text stays text, the same result gives the same file, and no name is taken for a formula.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cxrsweep",
    "text.parse_math": False,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
WIDTH, LINE = 12.0, 0.22  # inches: of the figure, and of the height of a line of text
CHARACTERS = 105  # of a line that fits the width
STAGES, LATENCY = 4.2, 8.0  # inches: heights below the title


def write_plot(result: Result, path: Path) -> None:
    """Draw a result into a file.

    Args:
        result: of any benchmark.
        path: its ending, one of ENDINGS, says what is written.
    """
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with matplotlib.style.context(["default", STYLE]):
        drawn(result).savefig(path, dpi=120, metadata=metadata)


def drawn(result: Result) -> Figure:
    """Draw what results of its kind can say.

    Latency: percentiles and rates against the batch. Throughput: stages beside the sweep, at its
    one size of batch. Rivals: ratios, and the stages of the sweep. Gate and comparison: ratios
    beside the threshold.
    """
    title, height = _title(result)
    head = textwrap.wrap(title, CHARACTERS - 15)
    about = [part for line in _about(result) for part in textwrap.wrap(line, CHARACTERS)]
    space = LINE * (len(head) + len(about) + 1)
    figure = Figure((WIDTH, space + height), layout="constrained")
    above, below = figure.subfigures(2, squeeze=False, height_ratios=[space, height])[:, 0]
    top = 1 - LINE / 2 / space
    above.text(0.01, top, "\n".join(head), va="top", weight="bold", size=14)
    above.text(0.01, top - 1.2 * LINE * len(head) / space, "\n".join(about), va="top")
    if isinstance(result, Latency):
        draw_latency(below, result)
    elif isinstance(result, Rivals):
        heights = [height - STAGES, STAGES]
        race, stages = below.subfigures(2, squeeze=False, height_ratios=heights)[:, 0]
        draw_rivals(race, result)
        draw_stages(stages, result.sweep)
    elif isinstance(result, Gate | Comparison):
        draw_judged(below, result)
    else:
        found = [result, *filter(None, [result.cold])]
        for each, part in zip(
            found, below.subfigures(len(found), squeeze=False)[:, 0], strict=True
        ):
            draw_stages(part, each)
    return figure


def _title(result: Result) -> tuple[str, float]:
    """What there is to see, and the height of its picture in inches."""
    if isinstance(result, Latency):
        return f"Single batches, one after the other: {result.runner}", LATENCY
    if isinstance(result, Rivals):
        return "The sweep beside its rivals", STAGES + 1.4 + 0.7 * len(result.rivals)
    if isinstance(result, Gate):
        words = f"This checkout against {result.against}: {result.verdict}"
        return words, 1.4 + 0.42 * len(result.stages)
    if isinstance(result, Comparison):
        words = f"{result.of.capitalize()}, the second against the first: {result.verdict}"
        return words, 1.4 + 0.42 * len(result.figures)
    height = 2 * STAGES if result.cold else STAGES
    return f"The sweep beside its stages: {result.binding} binds", height


def _about(result: Result) -> list[str]:
    """What was measured on what, and when."""
    machine = result.setup.machine_in_words(result.threads)
    when = _minute(result.setup.started)
    if isinstance(result, Comparison):
        first = result.first.machine_in_words(result.threads)
        machine = machine if machine == first else f"first {first}; second {machine}"
        when = f"first {_minute(result.first.started)}, second {when}"
    if not isinstance(result, Latency) and result.batch:
        machine += f", batch {result.batch}"
    return [machine, result.files.in_words(), f"bundle {result.setup.bundle}; {when}"]


def _minute(started: str) -> str:
    return started[:16].replace("T", " ")
