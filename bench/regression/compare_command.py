"""`cxrsweep bench compare`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.regression.compare import Compared, compared, notes_on
from cxrsweep.bench.regression.verdict import EXIT_CODES, Verdict
from cxrsweep.bench.results import Result, Rivals, Setup, read_result


@click.command()
@click.argument("first", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--threshold", type=click.FloatRange(0.01, 1), default=0.05, help="Share that is too much."
)
def compare(first: Path, second: Path, threshold: float) -> None:
    """Compare two results of the same benchmark, figure by figure.

    The intervals hold what varied within each measurement, not what changed on the machine between
    the two: on a shared machine `cxrsweep bench gate` is the better judge.

    Exit codes: 0 not slower, 10 slower, 11 cannot tell, 1 they cannot be compared.

    \b
    Example:
        cxrsweep bench compare monday.json tuesday.json
    """
    before, after = read_result(first), read_result(second)
    found = compared(before, after, threshold)
    for note in notes_on(_setup(before), _setup(after)):
        click.echo(f"differs: {note}", err=True)
    click.echo(described_comparison(found))
    verdicts = {figure.verdict for figure in found}
    order = (Verdict.SLOWER, Verdict.CANNOT_TELL, Verdict.NOT_SLOWER)
    raise click.exceptions.Exit(EXIT_CODES[next(v for v in order if v in verdicts)])


def described_comparison(found: list[Compared]) -> str:
    """A line per figure."""
    lines = [f"{'':26} second/first  interval"]
    for figure in found:
        ratio = figure.ratio
        lines.append(
            f"{figure.name:26} {ratio.value:12.3f}  {ratio.low:.3f} to {ratio.high:.3f}"
            f"  {figure.verdict}"
        )
    return "\n".join(lines)


def _setup(result: Result) -> Setup:
    return result.sweep.setup if isinstance(result, Rivals) else result.setup
