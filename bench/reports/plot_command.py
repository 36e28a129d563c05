"""`cxrsweep bench plot`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.reports.plots import ENDINGS, write_plot
from cxrsweep.bench.results import read_result
from cxrsweep.engine.json_file import writable


def _picture(context: click.Context, parameter: click.Parameter, path: Path) -> Path | None:
    if path.suffix not in ENDINGS:
        raise click.BadParameter(f"{path.name} must end in {' or '.join(ENDINGS)}")
    return writable(context, parameter, path)


@click.command()
@click.argument("result", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False),
    callback=_picture, help="File to write, .svg or .png.",
)  # fmt: skip
def plot(result: Path, output: Path) -> None:
    """Draw the JSON of a benchmark.

    Percentiles and rates against the size of batch from latency; from throughput, the stages
    beside the sweep and the limit that they share; from rivals, compare and gate, ratios with
    their intervals. It needs matplotlib: pip install '.[plots]' in the checkout of cxrsweep.

    \b
    Example:
        cxrsweep bench plot throughput.json -o throughput.svg
    """
    write_plot(read_result(result), output)
