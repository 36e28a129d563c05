"""Which radiographs are being decoded right now: read by the supervisor when the worker is dead."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

JOURNAL = "in-flight.json"
SUSPECTS = "suspects.json"


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
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(folder / JOURNAL, flags, 0o644)

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


def in_flight(folder: Path) -> InFlight:
    """Read the journal of a run; nothing where there is none."""
    try:
        words = json.loads((folder / JOURNAL).read_bytes())
        return InFlight(tuple(words["ordinals"]), words["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return InFlight()


def forget_journal(folder: Path) -> None:
    """Remove what a journal of an earlier worker says."""
    (folder / JOURNAL).unlink(missing_ok=True)


def suspects_of(folder: Path) -> frozenset[int]:
    """Ordinals that were in flight when a worker died: they are decoded in the careful lane."""
    try:
        return frozenset(json.loads((folder / SUSPECTS).read_bytes()))
    except (OSError, ValueError, TypeError):
        return frozenset()


def add_suspects(folder: Path, ordinals: Sequence[int]) -> None:
    """Remember suspects for this start and all later ones."""
    partial = folder / f"{SUSPECTS}.partial"
    partial.write_text(json.dumps(sorted(suspects_of(folder) | set(ordinals))), encoding="utf-8")
    partial.replace(folder / SUSPECTS)
