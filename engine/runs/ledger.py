"""The ledger of shards in work: rows in any order in, a part on the disk per whole shard."""

from __future__ import annotations

import time

from cxrsweep.engine.archive import Entry
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.meter import ShardMeter
from cxrsweep.engine.progress import Watcher
from cxrsweep.engine.reader import Checked, Rejected
from cxrsweep.engine.runs.run import Run
from cxrsweep.engine.runs.shard import Shard
from cxrsweep.engine.runs.spool import Spool, Spooled
from cxrsweep.engine.runs.table import Row, printable


class Ledger:
    """Holds the shards in work; at most a few, because they are read in order.

    Args:
        run: receives the finished parts and the log.
        watcher: told about every finished radiograph.
    """

    def __init__(self, run: Run, watcher: Watcher) -> None:
        self._run = run
        self._watcher = watcher
        self._spool = Spool(run.folder.parts)
        self._fresh: dict[Shard, list[int]] = {}
        self._open: dict[Shard, Spooled] = {}
        self._last = time.perf_counter()

    def opened(self, shard: Shard) -> frozenset[int]:
        """Begin a shard, with the rows that an earlier start left of it; their ordinals."""
        found = self._spool.load(shard)
        known = frozenset(found.rows)
        if known:
            self._open[shard] = found
            self._watcher.advanced(len(found.rows), len(found.reasons), shard.number)
            self._finish_if_whole(shard, found)
        return known

    def read(self, shard: Shard, file: Checked | Rejected, waited_s: float) -> None:
        """Note what a file took to read and check."""
        meter = self._meter(shard)
        meter.bytes += file.cost.size
        meter.seconds["read"] += file.cost.read_s
        meter.seconds["gate"] += file.cost.gate_s
        meter.waits["wait_for_read"] += waited_s
        if isinstance(file, Checked):
            meter.pixels += file.header.width * file.header.height

    def decoded(self, shard: Shard, seconds: float, starving_s: float) -> None:
        """Note what a batch took to decode, and how long the network stood idle for it."""
        meter = self._meter(shard)
        meter.seconds["decode"] += seconds
        meter.waits["starving_decode"] += starving_s

    def scored(self, shard: Shard, busy_s: float, waited_s: float) -> None:
        """Note what a batch took in the network, and how long the sweep waited for it."""
        meter = self._meter(shard)
        meter.seconds["network"] += busy_s
        meter.waits["wait_for_network"] += waited_s

    def add(self, shard: Shard, entry: Entry, row: Row, reason: Refused | None = None) -> None:
        """Take one row; write the part if it was the last of its shard."""
        opened = self._open.setdefault(shard, Spooled())
        opened.rows[entry.ordinal] = row
        self._fresh.setdefault(shard, []).append(entry.ordinal)
        opened.meter.radiographs += 1
        if reason:
            opened.meter.failures[reason.code] += 1
            opened.reasons[entry.ordinal] = reason
        self._watcher.advanced(1, int(not row.is_ok), shard.number)
        self._finish_if_whole(shard, opened)

    def spool(self) -> None:
        """Put the rows of unfinished shards where a restart finds them."""
        for shard, ordinals in self._fresh.items():
            opened = self._open[shard]
            opened.meter.wall_s = opened.earlier_s + time.perf_counter() - self._last
            self._spool.append(shard, ordinals, opened)
        self._fresh.clear()

    def _finish_if_whole(self, shard: Shard, opened: Spooled) -> None:
        if len(opened.rows) < shard.count:
            return
        now = time.perf_counter()
        opened.meter.wall_s, self._last = opened.earlier_s + now - self._last, now
        rows = [opened.rows[ordinal] for ordinal in sorted(opened.rows)]
        self._run.folder.write_part(shard, self._run.bundle.recipe, rows, opened.meter)
        for ordinal, reason in sorted(opened.reasons.items()):
            self._run.folder.log(
                "radiograph_failed",
                radiograph=printable(opened.rows[ordinal].radiograph),
                error=reason.code,
                reason=printable(reason.reason),
            )
        self._spool.drop(shard)
        self._run.finished(shard)
        self._fresh.pop(shard, None)
        del self._open[shard]

    def _meter(self, shard: Shard) -> ShardMeter:
        return self._open.setdefault(shard, Spooled()).meter
