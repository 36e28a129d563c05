"""`cxrsweep bench fuzz`."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from importlib.resources import as_file, files
from pathlib import Path

import click

from cxrsweep.bench.mutants import write_mutants
from cxrsweep.bench.throughput import BenchError
from cxrsweep.engine.failures import FailureCode


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=20_000, help="Mutants.")
@click.option("--seed", type=int, default=0, help="The same one makes the same files.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the mutants and the run; its mutants/ and run/ are replaced.",
)  # fmt: skip
def fuzz(count: int, seed: int, output: Path) -> None:
    """Sweep thousands of damaged files and see that none is lost and none stops the night.

    \b
    Example:
        cxrsweep bench fuzz --count 2000 -o fuzz
    """
    for name in ("mutants", "run"):
        shutil.rmtree(output / name, ignore_errors=True)
    written = write_mutants(output / "mutants", count, seed)
    click.echo(f"{written} files, {count} of them damaged, in {output / 'mutants'}", err=True)
    with as_file(files("cxrsweep.export.demo").joinpath("bundle")) as bundle:
        words = ["sweep", output / "mutants", "-b", bundle, "-o", output / "run", "--device", "cpu"]
        start = "from cxrsweep.engine.cli import main; main()"
        code = subprocess.run(
            [sys.executable, "-c", start, *map(str, words)], check=False
        ).returncode
    click.echo(described_fuzz(output / "run", written, code))


def described_fuzz(run: Path, written: int, code: int) -> str:
    """Count rows and codes.

    Raises:
        BenchError: the sweep did not finish, or there is not exactly one row per file.
    """
    if code not in (0, 3):
        raise BenchError(f"the sweep of mutants ended with {code}; see {run / 'log.jsonl'}")
    with (run / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = {row["radiograph"] for row in rows}
    if len(rows) != written or len(names) != written:
        raise BenchError(f"{written} files, {len(rows)} rows of {len(names)} radiographs")
    codes = Counter(row["error"] for row in rows if row["status"] == "failed")
    unknown = set(codes) - set(FailureCode)
    if unknown:
        raise BenchError(f"codes that do not exist: {sorted(unknown)}")
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    deaths = sum(json.loads(line)["event"] == "worker_ended" for line in lines)
    counted = ", ".join(f"{code} {number}" for code, number in codes.most_common())
    return (
        f"{written} files, {len(rows)} rows: {len(rows) - codes.total()} scored, {counted};"
        f" workers ended {deaths} times"
    )
