"""Latency: how long batches take, one after the other, from three starting points to the scores."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np

from cxrsweep.bench.intervals import median_interval
from cxrsweep.bench.kits import USUAL_SHARE, Kit, decoded, opened_decoder, opened_runner
from cxrsweep.bench.results import LatencyBatch, Spread
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.runners import Runner
from cxrsweep.engine.stages import AnyDecoder

STEADY = 0.02
LEAST_ROUNDS, FEW_ROUNDS = 10, 5  # enough for an interval; the fewest where time is up
ROUND_S = 0.25  # of one batch from one starting point
WARM_SHARE, MOST_WARM_S = 0.03, 5.0

Say = Callable[[str], None]


@dataclass
class _Course:
    """One batch size from one starting point: what is repeated, and the seconds of every round."""

    batch: int
    work: Callable[[], object]
    rounds: list[list[float]] = field(default_factory=list)

    def warm_up(self) -> None:
        """Repeat until two windows in a row take the same time, or for some seconds."""
        begun, before = time.perf_counter(), 0.0
        while time.perf_counter() - begun < MOST_WARM_S:
            window = float(np.median([self._timed() for _ in range(3)]))
            if before and abs(window - before) <= WARM_SHARE * before:
                return
            before = window

    def run_round(self) -> None:
        """Repeat for a moment, at least once."""
        times = [self._timed()]
        while sum(times) < ROUND_S:
            times.append(self._timed())
        self.rounds.append(times)

    def spread(self) -> Spread:
        """What came of all rounds."""
        milliseconds = np.concatenate(self.rounds) * 1e3
        p50 = median_interval([[value * 1e3 for value in values] for values in self.rounds])
        p90, p95, p99 = np.quantile(milliseconds, [0.9, 0.95, 0.99])
        return Spread(
            min_ms=milliseconds.min(),
            p50_ms=p50.value,
            p50_low_ms=p50.low,
            p50_high_ms=p50.high,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            max_ms=milliseconds.max(),
            std_ms=milliseconds.std(),
            per_s=self.batch / p50.value * 1e3,
            count=len(milliseconds),
            is_steady=p50.half_width <= STEADY,
        )

    def is_steady(self) -> bool:
        """Whether the interval of p50 is narrow enough."""
        return median_interval(self.rounds).half_width <= STEADY

    def _timed(self) -> float:
        start = time.perf_counter()
        self.work()
        return time.perf_counter() - start


def measured_latency(
    kit: Kit, files: Sequence[Checked], batches: Sequence[int], seconds: float, say: Say
) -> tuple[str, list[LatencyBatch]]:
    """Measure every size of batch in turn, round after round, so that drift meets all alike.

    Args:
        kit: the device.
        files: that decode; each batch takes the next ones, over and over.
        batches: sizes.
        seconds: most to measure for; less where every interval is narrow before.
        say: receives a line per step.

    Returns:
        what executed on what, and the figures by size.
    """
    with contextlib.ExitStack() as stack:
        decoder = stack.enter_context(opened_decoder(kit, max(batches), USUAL_SHARE))
        courses: list[_Course] = []
        for batch in batches:
            runner = stack.enter_context(opened_runner(kit, batch))
            say(f"batch {batch}: {runner.name}, warming up")
            found = _courses(kit, decoder, runner, files, batch)
            for course in found:
                course.warm_up()
            courses += found
        _run_rounds(courses, seconds)
        name = runner.name
    threes = [courses[place : place + 3] for place in range(0, len(courses), 3)]
    return name, [_batch_of(*three) for three in threes]


def _run_rounds(courses: Sequence[_Course], seconds: float) -> None:
    begun = time.perf_counter()
    while True:
        for course in courses:
            course.run_round()
        rounds, is_late = len(courses[0].rounds), time.perf_counter() - begun > seconds
        if is_late and rounds >= FEW_ROUNDS:
            return
        if rounds >= LEAST_ROUNDS and all(course.is_steady() for course in courses):
            return


def _courses(
    kit: Kit, decoder: AnyDecoder, runner: Runner, files: Sequence[Checked], batch: int
) -> list[_Course]:
    """From the device, from host memory, and from encoded files."""
    groups = [
        [files[(start + place) % len(files)] for place in range(batch)]
        for start in range(0, len(files), batch)
    ]
    host = [kit.on_host(decoded(decoder, group).pixels) for group in groups]
    resident = [kit.on_device(pixels) for pixels in host]
    next_files, next_host, next_resident = cycle(groups), cycle(host), cycle(resident)

    def from_files() -> object:
        return runner.submit(decoded(decoder, next(next_files)).pixels).result()

    def from_host() -> object:
        return runner.submit(kit.on_device(next(next_host))).result()

    def from_device() -> object:
        return runner.submit(next(next_resident)).result()

    return [_Course(batch, work) for work in (from_device, from_host, from_files)]


def _batch_of(device: _Course, host: _Course, files: _Course) -> LatencyBatch:
    return LatencyBatch(
        batch=device.batch,
        host_to_scores=host.spread(),
        file_to_scores=files.spread(),
        **device.spread().model_dump(),
    )
