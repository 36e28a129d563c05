"""Supervised workers of a sweep, for tests that watch, stop and kill them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cxrsweep.engine.describe import described_summary
from cxrsweep.engine.hardware.placement import placed_workers
from cxrsweep.engine.progress import PlainWatcher
from cxrsweep.engine.supervision.fleet import Order, swept_by_workers
from cxrsweep.engine.supervision.journal import in_flight
from cxrsweep.engine.supervision.supervise import Watch

WORKER = b"cxrsweep.engine.supervision.worker"


def swept(
    run: Path, words: Sequence[str], lines: list[str], watch: Watch, threads: int | None = None
) -> int:
    """What the command `sweep` does with one worker; its exit code."""
    order = Order(run, words, placed_workers("cpu", 1, threads))
    ended = swept_by_workers(order, PlainWatcher(lines.append), watch)
    if isinstance(ended, int):
        return ended
    lines += described_summary(ended).splitlines()
    return ended.exit_code


def workers_of(pid: int) -> list[int]:
    """The workers that a command has now."""
    found = []
    with contextlib.suppress(OSError):  # threads and processes end while they are looked at
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if WORKER in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def is_decoding(run: Path) -> bool:
    """Whether a worker of a run decodes something now."""
    journals = (run / "claims").glob("*.in-flight")
    return any(in_flight(path).ordinals for path in journals)


def when_decoding(run: Path, pid: int, act: Callable[[int], None], times: int = 1) -> None:
    """Do something to a worker while it decodes, to another one each time."""
    deadline, done = time.monotonic() + 60, set()
    while len(done) < times and time.monotonic() < deadline:
        for worker in workers_of(pid):
            if worker not in done and is_decoding(run):
                with contextlib.suppress(ProcessLookupError):
                    act(worker)
                    done.add(worker)
        time.sleep(0.001)
