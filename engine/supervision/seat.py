"""The seat of a worker: what its command tells it, and what it tells its command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from cxrsweep.engine.hardware.machine import cores as cores_here

STOPPED = 4  # exit code of a worker that was asked to stop
EVENT = "\x1e"  # begins a line that is not for people


@dataclass(frozen=True)
class Seat:
    """Where one of the workers of a command sits; it outlives the worker.

    Attributes:
        token: of the command's lease.
        number: from 0.
        device: one device, as `chosen_device` takes it.
        threads: CPU threads.
        cores: numbers of the CPU cores to stay on; none for all.
        host_cores: that all workers of the command have together.
        until: seconds since the epoch, when no shard is begun any more; 0 for never.
    """

    token: str
    number: int = 0
    device: str = "auto"
    threads: int = 1
    cores: tuple[int, ...] = ()
    host_cores: int = field(default_factory=cores_here)
    until: float = 0.0

    def as_json(self) -> str:
        """One word of a command line."""
        return json.dumps(asdict(self))


def seat_from_json(text: str) -> Seat:
    """Undo `Seat.as_json`."""
    plain = json.loads(text)
    return Seat(**{**plain, "cores": tuple(plain["cores"])})


class Telling:
    """A watcher that hands everything on to the command, a line each.

    Args:
        say: writes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def told(self, line: str) -> None:
        """As it is."""
        self._say(line)

    def started(self, done: int, indexed: int) -> None:
        """An event."""
        self._event("started", done, indexed)

    def advanced(self, radiographs: int, failed: int, shard: int = 0) -> None:
        """An event."""
        self._event("advanced", radiographs, failed, shard)

    def noted(self, notes: Iterable[str]) -> None:
        """What the user should know at the end."""
        self._event("noted", *notes)

    def _event(self, name: str, *values: object) -> None:
        self._say(EVENT + json.dumps([name, *values]))


def event_of(line: str) -> list[int | str] | None:
    """What `Telling` wrote, or None for a line that is for people."""
    if not line.startswith(EVENT):
        return None
    event: list[int | str] = json.loads(line.removeprefix(EVENT))
    return event
