"""`cxrsweep bench throughput`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.options import measured_command, opened_subject
from cxrsweep.bench.results import Throughput, write_result
from cxrsweep.bench.throughput import Cache, measured_throughput

CACHES: dict[str, tuple[Cache, ...]] = {
    "warm": ("warm",),
    "cold": ("cold",),
    "both": ("warm", "cold"),
}


@click.command()
@measured_command(rounds=5)
@click.option("--device", default="auto", help="auto, cpu, gpu or gpu:N.")
@click.option(
    "--cache", type=click.Choice(list(CACHES)), default="warm",
    help="Files read before, files taken out of the page cache each time, or both in turn.",
)  # fmt: skip
def throughput(
    bundle: Path,
    archive: Path | None,
    batch: int | None,
    threads: int,
    rounds: int,
    device: str,
    cache: str,
    json_file: Path | None,
) -> None:
    """Measure whole sweeps beside the ceiling of every stage, on the same files.

    In every round the sweep runs in a process of its own, then each stage alone. E is the sweep's
    rate over the slowest stage, and over the limit where all stages share the cores. "used" is the
    share of all cores, or of the GPU. Without ARCHIVE, synthetic radiographs are drawn.

    \b
    Example:
        cxrsweep bench throughput demo/bundle
        cxrsweep bench throughput my-bundle radiographs/ --json throughput.json
    """
    with opened_subject(bundle, archive, device, batch, threads) as subject:
        result = measured_throughput(
            subject, rounds, CACHES[cache], lambda line: click.echo(line, err=True)
        )
    for part in filter(None, (result, result.cold)):
        click.echo(described_files(part))
        click.echo(described_throughput(part))
    if result.cold_missing:
        click.echo(f"cold cache: not measured, {result.cold_missing}")
    if json_file:
        write_result(json_file, result)


def described_files(result: Throughput) -> str:
    """What was measured with."""
    return f"{result.files.in_words()}; batch {result.batch}, {result.threads} cores"


def described_throughput(result: Throughput) -> str:
    """Every figure, a line per stage."""
    rounds = result.end_to_end_rounds
    spread = f"({min(rounds):.1f} to {max(rounds):.1f})"
    cache = result.files.cache
    lines = [f"{'stage alone':14}{'per s':>10}{'MP/s':>10}{'MB/s':>10}{'used':>7}  cache"]
    for stage in result.stages:
        mark = {result.binding: "binds", result.runner_up: "next"}.get(stage.name, "")
        lines.append(
            f"  {stage.name:12}{stage.ceiling_per_s:10.1f}{stage.ceiling_mp_per_s:10.1f}"
            f"{stage.ceiling_mb_per_s:10.1f}{_used(stage.hardware_share)}"
            f"  {stage.cache:6}  {mark}".rstrip()
        )
    lines += [
        f"  {'all, sharing':12}{result.shared_per_s:10.1f}{'':27}  {cache}",
        f"{'sweep':14}{result.end_to_end_per_s:10.1f}   {spread:17}{_used(result.hardware_share)}"
        f"  {cache}",
        f"E {result.efficiency.shared:.2f} of the limit where all stages share the cores,"
        f" {result.efficiency.min:.2f} of the slowest stage alone",
        result.advice,
    ]
    return "\n".join(lines)


def _used(share: float | None) -> str:
    return f"{'?':>7}" if share is None else f"{share:7.0%}"
