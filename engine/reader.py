"""Reads and checks files ahead in threads: entries in, contents with headers out, in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cxrsweep.engine.archive import Contents, Entry, is_in_order
from cxrsweep.engine.archive.remote import is_remote
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits

MAX_BYTES_AHEAD = 256 * 2**20
MAX_CHUNK = 8
UNKNOWN_BYTES = 16 * 2**20  # of a file behind a URL that a list names: a large radiograph
REMOTE_THREADS = 16  # they wait for the network, not for a core


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


def _size(entry: Entry) -> int:
    return entry.size if entry.size >= 0 else UNKNOWN_BYTES


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
        header = header_of(content, limits)
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
        self._pool = ThreadPoolExecutor(threads, "cxrsweep-read")
        # Archives that can only be read from front to back have a thread for themselves.
        self._in_order = ThreadPoolExecutor(1, "cxrsweep-read-in-order")
        self._remote = ThreadPoolExecutor(REMOTE_THREADS, "cxrsweep-read-remote")
        self._contents = Contents(limits)
        self._limits = limits
        self._ahead = ahead
        self._chunk = max(1, min(MAX_CHUNK, ahead // (2 * threads)))

    def read(self, entries: Iterable[Entry]) -> Iterator[Checked | Rejected]:
        """Yield every entry, read and checked, in order."""
        waiting: deque[tuple[Future[list[Checked | Rejected]], int, int]] = deque()
        files_ahead = bytes_ahead = 0
        for chunk in self._chunks(entries):
            size = sum(_size(entry) for entry in chunk)
            while waiting and (
                files_ahead + len(chunk) > self._ahead or bytes_ahead + size > MAX_BYTES_AHEAD
            ):
                done, files, read = waiting.popleft()
                files_ahead -= files
                bytes_ahead -= read
                yield from done.result()
            future = self._pool_for(chunk).submit(self._checked, chunk)
            waiting.append((future, len(chunk), size))
            files_ahead += len(chunk)
            bytes_ahead += size
        while waiting:
            yield from waiting.popleft()[0].result()

    def _chunks(self, entries: Iterable[Entry]) -> Iterator[list[Entry]]:
        """A few small files at a time: handing over each alone costs as much as reading it."""
        chunk: list[Entry] = []
        size = 0
        for entry in entries:
            if chunk and (len(chunk) == self._chunk or size + _size(entry) > MAX_BYTES_AHEAD // 16):
                yield chunk
                chunk, size = [], 0
            chunk.append(entry)
            size += _size(entry)
        if chunk:
            yield chunk

    def _pool_for(self, chunk: list[Entry]) -> ThreadPoolExecutor:
        if any(map(is_in_order, chunk)):
            return self._in_order
        return self._remote if is_remote(chunk[0].location) else self._pool

    def _checked(self, chunk: list[Entry]) -> list[Checked | Rejected]:
        return [checked_from_entry(entry, self._contents, self._limits) for entry in chunk]

    def close(self) -> None:
        """Drop what is read ahead and stop the threads."""
        for pool in (self._pool, self._in_order, self._remote):
            pool.shutdown(cancel_futures=True)
        self._contents.close()
