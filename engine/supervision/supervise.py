"""The supervisor: runs the sweep in a process that may die, and starts it again after.

Its files say how far it was: the journal, which radiographs were being decoded; the spool, which
rows are known. The suspects go to the careful lane, which finds the one that kills.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from cxrsweep.engine.errors import RunError
from cxrsweep.engine.hardware.machine import memory_limit_mib
from cxrsweep.engine.supervision.journal import (
    add_suspects,
    forget_journal,
    in_flight,
    suspects_of,
)

LOOK_S = 0.2
STALL_S = 300.0
PRINTED_BYTES = 400
MEMORY_SHARE = 0.8
DEATHS_WITHOUT_PROGRESS = 3


@dataclass(frozen=True)
class Watch:
    """When a worker is given up.

    Attributes:
        stall_s: it has been decoding one batch for so long.
        memory_mib: it has taken so much.
    """

    stall_s: float = STALL_S
    memory_mib: int = 0


def supervised(
    run: Path,
    words: Sequence[str],
    say: Callable[[str], None],
    show: Callable[[str], None],
    watch: Watch | None = None,
) -> int:
    """Sweep in a worker, as often as it takes.

    Args:
        run: folder of the run.
        words: of the command line, after the program's name.
        say: receives what goes to stderr, a line each.
        show: receives what goes to stdout.
        watch: when to give a worker up.

    Returns:
        exit code of the worker that ended by itself.

    Raises:
        RunError: workers die again and again, and nothing is scored nor newly suspected in between.
    """
    watch = watch or Watch(memory_mib=int(MEMORY_SHARE * memory_limit_mib()))
    deaths, known = 0, _progress(run)
    while True:
        forget_journal(run)
        ended = _watched(run, words, say, show, watch)
        if ended.code >= 0 or ended.is_asked:
            return ended.code if ended.code >= 0 else 1
        suspects = in_flight(run).ordinals
        # New suspects are progress: batch after batch may hold a killer before any row is known.
        is_stuck = _progress(run) == known and suspects_of(run).issuperset(suspects)
        deaths, known = deaths + 1 if is_stuck else 1, _progress(run)
        if suspects:
            add_suspects(run, suspects)
        why = ended.why or f"it died of {signal.Signals(-ended.code).name}"
        why += f" ({ended.printed})" if ended.printed else ""
        _note(run, why, suspects)
        if deaths >= DEATHS_WITHOUT_PROGRESS:
            raise RunError(
                f"the sweep's worker ended {deaths} times and scored nothing in between; the last"
                f" time {why}. What was finished is kept; see {run / 'log.jsonl'}"
            )
        say(f"the worker ended: {why}; {len(suspects)} radiographs in work are decoded apart")


@dataclass
class _Ended:
    """How a worker ended.

    Attributes:
        code: exit code, or minus the signal.
        why: the supervisor ended it, and this is why.
        is_asked: someone asked the supervisor to stop.
        printed: the last that C libraries printed on stderr.
    """

    code: int
    why: str = ""
    is_asked: bool = False
    printed: str = ""


def _watched(
    run: Path,
    words: Sequence[str],
    say: Callable[[str], None],
    show: Callable[[str], None],
    watch: Watch,
) -> _Ended:
    why = ""
    with tempfile.TemporaryFile() as printed:
        worker, talk = _started(words, printed)
        with _handing_on(worker) as asked, _relayed((worker.stdout, show), (talk, say)):
            while worker.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(LOOK_S)
                why = why or _reason_to_end(run, worker.pid, watch)
                if why and worker.poll() is None:
                    worker.kill()
        return _Ended(worker.returncode, why, asked.is_set(), _end_of(printed))


def _started(
    words: Sequence[str], printed: IO[bytes]
) -> tuple[subprocess.Popen[str], IO[str] | None]:
    """Start a worker; on a terminal it talks to it directly, so that its bar can move."""
    reading, talking = (None, os.dup(2)) if sys.stderr.isatty() else os.pipe()
    numbers = [str(os.getpid()), str(talking)]
    try:
        worker = subprocess.Popen(
            [sys.executable, "-m", "cxrsweep.engine.supervision.worker", *numbers, *words],
            stdout=subprocess.PIPE,
            stderr=printed,
            stdin=subprocess.DEVNULL,
            text=True,
            pass_fds=[talking],
            process_group=0,  # Ctrl-C reaches the supervisor alone, which hands it on once
        )
    finally:
        os.close(talking)
    return worker, None if reading is None else os.fdopen(reading, encoding="utf-8")


def _end_of(printed: IO[bytes]) -> str:
    """The last that C libraries printed in a worker, on one line."""
    printed.seek(max(printed.seek(0, os.SEEK_END) - PRINTED_BYTES, 0))
    return " ".join(printed.read().decode("utf-8", "replace").split())


def _reason_to_end(run: Path, pid: int, watch: Watch) -> str:
    flight = in_flight(run)
    decoding_s = time.monotonic() - flight.since if flight.ordinals else 0.0
    if decoding_s > watch.stall_s:
        return f"it decoded one batch for {decoding_s:.0f} s"
    taken = _resident_mib(pid)
    if watch.memory_mib and taken > watch.memory_mib:
        return f"it took {taken} MiB of memory, over {watch.memory_mib}"
    return ""


def _resident_mib(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0  # it has just ended
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


@contextlib.contextmanager
def _handing_on(worker: subprocess.Popen[str]) -> Iterator[threading.Event]:
    """Hand Ctrl-C and SIGTERM on to the worker, which knows how to stop."""
    asked = threading.Event()

    def hand_on(number: int, _: FrameType | None) -> None:
        asked.set()
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(number)

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, hand_on) for kind in kinds}
    try:
        yield asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextlib.contextmanager
def _relayed(*streams: tuple[IO[str] | None, Callable[[str], None]]) -> Iterator[None]:
    threads = [
        threading.Thread(target=_relay, args=(stream, tell)) for stream, tell in streams if stream
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def _relay(stream: IO[str], tell: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            tell(line.rstrip("\n"))


def _progress(run: Path) -> tuple[int, int]:
    """Finished parts, and bytes of rows in unfinished ones: more of either is progress."""
    parts = run / "parts"
    spools = [path.stat().st_size for path in parts.glob("*.rows")]
    return sum(1 for _ in parts.glob("*.csv")), sum(spools)


def _note(run: Path, why: str, suspects: Sequence[int]) -> None:
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": "worker_ended"}
    if run.is_dir():
        with (run / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**line, "reason": why, "in_flight": list(suspects)}) + "\n")
