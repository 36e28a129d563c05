"""Options that several benchmarks share, and what they open."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from cxrsweep.bench.kits import kit_on
from cxrsweep.bench.results import setup_of
from cxrsweep.bench.throughput import Subject
from cxrsweep.bench.workload import opened_workload
from cxrsweep.engine.bundle import FP16_GRAPH, FP32_GRAPH, open_bundle
from cxrsweep.engine.hardware.device import chosen_device
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.json_file import Command, json_option
from cxrsweep.engine.plans.settings import DEFAULT_BATCH
from cxrsweep.engine.stages import CPU_BATCH


def measured_command(rounds: int) -> Callable[[Command], Command]:
    """Arguments and options of a benchmark of whole sweeps.

    Args:
        rounds: how many by default.
    """
    parts = (
        click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False)),
        click.argument("archive", required=False, type=click.Path(path_type=Path, exists=True)),
        click.option(
            "--batch", type=click.IntRange(1, 1024), default=None,
            help="Radiographs decoded together.  [default: 16 on a CPU, 64 on a GPU]",
        ),
        click.option("--threads", type=click.IntRange(min=1), default=cores, help="CPU cores."),
        click.option("--rounds", type=click.IntRange(min=1), default=rounds, help="Repetitions."),
        json_option,
    )  # fmt: skip

    def decorate(command: Command) -> Command:
        for part in reversed(parts):
            command = part(command)
        return command

    return decorate


@contextlib.contextmanager
def opened_subject(
    bundle: Path, archive: Path | None, device: str, batch: int | None, threads: int
) -> Iterator[Subject]:
    """Open what a benchmark of whole sweeps measures.

    Args:
        bundle: folder.
        archive: None draws synthetic radiographs.
        device: auto, cpu, gpu or gpu:N.
        batch: None for the device's default.
        threads: cores.
    """
    opened, chosen = open_bundle(bundle), chosen_device(device)
    size = batch or (DEFAULT_BATCH if chosen.gpu else CPU_BATCH)
    with opened_workload(archive) as workload, kit_on(chosen, opened, threads) as kit:
        setup = setup_of(opened, FP16_GRAPH if chosen.gpu else FP32_GRAPH, chosen)
        word = f"gpu:{chosen.gpu.number}" if chosen.gpu else "cpu"
        yield Subject(kit, bundle, workload, word, size, threads, setup)
