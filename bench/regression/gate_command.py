"""`cxrsweep bench gate`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.regression.gate import measured_gate
from cxrsweep.bench.regression.verdict import EXIT_CODES, NOTHING_MEASURED, GateError, Verdict
from cxrsweep.bench.results import Gate, write_result
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.json_file import json_option


@click.command()
@click.argument(
    "bundle", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.argument("archive", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--against", required=True, metavar="GIT_REF", help="The old revision.")
@click.option(
    "--repository", default=".", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Checkout of cxrsweep; its files as they are now are the new revision.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0.01, 1), default=0.05, help="Share that is too much."
)
@click.option(
    "--seconds", type=click.FloatRange(min=10), default=110.0,
    help="Most to measure for; installing comes on top.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), default=cores, help="CPU cores.")
@json_option
def gate(
    bundle: Path | None,
    archive: Path | None,
    against: str,
    repository: Path,
    threshold: float,
    seconds: float,
    threads: int,
    json_file: Path | None,
) -> None:
    """Say whether this checkout is slower than another revision, and in which stage.

    Both are installed side by side; two processes of the old one and one of the new take turns on
    the same files. What the old one does against itself is the noise. Without BUNDLE and ARCHIVE,
    the demonstration bundle and synthetic radiographs are taken.

    Exit codes: 0 not slower, 10 slower, 11 cannot tell, 12 nothing was measured.

    \b
    Example:
        cxrsweep bench gate --against origin/main
    """
    try:
        result = measured_gate(
            bundle, archive, against, repository, threshold, seconds, threads, _say
        )
    except GateError as error:
        _say(f"Error: {error}")
        raise click.exceptions.Exit(NOTHING_MEASURED) from error
    click.echo(described_gate(result))
    if json_file:
        write_result(json_file, result)
    raise click.exceptions.Exit(EXIT_CODES[Verdict(result.verdict)])


def _say(line: str) -> None:
    click.echo(line, err=True)


def described_gate(result: Gate) -> str:
    """A line per stage, and the verdict."""
    lines = [f"{'':12} new/old  99 % interval     old/old   (threshold {result.threshold:.0%})"]
    for stage in result.stages:
        interval = f"{stage.ratio_low:.3f} to {stage.ratio_high:.3f}"
        lines.append(
            f"{stage.name:12} {stage.ratio:7.3f}  {interval}  {stage.noise:7.3f}   {stage.verdict}"
            + (f", by its {stage.measure}" if stage.measure != "time" else "")
        )
    named = [stage.name for stage in result.stages if stage.verdict == result.verdict]
    is_all = result.verdict == Verdict.NOT_SLOWER.value
    lines.append(result.verdict if is_all else f"{result.verdict}: {', '.join(named)}")
    return "\n".join(lines)
