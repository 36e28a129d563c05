"""The sweep: archives and a bundle in, a finished run folder out. The loop is `_Sweep.run`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Self

from cxrsweep.engine.archive import Entry, located
from cxrsweep.engine.bundle import Bundle
from cxrsweep.engine.decode.audit import Audit
from cxrsweep.engine.decode.batches import Batch, batches_of
from cxrsweep.engine.decode.decoding_thread import DecodedBatch, DecodingThread
from cxrsweep.engine.decode.fast_lane import Decoded
from cxrsweep.engine.decode.geometry import check_fit
from cxrsweep.engine.decode.grey import Uint8
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.header import Header
from cxrsweep.engine.hardware.cuda import DevicePixels
from cxrsweep.engine.hardware.device import chosen_device
from cxrsweep.engine.hardware.memory import keep_memory_flat
from cxrsweep.engine.options import SweepOptions
from cxrsweep.engine.progress import SilentWatcher, Watcher
from cxrsweep.engine.reader import Checked, Reader, Rejected
from cxrsweep.engine.runners import Pending
from cxrsweep.engine.runs.admission import admitted
from cxrsweep.engine.runs.identity import refuse_run_inside
from cxrsweep.engine.runs.joining import SweepSummary
from cxrsweep.engine.runs.ledger import Ledger
from cxrsweep.engine.runs.run import WAIT_S, Run
from cxrsweep.engine.runs.shard import Shard
from cxrsweep.engine.runs.table import failed_row, ok_row
from cxrsweep.engine.stages import Stages
from cxrsweep.engine.supervision.journal import Journal, suspects_of
from cxrsweep.engine.supervision.seat import Seat


def sweep(
    archives: Sequence[str | Path],
    bundle: Bundle,
    run: str | Path,
    options: SweepOptions = SweepOptions(),  # noqa: B008 (frozen)
    *,
    watcher: Watcher | None = None,
    stop: threading.Event | None = None,
) -> SweepSummary:
    """Score every radiograph of the archives; start it again with the same words to go on.

    Args:
        archives: folders, tars, zips, lists of paths or single radiographs, local or as URLs; brace
            lists such as `shard-{000..015}.tar` are expanded.
        bundle: from `open_bundle`.
        run: run folder, made where it does not exist.
        options: limits, batch, threads; see SweepOptions.
        watcher: told how far it is.
        stop: set it to finish the batches in flight, keep every finished shard and return.

    Returns:
        counts, seconds and whether the sweep is finished.

    Raises:
        ArchiveError: an archive cannot be listed.
        RunError: the run folder is in use, foreign, or was made with something else; or the key
            for pseudonyms cannot be used.
        BundleError: the graph does not compile here.

    Example:
        >>> from cxrsweep.engine import open_bundle, sweep
        >>> summary = sweep(["radiographs"], open_bundle("bundle"), "run")  # doctest: +SKIP
        >>> summary.indexed == summary.ok + summary.failed  # doctest: +SKIP
        True
    """
    watcher, stop = watcher or SilentWatcher(), stop or threading.Event()
    joins_in = options.joins_in or options.share is not None
    refuse_run_inside(Path(run).absolute(), located(archives))
    with (
        admitted(Path(run), joins_in=joins_in, say=watcher.told) as lease,
        opened_run(archives, bundle, run, options, Seat(lease.token), watcher, stop) as opened,
    ):
        sweep_run(opened, watcher, stop)
        return opened.conclude()


def opened_run(
    archives: Sequence[str | Path],
    bundle: Bundle,
    run: str | Path,
    options: SweepOptions,
    seat: Seat,
    watcher: Watcher,
    stop: threading.Event,
) -> Run:
    """Open a run for one worker.

    Raises:
        ArchiveError, DeviceError, RunError: as `sweep`.
    """
    keep_memory_flat()
    device = chosen_device(options.device)
    watcher.told(f"device: {device.reason}")
    return Run(Path(run), bundle, located(archives), options, device, seat, stop, watcher.told)


def sweep_run(run: Run, watcher: Watcher, stop: threading.Event) -> None:
    """Sweep shards that no one else has, until all of this share are done or no more may be begun.

    What others have is waited for, because they may die.

    Raises:
        BundleError, PlanError, DeviceError: what the device cannot do, and why.
    """
    pending, stages = run.pending_shards(), None
    with contextlib.ExitStack() as closing:
        while pending and not stop.is_set():
            shards = run.claimed_shards(pending)
            first = next(shards, None)
            if first is not None:
                if stages is None:
                    stages = run.opened_stages(watcher.told)
                    closing.callback(stages.close)
                    watcher.started(run.done, run.indexed)
                with _Sweep(run, stages, chain([first], shards), watcher, stop) as loop:
                    loop.run()
            elif run.is_over:
                break
            else:
                stop.wait(WAIT_S)
            pending = [shard for shard in pending if not run.folder.is_done(shard)]


@dataclass(frozen=True)
class _InFlight:
    """A batch that the runner has."""

    shard: Shard
    headers: list[tuple[Entry, Header]]
    decoded: Decoded[Uint8 | DevicePixels]
    pending: Pending


class _Sweep:
    """Everything that is open while shards are swept."""

    def __init__(
        self,
        run: Run,
        stages: Stages,
        shards: Iterable[Shard],
        watcher: Watcher,
        stop: threading.Event,
    ) -> None:
        options = run.options
        self._run = run
        self._recipe = run.bundle.recipe
        self._stop = stop
        self._reader = Reader(options.limits, options.threads + 1, 3 * stages.batch)
        self._stages = stages
        self._shards = shards
        self._claimed: dict[int, Shard] = {}
        self._journal = Journal(run.journal)
        self._audit = Audit(self._recipe, options.audit)
        self._decoding = DecodingThread(stages.decoder, self._journal, self._audit)
        self._runner = stages.runner
        self._in_flight: deque[_InFlight] = deque()
        self._network_idle_since = 0.0
        self._ledger = Ledger(run, watcher)  # last, because it starts the clock

    def run(self) -> None:
        """Read, decode and score shard after shard; never wait between them."""
        for shard, step in self._decoding.decoded(self._steps()):
            if self._stop.is_set():
                break
            if isinstance(step, Rejected):
                self._refuse(shard, step.entry, None, step.reason)
                continue
            self._submit(shard, step)
            while len(self._in_flight) > self._runner.depth:
                self._collect()
        while self._in_flight:
            self._collect()
        self._ledger.spool()
        for found in self._audit.taken():
            self._run.note_disagreement(found.entry, found.difference)
        self._run.notes += filter(None, [self._audit.described()])

    def _steps(self) -> Iterator[tuple[Shard, Batch | Rejected]]:
        size, pixels = self._stages.batch, self._stages.batch_pixels
        files = self._timed(self._reader.read(self._entries()))
        for number, some in groupby(files, lambda file: self._number_of(file[0].entry)):
            shard, suspects = self._claimed.pop(number), suspects_of(self._run.folder.folder)
            for step in batches_of(self._noted(shard, some), size, pixels, suspects):
                yield shard, step

    def _entries(self) -> Iterator[Entry]:
        """What is still to do of shard after shard; each is claimed when the reader comes to it."""
        entries, at = self._run.folder.entries(), 0
        for shard in self._shards:
            known = self._ledger.opened(shard)
            self._claimed[shard.number] = shard
            of_shard = islice(entries, shard.start - at, shard.start - at + shard.count)
            yield from (entry for entry in of_shard if entry.ordinal not in known)
            at = shard.start + shard.count

    def _number_of(self, entry: Entry) -> int:
        return entry.ordinal // self._run.options.shard_size

    @staticmethod
    def _timed(
        files: Iterator[Checked | Rejected],
    ) -> Iterator[tuple[Checked | Rejected, float]]:
        start = time.perf_counter()
        for file in files:
            yield file, time.perf_counter() - start
            start = time.perf_counter()

    def _noted(
        self, shard: Shard, files: Iterable[tuple[Checked | Rejected, float]]
    ) -> Iterator[Checked | Rejected]:
        for file, waited_s in files:
            self._ledger.read(shard, file, waited_s)
            yield self._fitting(file)

    def _fitting(self, file: Checked | Rejected) -> Checked | Rejected:
        try:
            if isinstance(file, Checked):
                check_fit(self._recipe, *file.header.shown_size)
        except Refused as reason:
            return Rejected(file.entry, file.cost, reason)
        return file

    def _submit(self, shard: Shard, batch: DecodedBatch) -> None:
        is_starving = all(flight.pending.is_done() for flight in self._in_flight)
        self._ledger.decoded(shard, batch.seconds, batch.waited_s if is_starving else 0.0)
        pending = self._runner.submit(batch.decoded.pixels)
        headers = [(file.entry, file.header) for file in batch.files.files]
        self._in_flight.append(_InFlight(shard, headers, batch.decoded, pending))

    def _collect(self) -> None:
        flight = self._in_flight.popleft()
        start = time.perf_counter()
        scores = flight.pending.result()
        busy_s = flight.pending.ended - max(flight.pending.started, self._network_idle_since)
        self._network_idle_since = flight.pending.ended
        self._ledger.scored(flight.shard, busy_s, time.perf_counter() - start)
        refused = flight.decoded.refused_late() | flight.decoded.refused
        for place, (entry, header) in enumerate(flight.headers):
            if place in refused:
                self._refuse(flight.shard, entry, header, refused[place])
            else:
                flag = flight.decoded.flagged.get(place, "")
                row = ok_row(self._recipe, entry.radiograph, header, scores, place, flag)
                self._ledger.add(flight.shard, entry, row)
        self._ledger.spool()

    def _refuse(self, shard: Shard, entry: Entry, header: Header | None, reason: Refused) -> None:
        row = failed_row(self._recipe, entry.radiograph, header, reason)
        self._ledger.add(shard, entry, row, reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._decoding.close()
        self._audit.close()
        self._journal.close()
        self._in_flight.clear()
