"""What the suites of pytest-benchmark share: their options, files, stages, and what ran on what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

from cxrsweep.bench.gpu.environment import PACKAGES, gpu_facts
from cxrsweep.bench.gpu.files import load_of
from cxrsweep.bench.options import opened_subject
from cxrsweep.bench.spread import Load
from cxrsweep.bench.throughput import Subject
from cxrsweep.engine.decode.batches import Batch, batches_of
from cxrsweep.engine.hardware.machine import cores, hardware_facts, package_versions
from cxrsweep.engine.reader import Checked

WARM_UPS, ROUNDS = 3, 7
LINES = pytest.StashKey[list[str]]()

Measure = Callable[..., Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suites."""
    group = parser.getgroup("cxrsweep")
    group.addoption("--archive", type=Path, help="Folder of radiographs; without, phantoms.")
    group.addoption("--device", default="auto", help="auto, cpu, gpu or gpu:N.")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an archive that is no folder.

    Raises:
        pytest.UsageError: it is none.
    """
    config.stash[LINES] = []
    archive = config.getoption("--archive")
    if archive and not archive.is_dir():
        raise pytest.UsageError(f"--archive {archive} is no folder; the suites compare with files")


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add what decides a figure, and take out the machine's name."""
    machine_info.pop("node", None)
    versions = {**package_versions(), **package_versions(PACKAGES)}
    machine_info.update(hardware_facts(), gpus=gpu_facts(), versions=versions)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Radiographs per second, which the table of times leaves to arithmetic."""
    if config.stash[LINES]:
        terminalreporter.section("throughput at the median round")
        for line in config.stash[LINES]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def subject(pytestconfig: pytest.Config) -> Iterator[Subject]:
    """The demonstration bundle and the files, all of which decode."""
    archive, device = pytestconfig.getoption("--archive"), pytestconfig.getoption("--device")
    with (
        as_file(files("cxrsweep.export.demo").joinpath("bundle")) as bundle,
        opened_subject(bundle, archive, device, None, cores()) as opened,
    ):
        yield opened


@pytest.fixture(scope="session")
def batches(subject: Subject) -> list[list[Checked]]:
    """The files as the sweep puts them together."""
    steps = batches_of(subject.workload.files, subject.batch, subject.kit.batch_pixels)
    return [list(step.files) for step in steps if isinstance(step, Batch)]


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Measure:
    """Times work in explicit rounds and notes what went through: `measure(work, load, codecs)`."""

    def run(work: Callable[..., Any], load: Load, codecs: Any, **more: Any) -> Any:
        rounds, setup = more.pop("rounds", ROUNDS), more.pop("setup", None)
        found = benchmark.pedantic(
            work, setup=setup, rounds=rounds, iterations=1, warmup_rounds=WARM_UPS
        )
        info = {"radiographs": load.radiographs, "pixels": load.pixels, "bytes": load.bytes}
        benchmark.extra_info.update(info, codecs=codecs, **more)
        if benchmark.stats:  # none with --benchmark-disable, which only compares values
            seconds = benchmark.stats.stats.median
            rates = {
                "radiographs_per_s": load.radiographs / seconds,
                "megapixels_per_s": load.pixels / seconds / 1e6,
                "megabytes_per_s": load.bytes / seconds / 1e6,
            }
            benchmark.extra_info.update(rates)
            told = ", ".join(f"{value:.1f} {name}" for name, value in rates.items())
            request.config.stash[LINES].append(f"{request.node.name:32} {told}")
        return found

    return run


@pytest.fixture
def measure_archive(measure: Measure, subject: Subject) -> Measure:
    """The same for one pass over all files: `measure_archive(work, ...)`."""

    def run(work: Callable[..., Any], **more: Any) -> Any:
        described = subject.workload.described()
        about = {"batch": subject.batch, "threads": subject.threads, "device": subject.device}
        return measure(work, load_of(subject.workload.files), described.codecs, **about, **more)

    return run
