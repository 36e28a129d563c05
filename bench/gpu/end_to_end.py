"""Whole sweeps as a user starts them: their rate, the limits it is held against, their memory."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from cxrsweep.bench.gpu.evidence import without_paths
from cxrsweep.bench.gpu.files import described_files, files_of, linked
from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.gpu.torch_rival import require_torch, run_module, torch_device
from cxrsweep.bench.kits import number_of
from cxrsweep.bench.rivals.outcome import read_outcome
from cxrsweep.engine.errors import CxrsweepError

SWEEP_S = 20.0
MOST_FILES = 60_000
GUESS_PER_S = 500.0
LOOP_S, LOOP_GUESS_PER_S = 8.0, 400.0
LOOP_ARCHIVE = "jpeg-1024"
PROGRAM = "from cxrsweep.engine.cli import main; main()"
TICK_S = 0.1
FINISHED = (0, 3)  # 3: with failed rows, which the counts tell


class SweepFailedError(CxrsweepError):
    """A sweep did not finish."""


@dataclass(frozen=True)
class Swept:
    """A finished sweep.

    Attributes:
        rate: radiographs/s of the loop, without opening and closing.
        process_s: seconds of the whole process.
        record: its run.json.
        host_peak_mib: most memory of its process.
        gpu_peak_mib: most memory in use on the GPU beyond what was before; None without a GPU.
    """

    rate: float
    process_s: float
    record: dict[str, Any]
    host_peak_mib: float
    gpu_peak_mib: float | None


def sweep_given(setting: Setting, note: Note) -> None:
    """The folder that was given, or phantoms of every size."""
    _measure(setting, note, "given")


def sweep_jpeg(setting: Setting, note: Note) -> None:
    """Grey JPEG of 1024 x 1024."""
    _measure(setting, note, "jpeg-1024")


def sweep_png(setting: Setting, note: Note) -> None:
    """Grey PNG of 1024 x 1024."""
    _measure(setting, note, "png-1024")


def _measure(setting: Setting, note: Note, archive: str) -> None:
    files = files_of(setting, archive)
    limits = setting.earlier("ceilings").get(archive, {}).get("ceilings", {})
    guess = min(limits.get("least", GUESS_PER_S), limits.get("shared", GUESS_PER_S))
    count = 8 if setting.quick else wanted_count(guess, SWEEP_S, len(files))
    folder = linked(setting.scratch / f"links-{archive}", files, count)
    note("files", described_files(files))
    swept = run_sweep(setting, folder, setting.scratch / f"run-{archive}")
    for name, figure in described_sweep(swept, limits).items():
        note(name, figure)


def wanted_count(per_s: float, seconds: float, least: int) -> int:
    """How many files keep a sweep at work for so long, in multiples of 64."""
    wanted = max(math.ceil(per_s * seconds), least)
    return min(math.ceil(wanted / 64) * 64, MOST_FILES)


def described_sweep(swept: Swept, limits: dict[str, float]) -> dict[str, Any]:
    """Figures of a sweep; E is its rate over the slowest stage alone, and over all shared."""
    meter = swept.record["meter"]
    efficiency = {
        f"E_{name}": round(swept.rate / limits[name], 4)
        for name in ("least", "shared")
        if limits.get(name)
    }
    return {
        "radiographs_per_s": round(swept.rate, 2),
        "megapixels_per_s": round(meter["pixels"] / meter["wall_s"] / 1e6, 2),
        **efficiency,
        "process_s": round(swept.process_s, 2),
        "wall_s": meter["wall_s"],
        "seconds": meter["seconds"],
        "waits": meter["waits"],
        "counts": swept.record["counts"],
        "batch": swept.record["starts"][-1].get("batch"),
        "runner": swept.record["starts"][-1].get("runner"),
        "stages": swept.record.get("stages"),
        "host_peak_mib": round(swept.host_peak_mib, 1),
        "gpu_peak_mib": swept.gpu_peak_mib,
    }


def run_sweep(setting: Setting, folder: Path, run: Path) -> Swept:
    """Start `cxrsweep sweep` and watch its memory.

    Raises:
        SweepFailedError: it did not finish in time or at all, with the end of what it said.
    """
    words = ["sweep", str(folder), "-b", str(setting.bundle), "-o", str(run)]
    words += ["--device", setting.device, "--batch", str(setting.batch)]
    words += ["--threads", str(setting.threads)]
    log = run.with_suffix(".log")
    start = time.perf_counter()
    with log.open("w") as stream, _gpu_memory(setting) as memory:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words], stdout=stream, stderr=stream
        )
        code, host_peak_mib = _watched(process, setting, memory)
    if code not in FINISHED:
        said = without_paths(log.read_text(errors="replace")[-800:]).strip()
        raise SweepFailedError(f"the sweep of {folder.name} ended with {code}: {said}")
    record = json.loads((run / "run.json").read_bytes())
    meter = record["meter"]
    rate = meter["radiographs"] / meter["wall_s"]
    process_s = time.perf_counter() - start
    return Swept(rate, process_s, record, host_peak_mib, memory.most_mib)


class _Memory:
    """Most memory in use on a GPU since it was made, in MiB beyond what was in use then."""

    most_mib: float | None = None

    def __init__(self, device: Any = None) -> None:
        self._device = device
        self._before = self._used() if device else 0.0

    def look(self) -> None:
        """Keep the most."""
        if self._device:
            self.most_mib = max(self.most_mib or 0.0, round(self._used() - self._before, 1))

    def _used(self) -> float:
        return float(pynvml.nvmlDeviceGetMemoryInfo(self._device).used) / 2**20


@contextlib.contextmanager
def _gpu_memory(setting: Setting) -> Iterator[_Memory]:
    if setting.device == "cpu":
        yield _Memory()
        return
    pynvml.nvmlInit()
    try:
        yield _Memory(pynvml.nvmlDeviceGetHandleByIndex(number_of(setting.device)))
    finally:
        pynvml.nvmlShutdown()


def _watched(
    process: subprocess.Popen[bytes], setting: Setting, memory: _Memory
) -> tuple[int, float]:
    """Exit code and peak MiB of a process; killed when the time is up."""
    while True:
        # wait4 tells the memory of this very process; Popen.wait tells none.
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss / 1024
        memory.look()
        if setting.left_s < 1:
            process.kill()
        time.sleep(TICK_S)


def race_loop(setting: Setting, note: Note) -> None:
    """The PyTorch DataLoader loop on one archive, beside its sweep."""
    require_torch(setting)
    files = files_of(setting, LOOP_ARCHIVE)
    sweep_rate = setting.earlier(f"sweep {LOOP_ARCHIVE}").get("radiographs_per_s")
    guess = min(sweep_rate or LOOP_GUESS_PER_S, LOOP_GUESS_PER_S)
    # Whole batches: a shorter last one would be compiled anew, on the clock.
    count = (1 if setting.quick else math.ceil(guess * LOOP_S / setting.batch)) * setting.batch
    folder = linked(setting.scratch / "links-loop", files, count)
    output = setting.scratch / "loop.json"
    words = [str(setting.recipe), str(folder), str(output), str(setting.batch)]
    words += [str(setting.threads), str(setting.threads), torch_device(setting)]
    note("archive", LOOP_ARCHIVE)
    note("settings", {"workers": setting.threads, "batch": setting.batch})
    run_module(setting, "cxrsweep.bench.rivals.pytorch_loop", words)
    outcome = read_outcome(output)
    rate = len(outcome.scores) / outcome.seconds
    note("radiographs", len(outcome.scores))
    note("radiographs_per_s", round(rate, 2))
    if sweep_rate:
        note("sweep_over_loop", round(sweep_rate / rate, 3))
