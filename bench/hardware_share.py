"""How much of the hardware some work used: work in, the busy share of the cores or the GPU out."""

from __future__ import annotations

import os
import resource
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from cxrsweep.bench.gpu_state import busy_share
from cxrsweep.engine.hardware.gpu import Gpu
from cxrsweep.engine.hardware.machine import cores

EVERY_S = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Sample:
    """One look: when (seconds since the epoch), CPU seconds so far, busy share of the GPU."""

    at: float
    cpu_s: float
    gpu: float | None


class HardwareWatch:
    """Looks at this process and all that it started while something runs.

    Args:
        gpu: the one that is at work; None watches the CPU.
        every_s: between two looks; None looks at the begin and at the end alone.
    """

    def __init__(self, gpu: Gpu | None, every_s: float | None = EVERY_S) -> None:
        self._gpu, self._every_s = gpu, every_s
        self._samples: list[_Sample] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cxrsweep-watch", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        if self._every_s:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._every_s:
            self._thread.join()
        self._look()

    def share(self, begin: float | None = None, end: float | None = None) -> float | None:
        """What was used between two instants, by default of the whole time.

        Args:
            begin: seconds since the epoch.
            end: the same.

        Returns:
            of a CPU, CPU time over time and cores; of a GPU, the mean of what its driver told, and
            None where it told nothing.
        """
        times = np.array([sample.at for sample in self._samples])
        low, high = begin or times[0], end or times[-1]
        if self._gpu:
            told = [s.gpu for s in self._samples if s.gpu is not None and low <= s.at <= high]
            return float(np.mean(told)) if told else None
        used = np.interp([low, high], times, [sample.cpu_s for sample in self._samples])
        return float((used[1] - used[0]) / (high - low) / cores())

    def _look(self) -> None:
        gpu = busy_share(self._gpu) if self._gpu else None
        self._samples.append(_Sample(time.time(), tree_cpu_s(), gpu))

    def _watch(self) -> None:
        while not self._is_over.wait(self._every_s):
            self._look()


def tree_cpu_s() -> float:
    """CPU seconds of this process, of its living descendants, and of those that were waited for."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks, waiting = 0, _children_of(os.getpid())
    while waiting:
        pid = waiting.pop()
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        ticks += sum(map(int, fields[11:15]))  # its own, and of children that it waited for
        waiting += _children_of(pid)
    return time.process_time() + ended.ru_utime + ended.ru_stime + ticks / _TICKS


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass  # it, or a thread of it, has just ended
    return found
