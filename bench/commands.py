"""The commands of bench: options in, one function called, its result printed."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.bench.demonstration import demonstrate
from cxrsweep.bench.interruption import cleaning_up
from cxrsweep.engine.cli import CONTEXT, LazyGroup
from cxrsweep.engine.commands import watcher_for_terminal
from cxrsweep.engine.describe import described_summary


@click.command()
@click.option(
    "-o", "--output", default=Path("demo"), type=click.Path(path_type=Path, file_okay=False),
    help="Folder for bundle, synthetic radiographs and run.",
)  # fmt: skip
def demo(output: Path) -> None:
    """Draw a small synthetic archive, three broken files in it, and sweep it.

    Leaves OUTPUT/bundle, OUTPUT/radiographs, OUTPUT/truth.csv and OUTPUT/run.

    \b
    Example:
        cxrsweep demo -o demo
    """
    with watcher_for_terminal() as watcher:
        done = demonstrate(output, watcher, lambda line: click.echo(line, err=True))
    click.echo(described_summary(done.summary))
    click.echo(f"  bundle       {done.bundle}")
    click.echo(f"  radiographs  {done.archive} ({done.rows} files, {done.rows} rows)")
    click.echo(f"  broken       {done.right_errors} of {done.broken} have the right failure code")
    click.echo(f"  lung boxes   median IoU {done.median_iou:.2f} with the known lungs")


@click.group(
    cls=LazyGroup,
    context_settings=CONTEXT,
    homes={
        "latency": (
            "cxrsweep.bench.latency_command:latency",
            "Measure how long batches take.",
        ),
        "throughput": (
            "cxrsweep.bench.throughput_command:throughput",
            "Measure sweeps beside the ceiling of every stage.",
        ),
        "rivals": (
            "cxrsweep.bench.rivals_command:rivals",
            "Race the sweep against what else could be written.",
        ),
        "compare": (
            "cxrsweep.bench.regression.compare_command:compare",
            "Compare two results of the same benchmark.",
        ),
        "gate": (
            "cxrsweep.bench.regression.gate_command:gate",
            "Say whether this checkout is slower than another revision.",
        ),
        "convert": (
            "cxrsweep.bench.reports.convert_command:convert",
            "Turn a result into CSV, or for Bencher or github-action-benchmark.",
        ),
        "plot": (
            "cxrsweep.bench.reports.plot_command:plot",
            "Draw a result.",
        ),
        "phantoms": (
            "cxrsweep.bench.phantoms_command:phantoms",
            "Write synthetic radiographs of any size and codec.",
        ),
        "fuzz": ("cxrsweep.bench.fuzz_command:fuzz", "Sweep thousands of damaged files."),
        "gpu": ("cxrsweep.bench.gpu.command:gpu", "Collect evidence on a GPU host."),
    },
)
@click.pass_context
def bench(context: click.Context) -> None:
    """Measure the engine beside its limits and its rivals.

    \b
    Example:
        cxrsweep bench rivals demo/bundle radiographs/
    """
    context.with_resource(cleaning_up())
