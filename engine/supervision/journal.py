"""Which radiographs are being decoded right now: read by the supervisor when the worker is dead."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SUSPECTS = "suspects"


@dataclass(frozen=True)
class InFlight:
    """What a journal says.

    Attributes:
        ordinals: being decoded; empty between batches.
        since: when that began, on the clock of time.monotonic, which all processes share.
    """

    ordinals: tuple[int, ...] = ()
    since: float = 0.0


class Journal:
    """Written before and after each batch is decoded: a few microseconds, never forced to the disk.

    Args:
        path: of its file; each worker has its own.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)

    def begin(self, ordinals: Sequence[int]) -> None:
        """Say what is going to be decoded."""
        text = json.dumps({"ordinals": list(ordinals), "since": time.monotonic()}).encode()
        os.pwrite(self._descriptor, text.ljust(os.fstat(self._descriptor).st_size), 0)

    def end(self) -> None:
        """Say that it is decoded."""
        self.begin(())

    def close(self) -> None:
        """Close the file; it stays, and says that nothing is in flight."""
        os.close(self._descriptor)


def in_flight(path: Path) -> InFlight:
    """Read a journal; nothing where there is none."""
    try:
        words = json.loads(path.read_bytes())
        return InFlight(tuple(words["ordinals"]), words["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return InFlight()


def suspects_of(run: Path) -> frozenset[int]:
    """Ordinals that were in flight when a worker died: they are decoded in the careful lane."""
    found: set[int] = set()
    for path in (run / SUSPECTS).glob("*.json"):
        found |= _suspects_in(path)
    return frozenset(found)


def add_suspects(run: Path, owner: str, ordinals: Sequence[int]) -> None:
    """Remember suspects for this start and all later ones.

    Args:
        run: its folder.
        owner: of the seat whose worker died; nobody else writes its file.
        ordinals: that were in flight.
    """
    path = run / SUSPECTS / f"{owner}.json"
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(sorted(_suspects_in(path) | set(ordinals))), encoding="utf-8")
    partial.replace(path)


def _suspects_in(path: Path) -> frozenset[int]:
    try:
        return frozenset(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return frozenset()
