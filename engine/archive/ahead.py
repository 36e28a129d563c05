"""Files worked on ahead in threads: entries in, what was made of each out, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from cxrsweep.engine.archive.contents import Contents, is_in_order
from cxrsweep.engine.archive.entries import Entry
from cxrsweep.engine.archive.remote import is_remote
from cxrsweep.engine.gate.header import Limits

MAX_BYTES_AHEAD = 256 * 2**20
MAX_CHUNK = 8
UNKNOWN_BYTES = 16 * 2**20  # of a file behind a URL that a list names: a large radiograph
REMOTE_THREADS = 16  # they wait for the network, not for a core

T = TypeVar("T")


class Ahead(Generic[T]):
    """Keeps a bounded number of files ahead of who takes them.

    Args:
        limits: sizes that are refused.
        threads: files worked on side by side.
        ahead: most files that are worked on or waiting.
    """

    def __init__(self, limits: Limits, threads: int, ahead: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "cxrsweep-read")
        # Archives that can only be read from front to back have a thread for themselves.
        self._in_order = ThreadPoolExecutor(1, "cxrsweep-read-in-order")
        self._remote = ThreadPoolExecutor(REMOTE_THREADS, "cxrsweep-read-remote")
        self._contents = Contents(limits)
        self._ahead = ahead
        self._chunk = max(1, min(MAX_CHUNK, ahead // (2 * threads)))

    def made(
        self,
        entries: Iterable[Entry],
        make: Callable[[Entry, Contents], T],
        size_of: Callable[[Entry], int],
    ) -> Iterator[T]:
        """Yield what is made of every entry, in order.

        Args:
            entries: in the order of the archive.
            make: reads an entry and makes something of it, in a thread.
            size_of: bytes that it takes in memory.
        """
        waiting: deque[tuple[Future[list[T]], int, int]] = deque()
        files_ahead = bytes_ahead = 0
        for chunk in self._chunks(entries, size_of):
            size = sum(map(size_of, chunk))
            while waiting and (
                files_ahead + len(chunk) > self._ahead or bytes_ahead + size > MAX_BYTES_AHEAD
            ):
                done, files, read = waiting.popleft()
                files_ahead -= files
                bytes_ahead -= read
                yield from done.result()
            future = self._pool_for(chunk).submit(self._made, chunk, make)
            waiting.append((future, len(chunk), size))
            files_ahead += len(chunk)
            bytes_ahead += size
        while waiting:
            yield from waiting.popleft()[0].result()

    def _chunks(
        self, entries: Iterable[Entry], size_of: Callable[[Entry], int]
    ) -> Iterator[list[Entry]]:
        """A few small files at a time: handing over each alone costs as much as reading it."""
        chunk: list[Entry] = []
        size = 0
        for entry in entries:
            more = size_of(entry)
            if chunk and (len(chunk) == self._chunk or size + more > MAX_BYTES_AHEAD // 16):
                yield chunk
                chunk, size = [], 0
            chunk.append(entry)
            size += more
        if chunk:
            yield chunk

    def _pool_for(self, chunk: list[Entry]) -> ThreadPoolExecutor:
        if any(map(is_in_order, chunk)):
            return self._in_order
        return self._remote if is_remote(chunk[0].location) else self._pool

    def _made(self, chunk: list[Entry], make: Callable[[Entry, Contents], T]) -> list[T]:
        return [make(entry, self._contents) for entry in chunk]

    def close(self) -> None:
        """Drop what is ahead and stop the threads."""
        for pool in (self._pool, self._in_order, self._remote):
            pool.shutdown(cancel_futures=True)
        self._contents.close()


def size_in_memory(entry: Entry) -> int:
    """Bytes of a file that is read whole, guessed where the listing could not tell."""
    return entry.size if entry.size >= 0 else UNKNOWN_BYTES
