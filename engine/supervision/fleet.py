"""The workers of one command: seats in, one sweep of a run folder with one progress out."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from cxrsweep.engine.hardware.machine import memory_limit_mib
from cxrsweep.engine.hardware.placement import Placed
from cxrsweep.engine.progress import Watcher
from cxrsweep.engine.runs.admission import admitted
from cxrsweep.engine.runs.claims import Claims
from cxrsweep.engine.runs.joining import SweepSummary, concluded
from cxrsweep.engine.runs.run_folder import RunFolder, log_name
from cxrsweep.engine.runs.share import Share
from cxrsweep.engine.supervision.seat import Seat, event_of
from cxrsweep.engine.supervision.supervise import Supervisor, Watch

MEMORY_SHARE = 0.8
LOOK_S = 0.05


@dataclass(frozen=True)
class Order:
    """What the workers of a command are to do.

    Attributes:
        run: folder of the run.
        words: of the command line, after the program's name.
        placed: where each worker runs.
        until: seconds since the epoch, when no shard is begun any more; 0 for never.
        share: of an array of tasks; None is all.
        joins_in: others may be at work.
    """

    run: Path
    words: Sequence[str]
    placed: Sequence[Placed]
    until: float = 0.0
    share: Share | None = None
    joins_in: bool = False


def swept_by_workers(
    order: Order, watcher: Watcher, watch: Watch | None = None
) -> SweepSummary | int:
    """Sweep with supervised workers.

    Args:
        order: what they do.
        watcher: hears of all of them together.
        watch: when to give a worker up.

    Returns:
        how the run stands, or the exit code of a worker that told why it ended.

    Raises:
        RunError: the folder is in use or foreign, or workers only die.
    """
    share = int(MEMORY_SHARE * memory_limit_mib()) // len(order.placed)
    watch = watch or Watch(memory_mib=share)
    joins_in = order.joins_in or order.share is not None
    with admitted(order.run, joins_in=joins_in, say=watcher.told) as lease:
        log = order.run / log_name(lease.token, joins_in)
        fleet = _Fleet(order, lease.token, log, watcher, watch)
        code = fleet.run()
        if code:
            return code
        folder = RunFolder(order.run, f"{lease.token}.end", log.name)
        with contextlib.closing(folder):
            claims = Claims(order.run, lease.token)
            return concluded(folder, claims, order.share, fleet.heard.notes)


@dataclass
class _Heard:
    """What the workers have told.

    Attributes:
        notes: for the end, each once.
        counts: of every worker, shard -> rows and failed ones.
        is_told: why all of them end; what they say of it is not for people.
    """

    watcher: Watcher
    parts: Path
    notes: list[str] = field(default_factory=list)
    counts: list[dict[int, tuple[int, int]]] = field(default_factory=list)
    is_told: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _said: dict[str, int] = field(default_factory=dict)
    _is_started: bool = False

    def hear(self, number: int, line: str) -> None:
        """Take a line of a worker; what several say alike is told once."""
        event = event_of(line)
        with self._lock:
            if event is None:
                if not self.is_told and self._said.setdefault(line, number) == number:
                    self.watcher.told(line)
                return
            name, *values = event
            if name == "noted":
                self.notes += [str(note) for note in values if note not in self.notes]
            elif name == "advanced":
                self._advance(number, *map(int, values))
            elif not self._is_started:
                self._is_started = True
                self.watcher.started(*map(int, values))

    def forget_unfinished(self, number: int) -> None:
        """Take back what a worker that died had told of shards that are not whole."""
        with self._lock:
            for shard, (rows, failed) in list(self.counts[number].items()):
                if not (self.parts / f"{shard:06d}.csv").exists():
                    self._advance(number, -rows, -failed, shard)

    def begun(self, number: int) -> list[int]:
        """Shards that a worker has told of."""
        with self._lock:
            return list(self.counts[number])

    def _advance(self, number: int, radiographs: int, failed: int, shard: int) -> None:
        rows, refused = self.counts[number].get(shard, (0, 0))
        self.counts[number][shard] = (rows + radiographs, refused + failed)
        self.watcher.advanced(radiographs, failed, shard)


class _Fleet:
    """Supervisors side by side; what ends one for good ends all."""

    def __init__(self, order: Order, token: str, log: Path, watcher: Watcher, watch: Watch) -> None:
        self._log = log
        self.heard = _Heard(watcher, order.run / "parts")
        self._supervisors = [
            self._supervisor(order, token, number, placed, watch)
            for number, placed in enumerate(order.placed)
        ]
        self._codes: list[int] = []
        self._errors: list[BaseException] = []

    def run(self) -> int:
        """Wait for every worker; the first exit code that is not 0.

        Raises:
            RunError: workers only die.
        """
        threads = [
            threading.Thread(target=self._keep, args=(number, supervisor))
            for number, supervisor in enumerate(self._supervisors)
        ]
        with self._handing_on():
            for thread in threads:
                thread.start()
            is_ending = False
            while any(thread.is_alive() for thread in threads):
                time.sleep(LOOK_S)
                if (self._errors or any(self._codes)) and not is_ending:
                    is_ending = self.heard.is_told = True
                    self._signal(signal.SIGTERM)
        if self._errors:
            raise self._errors[0]
        return next(filter(None, self._codes), 0)

    def _supervisor(
        self, order: Order, token: str, number: int, placed: Placed, watch: Watch
    ) -> Supervisor:
        heard = self.heard
        heard.counts.append({})
        seat = Seat(token, number, placed.device, placed.threads, placed.cores, until=order.until)
        return Supervisor(
            order.run,
            self._log,
            order.words,
            seat,
            lambda line: heard.hear(number, line),
            lambda: heard.begun(number),
            watch,
        )

    def _keep(self, number: int, supervisor: Supervisor) -> None:
        try:
            self._codes.append(supervisor.keep(lambda: self.heard.forget_unfinished(number)))
        except BaseException as error:  # noqa: BLE001 (raised again by `run`)
            self._errors.append(error)

    def _signal(self, number: int) -> None:
        for supervisor in self._supervisors:
            supervisor.signal(number)

    @contextlib.contextmanager
    def _handing_on(self) -> Iterator[None]:
        """Hand Ctrl-C and SIGTERM on to the workers, which know how to stop."""

        def hand_on(number: int, _: FrameType | None) -> None:
            self._signal(number)

        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, hand_on) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)
