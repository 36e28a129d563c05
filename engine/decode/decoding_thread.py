"""Decodes ahead in a thread of its own: batches in, decoded batches out, in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cxrsweep.engine.decode.audit import Audit
from cxrsweep.engine.decode.batches import Batch
from cxrsweep.engine.decode.fast_lane import Decoded
from cxrsweep.engine.decode.grey import Uint8
from cxrsweep.engine.hardware.cuda import DevicePixels
from cxrsweep.engine.reader import Rejected
from cxrsweep.engine.runs.shard import Shard
from cxrsweep.engine.stages import AnyDecoder
from cxrsweep.engine.supervision.journal import Journal

AHEAD = 1


@dataclass(frozen=True)
class DecodedBatch:
    """A batch with its pixels.

    Attributes:
        files: in the order of the archive; their contents are no longer needed.
        decoded: pixels and refusals.
        seconds: decoding took.
        waited_s: nothing else was to be done meanwhile.
    """

    files: Batch
    decoded: Decoded[Uint8 | DevicePixels]
    seconds: float
    waited_s: float


class DecodingThread:
    """Keeps one batch decoding while the sweep scores others and writes rows.

    Args:
        decoder: releases Python's lock while it works.
        journal: told what is being decoded.
        audit: decodes some of it again.
    """

    def __init__(self, decoder: AnyDecoder, journal: Journal, audit: Audit) -> None:
        self._decoder = decoder
        self._journal = journal
        self._audit = audit
        self._pool = ThreadPoolExecutor(1, "cxrsweep-decode")

    def decoded(
        self, steps: Iterable[tuple[Shard, Batch | Rejected]]
    ) -> Iterator[tuple[Shard, DecodedBatch | Rejected]]:
        """Yield every step; batches once they are decoded, rejected files at once."""
        waiting: deque[tuple[Shard, Batch, Future[_Timed]]] = deque()
        for shard, step in steps:
            if isinstance(step, Rejected):
                yield shard, step
                continue
            waiting.append((shard, step, self._pool.submit(self._timed, step)))
            if len(waiting) > AHEAD:
                yield _waited_for(*waiting.popleft())
        while waiting:
            yield _waited_for(*waiting.popleft())

    def close(self) -> None:
        """Finish the batch in work and stop the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _timed(self, batch: Batch) -> _Timed:
        start = time.perf_counter()
        contents = [file.content for file in batch.files]
        headers = [file.header for file in batch.files]
        self._journal.begin([file.entry.ordinal for file in batch.files])
        decoded = self._decoder.decode(contents, headers, carefully=not batch.is_fast)
        seconds = time.perf_counter() - start
        self._audit.compare(batch, decoded)
        self._journal.end()
        return decoded, seconds


_Timed = tuple[Decoded[Uint8 | DevicePixels], float]


def _waited_for(
    shard: Shard, batch: Batch, future: Future[_Timed]
) -> tuple[Shard, DecodedBatch | Rejected]:
    start = time.perf_counter()
    decoded, seconds = future.result()
    return shard, DecodedBatch(batch, decoded, seconds, time.perf_counter() - start)
