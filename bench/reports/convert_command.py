"""`cxrsweep bench convert`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.reports.figures import is_bigger_better
from cxrsweep.bench.reports.writers import bencher_text, csv_text, github_text
from cxrsweep.bench.results import read_result
from cxrsweep.engine.json_file import writable
from cxrsweep.engine.runs.run_folder import replaced

WRITERS = {"csv": csv_text, "bencher": bencher_text, "github": github_text}


@click.command()
@click.argument("result", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--format", "form", required=True, type=click.Choice(list(WRITERS)),
    help="csv, Bencher Metric Format, or for github-action-benchmark.",
)  # fmt: skip
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False),
    callback=writable, help="File to write.",
)  # fmt: skip
def convert(result: Path, form: str, output: Path) -> None:
    """Turn the JSON of a benchmark into a table, or into what trackers of benchmarks read.

    RESULT is what latency, throughput, rivals, compare or gate wrote with --json.

    \b
    Example:
        cxrsweep bench convert throughput.json --format csv -o throughput.csv
        cxrsweep bench convert latency.json --format github -o latency-github.json
    """
    if output.resolve() == result.resolve():
        raise click.UsageError(f"{output} is the result itself; write to another file with -o")
    found = read_result(result)
    with replaced(output) as stream:
        stream.write(WRITERS[form](found))
    if form == "github":
        better = "Bigger" if is_bigger_better(found) else "Smaller"
        click.echo(f"tool: custom{better}IsBetter")
