"""Reads and checks files ahead in threads: entries in, contents with headers out, in order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cxrsweep.engine.archive import Contents, Entry
from cxrsweep.engine.archive.ahead import Ahead, size_in_memory
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits


@dataclass(frozen=True)
class Cost:
    """What one file took: bytes read, seconds in its read and in its checks."""

    size: int
    read_s: float
    gate_s: float


@dataclass(frozen=True)
class Checked:
    """A file that passed the gate: its whole content and what the gate learnt."""

    entry: Entry
    cost: Cost
    content: bytes
    header: Header


@dataclass(frozen=True)
class Rejected:
    """A file that could not be read or did not pass the gate, and why."""

    entry: Entry
    cost: Cost
    reason: Refused


def checked_from_entry(entry: Entry, contents: Contents, limits: Limits) -> Checked | Rejected:
    """Read one file and pass it through the gate."""
    refusal = entry.refusal()
    if refusal:
        return Rejected(entry, Cost(0, 0.0, 0.0), refusal)
    start = read = time.perf_counter()
    content, reason, header = b"", None, None
    try:
        content = contents.content(entry)
        read = time.perf_counter()
        header = header_of(content, limits, entry.frame)
    except Refused as refused:
        reason = refused
    cost = Cost(len(content), read - start, time.perf_counter() - read)
    if header:
        return Checked(entry, cost, content, header)
    assert reason is not None, "the gate gives a header or a reason"
    return Rejected(entry, cost, reason)


class Reader:
    """Keeps a bounded number of files ahead of the sweep.

    Args:
        limits: sizes that are refused.
        threads: files read side by side.
        ahead: most files that are read or waiting.
    """

    def __init__(self, limits: Limits, threads: int, ahead: int) -> None:
        self._limits = limits
        self._ahead: Ahead[Checked | Rejected] = Ahead(limits, threads, ahead)
        self.close = self._ahead.close

    def read(self, entries: Iterable[Entry]) -> Iterator[Checked | Rejected]:
        """Yield every entry, read and checked, in order."""
        return self._ahead.made(entries, self._checked, size_in_memory)

    def _checked(self, entry: Entry, contents: Contents) -> Checked | Rejected:
        return checked_from_entry(entry, contents, self._limits)
