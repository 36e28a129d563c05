"""`cxrsweep bench compare`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.regression.compare import compared, notes_on
from cxrsweep.bench.regression.verdict import EXIT_CODES, Verdict
from cxrsweep.bench.results import Comparison, read_result, write_result
from cxrsweep.engine.json_file import json_option


@click.command()
@click.argument("first", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--threshold", type=click.FloatRange(0.01, 1), default=0.05, help="Share that is too much."
)
@json_option
def compare(first: Path, second: Path, threshold: float, json_file: Path | None) -> None:
    """Compare two results of the same benchmark, figure by figure.

    The intervals hold what varied within each measurement, not what changed on the machine between
    the two: on a shared machine `cxrsweep bench gate` is the better judge.

    Exit codes: 0 not slower, 10 slower, 11 cannot tell, 1 they cannot be compared.

    \b
    Example:
        cxrsweep bench compare monday.json tuesday.json
    """
    result = compared(read_result(first), read_result(second), threshold)
    for note in notes_on(result.first, result.setup):
        click.echo(f"differs: {note}", err=True)
    click.echo(described_comparison(result))
    if json_file:
        write_result(json_file, result)
    raise click.exceptions.Exit(EXIT_CODES[Verdict(result.verdict)])


def described_comparison(result: Comparison) -> str:
    """A line per figure."""
    lines = [f"{'':26} second/first  {result.level:.0%} interval"]
    for figure in result.figures:
        lines.append(
            f"{figure.name:26} {figure.ratio:12.3f}  {figure.ratio_low:.3f} to"
            f" {figure.ratio_high:.3f}  {figure.verdict}"
        )
    return "\n".join(lines)
