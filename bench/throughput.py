"""Throughput: whole sweeps beside each stage alone, on the same files and in the same rounds."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from cxrsweep.bench.ceilings import Ceilings, measured_ceilings
from cxrsweep.bench.hardware_share import HardwareWatch
from cxrsweep.bench.interruption import run_to_end
from cxrsweep.bench.kits import Kit
from cxrsweep.bench.page_cache import ColdError, drop_pages, load_pages
from cxrsweep.bench.results import Efficiency, Files, Setup, Stage, Throughput
from cxrsweep.bench.workload import Workload
from cxrsweep.engine.errors import CxrsweepError

Say = Callable[[str], None]
Cache = Literal["warm", "cold"]

PREPARATIONS: dict[Cache, Callable[[Iterable[str]], None]] = {
    "warm": load_pages,
    "cold": drop_pages,
}

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
    """One whole sweep, and each stage alone.

    Attributes:
        sweep_per_s: radiographs per second of the sweep.
        results: its table.
        ceilings: of the stages.
        hardware_share: what the sweep used, as `HardwareWatch` says.
    """

    sweep_per_s: float
    results: Path
    ceilings: Ceilings
    hardware_share: float | None = None


def run_round(subject: Subject, run: Path, cache: Cache = "warm") -> Round:
    """Sweep in a process of its own, then measure each stage alone.

    Args:
        subject: what sweeps what.
        run: folder of the run, not there yet.
        cache: where the files are before the sweep and before each pass of reading.

    Raises:
        BenchError: the sweep failed, with what it printed.
        ColdError: the files stay in the page cache.
    """
    files = subject.workload.files
    prepare = partial(PREPARATIONS[cache], {file.entry.location for file in files})
    prepare()
    rate, share = _swept(subject, run)
    ceilings = measured_ceilings(subject.kit, files, subject.batch, subject.threads, prepare)
    return Round(rate, run / "results.csv", ceilings, share)


def measured_throughput(
    subject: Subject, rounds: int, caches: Sequence[Cache], say: Say
) -> Throughput:
    """Repeat rounds; several states of the page cache take turns.

    Args:
        subject: what sweeps what.
        rounds: of each state.
        caches: the first is the result itself; "cold" after "warm" may be missing in it.
        say: receives a line per round.

    Raises:
        BenchError: a sweep failed.
        ColdError: only cold was asked for, or half-way, and the files stay in the page cache.
    """
    missing = _reason_against_cold(subject) if "cold" in caches else ""
    if missing and len(caches) == 1:
        raise ColdError(missing)
    done: dict[Cache, list[Round]] = {c: [] for c in caches if c == "warm" or not missing}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            for cache, found in done.items():
                found.append(run_round(subject, Path(scratch) / f"run-{number}-{cache}", cache))
                say(
                    f"round {number + 1}, {cache} cache: sweep {found[-1].sweep_per_s:.1f}/s,"
                    f" limit {found[-1].ceilings.shared:.1f}/s"
                )
    first, *others = (throughput_of(subject, found, cache) for cache, found in done.items())
    return first.model_copy(update={"cold": others[0] if others else None, "cold_missing": missing})


def _reason_against_cold(subject: Subject) -> str:
    try:
        drop_pages({file.entry.location for file in subject.workload.files})
    except ColdError as error:
        return str(error)
    return ""


def throughput_of(subject: Subject, rounds: Sequence[Round], cache: Cache = "warm") -> Throughput:
    """Figures of rounds: medians, and efficiencies of each round with its own limits."""
    files = subject.workload.described().model_copy(update={"cache": cache})
    rates = [found.sweep_per_s for found in rounds]
    middle = Ceilings(
        {
            stage: statistics.median(found.ceilings.per_s[stage] for found in rounds)
            for stage in rounds[0].ceilings.per_s
        },
        {
            stage: _middle(found.ceilings.hardware_shares[stage] for found in rounds)
            for stage in rounds[0].ceilings.hardware_shares
        },
    )
    binding, runner_up, *_ = middle.slowest
    return Throughput(
        setup=subject.setup,
        files=files,
        batch=subject.batch,
        threads=subject.threads,
        end_to_end_per_s=statistics.median(rates),
        end_to_end_rounds=rates,
        hardware_share=_middle(found.hardware_share for found in rounds),
        stages=[_stage(name, middle, files) for name in middle.per_s],
        shared_per_s=middle.shared,
        efficiency=Efficiency(
            min=statistics.median(r.sweep_per_s / r.ceilings.least for r in rounds),
            shared=statistics.median(r.sweep_per_s / r.ceilings.shared for r in rounds),
        ),
        binding=binding,
        runner_up=runner_up,
        advice=f"{ADVICE[binding]}; next is {runner_up} at {middle.per_s[runner_up]:.1f}/s",
    )


def _middle(shares: Iterable[float | None]) -> float | None:
    """Median of what is known."""
    known = [share for share in shares if share is not None]
    return statistics.median(known) if known else None


def _stage(name: str, ceilings: Ceilings, files: Files) -> Stage:
    rate = ceilings.per_s[name]
    return Stage(
        name=name,
        ceiling_per_s=rate,
        ceiling_mp_per_s=rate * files.megapixels,
        ceiling_mb_per_s=rate * files.kilobytes / 1e3,
        cache=files.cache if name == "read" else "memory",
        hardware_share=ceilings.hardware_shares.get(name),
    )


def _swept(subject: Subject, run: Path) -> tuple[float, float | None]:
    """Sweep by the installed command: radiographs per second, and what it used.

    Both from its first read to its last row.

    Raises:
        BenchError: it failed, or a radiograph did.
    """
    words = ["sweep", str(subject.workload.archive), "-b", str(subject.bundle), "-o", str(run)]
    words += ["--batch", str(subject.batch), "--threads", str(subject.threads)]
    program = str(Path(sys.executable).with_name("cxrsweep"))
    with HardwareWatch(subject.kit.gpu) as watch:
        finished([program, *words, "--device", subject.device])
    meter = json.loads((run / "run.json").read_bytes())["meter"]
    end = max(part.stat().st_mtime for part in (run / "parts").glob("*.csv"))
    share = watch.share(end - meter["wall_s"], end)
    rate: float = meter["radiographs"] / meter["wall_s"]
    return rate, share


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
