"""The supervisor of one seat: runs a sweep's worker, which may die, and starts it again after.

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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cxrsweep.engine.errors import RunError
from cxrsweep.engine.runs.leases import CLAIMS
from cxrsweep.engine.supervision.journal import add_suspects, in_flight, suspects_of
from cxrsweep.engine.supervision.seat import STOPPED, Seat

LOOK_S = 0.2
STALL_S = 300.0
PRINTED_BYTES = 400
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


class Supervisor:
    """Keeps one seat of a command filled, as often as it takes.

    Args:
        run: folder of the run.
        log: file of the run that is told of deaths.
        words: of the command line, after the program's name; the seat comes after the first.
        seat: to be filled.
        hear: receives every line of the workers.
        begun: names the shards that this seat's workers have told of.
        watch: when to give a worker up.
    """

    def __init__(
        self,
        run: Path,
        log: Path,
        words: Sequence[str],
        seat: Seat,
        hear: Callable[[str], None],
        begun: Callable[[], Iterable[int]],
        watch: Watch,
    ) -> None:
        self._run = run
        self._log = log
        self._words = [words[0], "--seat", seat.as_json(), *words[1:]]
        self._owner = f"{seat.token}.{seat.number}"
        self._journal = run / CLAIMS / f"{self._owner}.in-flight"
        self._hear = hear
        self._begun = begun
        self._watch = watch
        self._lock = threading.RLock()  # a signal may come while it is held
        self._worker: subprocess.Popen[bytes] | None = None
        self._is_asked = False

    def signal(self, number: int) -> None:
        """Hand a signal on to the worker, and start none after it."""
        with self._lock:
            self._is_asked = True
            if self._worker:
                with contextlib.suppress(ProcessLookupError):
                    self._worker.send_signal(number)

    def keep(self, died: Callable[[], None]) -> int:
        """Run workers until one ends by itself; stay in this thread, whose end would end them.

        Args:
            died: called after each death.

        Returns:
            its exit code; 1 where it was asked to stop and did not end by itself.

        Raises:
            RunError: workers die again and again, and nothing is scored nor newly suspected in
                between.
        """
        deaths, known = 0, self._progress()
        while True:
            self._journal.unlink(missing_ok=True)
            ended = self._watched()
            if self._is_asked:
                return 0 if ended.code == STOPPED else abs(ended.code) and 1
            if ended.code == STOPPED:  # by somebody else, while others may wait for its shards
                died()
                continue
            if ended.code >= 0:
                return ended.code
            suspects = in_flight(self._journal).ordinals
            # New suspects are progress: batch after batch may hold a killer before any row is
            # known.
            is_new = not suspects_of(self._run).issuperset(suspects)
            is_stuck = self._progress() == known and not is_new
            deaths, known = deaths + 1 if is_stuck else 1, self._progress()
            if suspects:
                add_suspects(self._run, self._owner, suspects)
            why = ended.why or f"it died of {signal.Signals(-ended.code).name}"
            why += f" ({ended.printed})" if ended.printed else ""
            _note(self._log, why, suspects)
            if deaths >= DEATHS_WITHOUT_PROGRESS:
                raise RunError(
                    f"the sweep's worker ended {deaths} times and scored nothing in between; the"
                    f" last time {why}. What was finished is kept; see {self._log}"
                )
            died()
            self._hear(
                f"the worker ended: {why}; {len(suspects)} radiographs in work are decoded apart"
            )

    def _watched(self) -> _Ended:
        why = ""
        with tempfile.TemporaryFile() as printed:
            with self._lock:
                if self._is_asked:
                    return _Ended(-signal.SIGTERM)
                worker, talk = _started(self._words, printed)
                self._worker = worker
            relay = threading.Thread(target=_relay, args=(talk, self._hear))
            relay.start()
            while worker.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(LOOK_S)
                why = why or _reason_to_end(self._journal, worker.pid, self._watch)
                if why and worker.poll() is None:
                    worker.kill()
            relay.join()
            return _Ended(worker.returncode, why, _end_of(printed))

    def _progress(self) -> tuple[int, int]:
        """Finished parts, and bytes of rows in unfinished ones: more of either is progress."""
        parts = [self._run / "parts" / f"{number:06d}.csv" for number in self._begun()]
        spools = [path.with_suffix(".rows") for path in parts]
        return sum(path.exists() for path in parts), sum(map(_size_of, spools))


@dataclass(frozen=True)
class _Ended:
    """How a worker ended.

    Attributes:
        code: exit code, or minus the signal.
        why: the supervisor ended it, and this is why.
        printed: the last that C libraries printed.
    """

    code: int
    why: str = ""
    printed: str = ""


def _started(words: Sequence[str], printed: IO[bytes]) -> tuple[subprocess.Popen[bytes], IO[str]]:
    """Start a worker, and open what it says."""
    reading, talking = os.pipe()
    numbers = [str(os.getpid()), str(talking)]
    try:
        worker = subprocess.Popen(
            [sys.executable, "-m", "cxrsweep.engine.supervision.worker", *numbers, *words],
            stdout=printed,
            stderr=printed,
            stdin=subprocess.DEVNULL,
            pass_fds=[talking],
            process_group=0,  # Ctrl-C reaches the command alone, which hands it on once
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(talking)
    return worker, os.fdopen(reading, encoding="utf-8")


def _end_of(printed: IO[bytes]) -> str:
    """The last that C libraries printed in a worker, on one line."""
    printed.seek(max(printed.seek(0, os.SEEK_END) - PRINTED_BYTES, 0))
    return " ".join(printed.read().decode("utf-8", "replace").split())


def _reason_to_end(journal: Path, pid: int, watch: Watch) -> str:
    flight = in_flight(journal)
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


def _relay(stream: IO[str], tell: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            tell(line.rstrip("\n"))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _note(log: Path, why: str, suspects: Sequence[int]) -> None:
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": "worker_ended"}
    with log.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**line, "reason": why, "in_flight": list(suspects)}) + "\n")
