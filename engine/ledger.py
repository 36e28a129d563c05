"""The ledger of shards in work: rows in any order in, a part on the disk per whole shard."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cxrsweep.engine.archive import Entry
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.meter import ShardMeter
from cxrsweep.engine.progress import Watcher
from cxrsweep.engine.reader import Checked, Rejected
from cxrsweep.engine.run import Run
from cxrsweep.engine.shard import Shard
from cxrsweep.engine.table import Row, printable


@dataclass
class _OpenShard:
    """Rows and reasons of an unfinished shard by ordinal, and what it cost so far."""

    rows: dict[int, Row] = field(default_factory=dict)
    reasons: dict[int, Refused] = field(default_factory=dict)
    meter: ShardMeter = field(default_factory=ShardMeter)


class Ledger:
    """Holds the shards in work; at most a few, because they are read in order.

    Args:
        run: receives the finished parts and the log.
        watcher: told about every finished radiograph.
    """

    def __init__(self, run: Run, watcher: Watcher) -> None:
        self._run = run
        self._watcher = watcher
        self._open: dict[Shard, _OpenShard] = {}
        self._last = time.perf_counter()

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
        opened = self._open.setdefault(shard, _OpenShard())
        opened.rows[entry.ordinal] = row
        opened.meter.radiographs += 1
        if reason:
            opened.meter.failures[reason.code] += 1
            opened.reasons[entry.ordinal] = reason
        self._watcher.advanced(1, int(not row.is_ok))
        if len(opened.rows) == shard.count:
            self._finish(shard, opened)

    def _finish(self, shard: Shard, opened: _OpenShard) -> None:
        now = time.perf_counter()
        opened.meter.wall_s, self._last = now - self._last, now
        rows = [opened.rows[ordinal] for ordinal in sorted(opened.rows)]
        self._run.folder.write_part(shard, self._run.bundle.recipe, rows, opened.meter)
        for ordinal, reason in sorted(opened.reasons.items()):
            self._run.folder.log(
                "radiograph_failed",
                radiograph=printable(opened.rows[ordinal].radiograph),
                error=reason.code,
                reason=printable(reason.reason),
            )
        del self._open[shard]

    def _meter(self, shard: Shard) -> ShardMeter:
        return self._open.setdefault(shard, _OpenShard()).meter
