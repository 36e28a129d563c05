"""`cxrsweep bench latency`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.gpu_state import gpu_state
from cxrsweep.bench.kits import kit_on
from cxrsweep.bench.latency import measured_latency
from cxrsweep.bench.results import Latency, Spread, setup_of, write_result
from cxrsweep.bench.workload import opened_workload
from cxrsweep.engine.bundle import FP16_GRAPH, FP32_GRAPH, open_bundle
from cxrsweep.engine.hardware.device import chosen_device
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.json_file import json_option

CPU_BATCHES, GPU_BATCHES = (1, 4, 16), (1, 4, 16, 64, 256)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("archive", required=False, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--batch", "batches", type=click.IntRange(1, 1024), multiple=True,
    help="Size of batch; may be repeated.  [default: 1, 4, 16; on a GPU also 64, 256]",
)  # fmt: skip
@click.option("--device", default="auto", help="auto, cpu, gpu or gpu:N.")
@click.option("--threads", type=click.IntRange(min=1), default=cores, help="CPU cores to use.")
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=60.0,
    help="Most to measure for, after warming up; less where every interval is narrow before.",
)  # fmt: skip
@json_option
def latency(
    bundle: Path,
    archive: Path | None,
    batches: tuple[int, ...],
    device: str,
    threads: int,
    seconds: float,
    json_file: Path | None,
) -> None:
    """Measure how long batches take, with the 95 % interval of every median.

    From three starting points to the scores in host memory: pixels where the network reads them,
    pixels in host memory, and encoded files in host memory. Sizes take turns, round after round.
    Where an interval stays wider than 2 % of its median, it says that the machine is too noisy.
    Without ARCHIVE, synthetic radiographs are drawn.

    \b
    Example:
        cxrsweep bench latency demo/bundle --batch 1 --batch 16
    """
    opened, chosen = open_bundle(bundle), chosen_device(device)
    sizes = sorted(set(batches or (GPU_BATCHES if chosen.gpu else CPU_BATCHES)))
    with opened_workload(archive) as workload, kit_on(chosen, opened, threads) as kit:
        before = gpu_state(chosen.gpu)
        name, figures = measured_latency(
            kit, workload.files, sizes, seconds, lambda line: click.echo(line, err=True)
        )
        result = Latency(
            setup=setup_of(opened, FP16_GRAPH if chosen.gpu else FP32_GRAPH, chosen),
            files=workload.described(),
            runner=name,
            threads=threads,
            batches=figures,
            gpu_before=before,
            gpu_after=gpu_state(chosen.gpu),
        )
    click.echo(described_latency(result))
    if json_file:
        write_result(json_file, result)


def described_latency(result: Latency) -> str:
    """Every figure, a line per size and starting point."""
    files = result.files
    lines = [
        f"{result.runner}; {files.radiographs} radiographs, mean {files.megapixels:.2f} MP and"
        f" {files.kilobytes:.0f} kB, {', '.join(files.codecs)}",
        f"{'batch':>7} {'from':8} {'p50 ms':>9} {'95 % interval':>19} {'min':>9} {'p90':>9}"
        f" {'p95':>9} {'p99':>9} {'max':>9} {'std':>8} {'per s':>9}",
    ]
    for batch in result.batches:
        lines.append(_line(str(batch.batch), "network", batch))
        lines.append(_line("", "host", batch.host_to_scores))
        lines.append(_line("", "files", batch.file_to_scores))
    spreads = [s for b in result.batches for s in (b, b.host_to_scores, b.file_to_scores)]
    noisy = sum(not spread.is_steady for spread in spreads)
    if noisy:
        lines.append(
            f"too noisy: {noisy} of {len(spreads)} medians are not known to 2 % (marked ~); let the"
            " machine rest, or measure longer with --seconds"
        )
    return "\n".join(lines)


def _line(batch: str, start: str, spread: Spread) -> str:
    mark = " " if spread.is_steady else "~"
    interval = f"{spread.p50_low_ms:.2f} to {spread.p50_high_ms:.2f}"
    rest = (spread.min_ms, spread.p90_ms, spread.p95_ms, spread.p99_ms, spread.max_ms)
    return (
        f"{batch:>7} {start:8}{mark}{spread.p50_ms:9.2f} {interval:>19}"
        f" {' '.join(f'{value:9.2f}' for value in rest)} {spread.std_ms:8.2f} {spread.per_s:9.1f}"
    )
