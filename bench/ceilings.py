"""How fast each stage is alone, on the same files: the limits that a sweep is held against."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from cxrsweep.bench.hardware_share import EVERY_S, HardwareWatch
from cxrsweep.bench.kits import (
    USUAL_SHARE,
    Kit,
    Pixels,
    decoded,
    opened_decoder,
    opened_runner,
)
from cxrsweep.engine.archive import Contents
from cxrsweep.engine.decode.batches import Batch, batches_of
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.runners import Runner, Scores
from cxrsweep.engine.runs.run_folder import RunFolder
from cxrsweep.engine.runs.shard import shards_of
from cxrsweep.engine.runs.spool import Spool, Spooled
from cxrsweep.engine.runs.table import ok_row
from cxrsweep.engine.stages import AnyDecoder

SHARD = 256
PASSES = 2
CHUNK = 8


@dataclass(frozen=True)
class Ceilings:
    """Radiographs per second of each stage alone, with all that the sweep may use.

    Attributes:
        per_s: stage -> radiographs/s.
        hardware_shares: stage -> what it used, as `HardwareWatch` says.
    """

    per_s: dict[str, float]
    hardware_shares: dict[str, float | None] = field(default_factory=dict)

    @property
    def least(self) -> float:
        """Of the slowest stage: no sweep is faster, if the stages shared nothing."""
        return min(self.per_s.values())

    @property
    def shared(self) -> float:
        """When all stages take turns on the same cores: one over the sum of their times."""
        return 1 / sum(1 / rate for rate in self.per_s.values())

    @property
    def slowest(self) -> list[str]:
        """Stages, the slowest first."""
        return sorted(self.per_s, key=lambda stage: self.per_s[stage])


class StagePasses:
    """Everything that is open to run each stage alone, over and over, on the same files.

    Args:
        kit: the device.
        files: that decode.
        batch: radiographs decoded together, as in the sweep.
        threads: cores, as in the sweep.

    Attributes:
        passes: stage -> one pass over all files.
    """

    def __init__(self, kit: Kit, files: Sequence[Checked], batch: int, threads: int) -> None:
        with contextlib.ExitStack() as stack:
            contents = Contents(Limits())
            stack.callback(contents.close)
            decoder = stack.enter_context(opened_decoder(kit, batch, USUAL_SHARE))
            runner = stack.enter_context(opened_runner(kit, batch))
            steps = batches_of(files, batch, kit.batch_pixels)
            batches = [step.files for step in steps if isinstance(step, Batch)]
            resident = [
                kit.on_device(kit.on_host(decoded(decoder, group).pixels)) for group in batches
            ]
            scores = [runner.submit(pixels).result() for pixels in resident]
            self._open = stack.pop_all()
        self.passes: dict[str, Callable[[], object]] = {
            "read": lambda: _read(contents, files, threads),
            "gate": lambda: in_threads(threads, files, _check),
            "decode": lambda: run_decoder(kit, decoder, batches),
            "network": lambda: run_network(runner, resident),
            "write": lambda: _write(kit, batches, scores, batch),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def measured_ceilings(
    kit: Kit,
    files: Sequence[Checked],
    batch: int,
    threads: int,
    before_read: Callable[[], object],
) -> Ceilings:
    """Measure each stage alone.

    Args:
        kit: the device.
        files: that decode.
        batch: radiographs decoded together, as in the sweep.
        threads: cores, as in the sweep.
        before_read: done before each pass of reading, and not timed.

    Returns:
        the better of two passes of each stage; the first warms buffers, and what cache there is.
    """
    rates, shares = {}, {}
    with StagePasses(kit, files, batch, threads) as opened:
        for stage, work in opened.passes.items():
            before = before_read if stage == "read" else lambda: None
            seconds, shares[stage] = _best_pass(kit, work, before)
            rates[stage] = len(files) / seconds
    return Ceilings(rates, shares)


def run_network(runner: Runner, batches: Sequence[Pixels]) -> list[Scores]:
    """Score batches without waiting between them, as a sweep does."""
    in_flight = deque([runner.submit(batches[0])])
    scores = []
    for pixels in batches[1:]:
        in_flight.append(runner.submit(pixels))
        if len(in_flight) > runner.depth:
            scores.append(in_flight.popleft().result())
    return scores + [pending.result() for pending in in_flight]


def _read(contents: Contents, files: Sequence[Checked], threads: int) -> None:
    # One thread more than cores, as in the sweep: it waits for the disk.
    in_threads(threads + 1, files, lambda file: len(contents.content(file.entry)))


def run_decoder(kit: Kit, decoder: AnyDecoder, batches: Sequence[Sequence[Checked]]) -> None:
    """Decode batches without waiting between them, as a sweep does."""
    for group in batches:
        pixels = decoded(decoder, group).pixels
    kit.wait_for(pixels)


def _check(file: Checked) -> object:
    return header_of(file.content, Limits())


Found = TypeVar("Found")


def in_threads(
    threads: int, files: Sequence[Checked], work: Callable[[Checked], Found]
) -> list[Found]:
    """Do something with every file, a few at a time; results are in the order of the files."""

    def work_on(chunk: Iterable[Checked]) -> list[Found]:
        return [work(file) for file in chunk]

    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with ThreadPoolExecutor(threads) as pool:
        return [found for part in pool.map(work_on, chunks) for found in part]


def _write(
    kit: Kit, batches: Sequence[Sequence[Checked]], scores: Sequence[Scores], batch: int
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        write_rows(Path(scratch), kit, batches, scores, batch)


def write_rows(
    run: Path,
    kit: Kit,
    batches: Sequence[Sequence[Checked]],
    scores: Sequence[Scores],
    batch: int,
) -> None:
    """Rows of all files into a run folder: kept batch by batch, a part per shard.

    Args:
        run: the folder.
        kit: its recipe decides the columns.
        batches: files of each batch.
        scores: of each batch.
        batch: rows that are kept at a time.
    """
    recipe = kit.bundle.recipe
    scored = [
        (file, answer, place)
        for files, answer in zip(batches, scores, strict=True)
        for place, file in enumerate(files)
    ]
    folder = RunFolder(run)
    spool = Spool(folder.parts)
    for shard in shards_of(len(scored), SHARD):
        opened, end = Spooled(), shard.start + shard.count
        for start in range(shard.start, end, batch):
            ordinals = range(start, min(start + batch, end))
            for ordinal in ordinals:
                file, answer, place = scored[ordinal]
                row = ok_row(recipe, file.entry.radiograph, file.header, answer, place)
                opened.rows[ordinal] = row
            spool.append(shard, ordinals, opened)
        folder.write_part(shard, recipe, list(opened.rows.values()), opened.meter)
        spool.drop(shard)
    folder.close()


def _best_pass(
    kit: Kit, work: Callable[[], object], before: Callable[[], object]
) -> tuple[float, float | None]:
    """Seconds of the better pass, and what it used."""
    passes = []
    for _ in range(PASSES):
        before()
        # Looking at this process in between would take from what is measured in it.
        with HardwareWatch(kit.gpu, EVERY_S if kit.gpu else None) as watch:
            start = time.perf_counter()
            work()
            seconds = time.perf_counter() - start
        passes.append((seconds, watch.share()))
    return min(passes, key=lambda found: found[0])
