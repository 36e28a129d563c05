"""The sweep: archives and a bundle in, a finished run folder out. The loop is `_Sweep.run`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from cxrsweep.engine.runs.ledger import Ledger
from cxrsweep.engine.runs.run import Run, SweepSummary
from cxrsweep.engine.runs.shard import Shard
from cxrsweep.engine.runs.table import failed_row, ok_row
from cxrsweep.engine.stages import Stages
from cxrsweep.engine.supervision.journal import Journal, suspects_of


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
    keep_memory_flat()
    stop = stop or threading.Event()
    locations = located(archives)
    watcher = watcher or SilentWatcher()
    device = chosen_device(options.device)
    watcher.told(f"device: {device.reason}")
    with Run(Path(run), bundle, locations, options, device, stop, watcher.told) as opened:
        shards = opened.pending_shards()
        if shards:
            stages = opened.opened_stages(watcher.told)
            watcher.started(opened.done, opened.indexed)
            with _Sweep(opened, stages, shards, watcher, stop) as loop:
                loop.run()
        return opened.finish()


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
        shards: Sequence[Shard],
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
        self._suspects = suspects_of(run.folder.folder)
        self._journal = Journal(run.folder.folder)
        self._audit = Audit(self._recipe, options.audit)
        self._decoding = DecodingThread(stages.decoder, self._journal, self._audit)
        self._runner = stages.runner
        self._in_flight: deque[_InFlight] = deque()
        self._network_idle_since = 0.0
        self._ledger = Ledger(run, watcher, shards)  # last, because it starts the clock

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
        known = frozenset().union(*self._ledger.known.values())
        entries = self._run.entries_of(self._shards)
        files = self._reader.read(entry for entry in entries if entry.ordinal not in known)
        size, pixels = self._stages.batch, self._stages.batch_pixels
        for shard in self._shards:
            for step in batches_of(self._files_of(shard, files), size, pixels, self._suspects):
                yield shard, step

    def _files_of(
        self, shard: Shard, files: Iterator[Checked | Rejected]
    ) -> Iterator[Checked | Rejected]:
        for _ in range(shard.count - len(self._ledger.known.get(shard, ()))):
            start = time.perf_counter()
            file = next(files)
            self._ledger.read(shard, file, time.perf_counter() - start)
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
        self._stages.close()
