"""How fast each stage is alone, on the same files: the limits that a sweep is held against."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.archive import Entry
from cxrsweep.engine.bundle import FP32_GRAPH, Bundle
from cxrsweep.engine.decode.batches import CPU_BATCH_PIXELS, Batch, batches_of
from cxrsweep.engine.decode.fast_lane import Decoder
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, Reader
from cxrsweep.engine.runners.openvino import OpenVinoRunner


@dataclass(frozen=True)
class Ceilings:
    """Radiographs per second of each stage alone, on all cores that the sweep may use.

    Attributes:
        read_and_gate, decode, network: radiographs/s, from a warm cache.
    """

    read_and_gate: float
    decode: float
    network: float

    @property
    def least(self) -> float:
        """Of the slowest stage: no sweep is faster, if the stages shared nothing."""
        return min(self.read_and_gate, self.decode, self.network)

    @property
    def shared(self) -> float:
        """When all stages share the same cores: one over the sum of their times."""
        return 1 / (1 / self.read_and_gate + 1 / self.decode + 1 / self.network)


def measured_ceilings(
    bundle: Bundle, entries: Sequence[Entry], batch: int, threads: int
) -> Ceilings:
    """Measure each stage alone.

    Args:
        bundle: its recipe and graph.
        entries: files that decode.
        batch: radiographs decoded together, as in the sweep.
        threads: cores, as in the sweep.

    Returns:
        the best of two passes of each stage; the first warms the cache and the buffers.
    """
    reader = Reader(Limits(), threads + 1, 3 * batch)
    read_rate = _rate(len(entries), lambda: deque(reader.read(entries), maxlen=0))
    batches = [
        b for b in batches_of(reader.read(entries), batch, CPU_BATCH_PIXELS) if isinstance(b, Batch)
    ]
    reader.close()
    decoder = Decoder(bundle.recipe, batch, threads)
    decode_rate = _rate(len(entries), lambda: [_pixels_of(decoder, b.files) for b in batches])
    pixels = [_pixels_of(decoder, b.files) for b in batches]
    decoder.close()
    runner = OpenVinoRunner(bundle.path(FP32_GRAPH), batch, threads)
    network_rate = _rate(len(entries), lambda: _run_network(runner, pixels))
    runner.close()
    return Ceilings(read_rate, decode_rate, network_rate)


def _pixels_of(decoder: Decoder, files: Sequence[Checked]) -> NDArray[np.uint8]:
    return decoder.decode([f.content for f in files], [f.header for f in files]).pixels


def _run_network(runner: OpenVinoRunner, batches: Sequence[NDArray[np.uint8]]) -> None:
    in_flight = deque([runner.submit(batches[0])])
    for pixels in batches[1:]:
        in_flight.append(runner.submit(pixels))
        if len(in_flight) > runner.depth:
            in_flight.popleft().result()
    while in_flight:
        in_flight.popleft().result()


def _rate(count: int, work: Callable[[], object], passes: int = 2) -> float:
    best = float("inf")
    for _ in range(passes):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return count / best
