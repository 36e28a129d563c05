"""Throughput: whole sweeps beside each stage alone, on the same files and in the same rounds."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrsweep.bench.ceilings import Ceilings, measured_ceilings
from cxrsweep.bench.interruption import run_to_end
from cxrsweep.bench.kits import Kit
from cxrsweep.bench.results import Efficiency, Files, Setup, Stage, Throughput
from cxrsweep.bench.workload import Workload
from cxrsweep.engine.errors import CxrsweepError

Say = Callable[[str], None]

ADVICE = {
    "read": "reading binds: faster storage, or tars of many files in the place of single ones",
    "gate": "the checks bind: PNG checksums cost most; archives of JPEG pass faster",
    "decode": "decoding binds: more cores, or a GPU; smaller files or JPEG decode faster than PNG",
    "network": "the network binds: a GPU, more cores, or a lighter network",
    "write": "writing rows binds: a faster disk for the run folder",
}


class BenchError(CxrsweepError):
    """A process that was measured did not finish."""


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        kit: bundle and device.
        bundle: its folder.
        workload: files that decode.
        device: as `sweep --device` takes it.
        batch: radiographs decoded together.
        threads: cores.
        setup: what it is measured on.
    """

    kit: Kit
    bundle: Path
    workload: Workload
    device: str
    batch: int
    threads: int
    setup: Setup


@dataclass(frozen=True)
class Round:
    """One whole sweep, and each stage alone."""

    sweep_per_s: float
    results: Path
    ceilings: Ceilings


def run_round(subject: Subject, run: Path) -> Round:
    """Sweep in a process of its own, then measure each stage alone.

    Raises:
        BenchError: the sweep failed, with what it printed.
    """
    rate = sweep_rate(subject, run)
    files = subject.workload.files
    ceilings = measured_ceilings(subject.kit, files, subject.batch, subject.threads)
    return Round(rate, run / "results.csv", ceilings)


def measured_throughput(subject: Subject, rounds: int, say: Say) -> Throughput:
    """Repeat rounds.

    Raises:
        BenchError: a sweep failed.
    """
    done = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            done.append(run_round(subject, Path(scratch) / f"run-{number}"))
            say(
                f"round {number + 1}: sweep {done[-1].sweep_per_s:.1f}/s, limit"
                f" {done[-1].ceilings.shared:.1f}/s"
            )
    return throughput_of(subject, done)


def throughput_of(subject: Subject, rounds: Sequence[Round]) -> Throughput:
    """Figures of rounds: medians, and efficiencies of each round with its own limits."""
    files = subject.workload.described()
    rates = [found.sweep_per_s for found in rounds]
    middle = Ceilings(
        {
            stage: statistics.median(found.ceilings.per_s[stage] for found in rounds)
            for stage in rounds[0].ceilings.per_s
        }
    )
    binding, runner_up, *_ = middle.slowest
    return Throughput(
        setup=subject.setup,
        files=files,
        batch=subject.batch,
        threads=subject.threads,
        end_to_end_per_s=statistics.median(rates),
        end_to_end_rounds=rates,
        stages=[_stage(name, rate, files) for name, rate in middle.per_s.items()],
        shared_per_s=middle.shared,
        efficiency=Efficiency(
            min=statistics.median(r.sweep_per_s / r.ceilings.least for r in rounds),
            shared=statistics.median(r.sweep_per_s / r.ceilings.shared for r in rounds),
        ),
        binding=binding,
        runner_up=runner_up,
        advice=f"{ADVICE[binding]}; next is {runner_up} at {middle.per_s[runner_up]:.1f}/s",
    )


def _stage(name: str, rate: float, files: Files) -> Stage:
    return Stage(
        name=name,
        ceiling_per_s=rate,
        ceiling_mp_per_s=rate * files.megapixels,
        ceiling_mb_per_s=rate * files.kilobytes / 1e3,
    )


def sweep_rate(subject: Subject, run: Path) -> float:
    """Radiographs per second of a sweep by the installed command, from its first read on.

    Raises:
        BenchError: it failed, or a radiograph did.
    """
    words = ["sweep", str(subject.workload.archive), "-b", str(subject.bundle), "-o", str(run)]
    words += ["--batch", str(subject.batch), "--threads", str(subject.threads)]
    finished([str(Path(sys.executable).with_name("cxrsweep")), *words, "--device", subject.device])
    meter = json.loads((run / "run.json").read_bytes())["meter"]
    rate: float = meter["radiographs"] / meter["wall_s"]
    return rate


def finished(command: Sequence[str]) -> None:
    """Run a program to its end.

    Raises:
        BenchError: it failed, with what it printed.
    """
    done = run_to_end(command)
    if done.returncode:
        raise BenchError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )
