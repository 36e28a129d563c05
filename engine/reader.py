"""Reads and checks files ahead in threads: entries in, contents with headers out, in order."""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cxrsweep.engine.archive import Entry
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate import header_of
from cxrsweep.engine.header import Header, Limits

MAX_BYTES_AHEAD = 256 * 2**20
MAX_CHUNK = 8


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
    return max(entry.size, 0)


def file_content(location: str, limits: Limits) -> bytes:
    """Read one regular file.

    Raises:
        Refused: READ_FAILED with the system's reason, TOO_LARGE above the byte limit.
    """
    most = int(limits.mebibytes * 2**20)
    try:
        # Non-blocking, because opening a named pipe would otherwise wait for a writer for ever.
        descriptor = os.open(location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refused(FailureCode.READ_FAILED, "not a regular file")
            if status.st_size > most:
                raise Refused(
                    FailureCode.TOO_LARGE,
                    f"{status.st_size} bytes, over {limits.mebibytes:g} MiB",
                )
            content = _whole(descriptor, status.st_size, most)
            if len(content) > most:  # it grew, or the system could not tell its size
                raise Refused(FailureCode.TOO_LARGE, f"over {limits.mebibytes:g} MiB")
            return content
    except MemoryError as error:
        raise Refused(FailureCode.TOO_LARGE, "no memory for the file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Refused(FailureCode.READ_FAILED, reason) from error


def _whole(descriptor: int, declared: int, most: int) -> bytes:
    """All bytes of a file, whatever it says its size is, but hardly more than `most`."""
    # One byte more than declared: exactly the declared size is then the end, in one call.
    first = os.read(descriptor, min(declared, most) + 1)
    if first and len(first) == declared:
        return first
    pieces = [first]
    while pieces[-1] and (room := most + 1 - sum(map(len, pieces))) > 0:
        pieces.append(os.read(descriptor, min(room, 1 << 20)))
    return b"".join(pieces)


def checked_from_entry(entry: Entry, limits: Limits) -> Checked | Rejected:
    """Read one file and pass it through the gate."""
    start = read = time.perf_counter()
    content, reason, header = b"", None, None
    try:
        content = file_content(entry.location, limits)
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
                future, files, read = waiting.popleft()
                files_ahead -= files
                bytes_ahead -= read
                yield from future.result()
            waiting.append((self._pool.submit(self._checked, chunk), len(chunk), size))
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

    def _checked(self, chunk: list[Entry]) -> list[Checked | Rejected]:
        return [checked_from_entry(entry, self._limits) for entry in chunk]

    def close(self) -> None:
        """Drop what is read ahead and stop the threads."""
        self._pool.shutdown(cancel_futures=True)
