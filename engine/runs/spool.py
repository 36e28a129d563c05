"""Rows of unfinished shards on the disk, so that a restart does not score them again."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.meter import ShardMeter, shard_meter_from_json
from cxrsweep.engine.runs.shard import Shard
from cxrsweep.engine.runs.table import Row


@dataclass
class Spooled:
    """What is known of an unfinished shard.

    Attributes:
        rows: by ordinal.
        reasons: of the failed ones, by ordinal.
        meter: what they cost.
        earlier_s: wall time of earlier starts, in meter.wall_s.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    reasons: dict[int, Refused] = field(default_factory=dict)
    meter: ShardMeter = field(default_factory=ShardMeter)
    earlier_s: float = 0.0


class Spool:
    """One file of JSON lines per unfinished shard, beside the parts.

    A line is whole or it is not there: what a death cut off is scored again. It is not forced to
    the disk, so it serves after the death of a process; a machine that loses power may redo shards.

    Args:
        folder: of the parts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, shard: Shard, ordinals: Sequence[int], known: Spooled) -> None:
        """Add rows.

        Args:
            shard: theirs.
            ordinals: of the new rows.
            known: of the whole shard so far.
        """
        rows = [_plain_row(ordinal, known) for ordinal in ordinals]
        line = json.dumps({"rows": rows, "meter": known.meter.as_json()}) + "\n"
        with self._path(shard).open("ab") as stream:
            stream.write(line.encode())

    def load(self, shard: Shard) -> Spooled:
        """Read what earlier starts left, and cut off what is not whole."""
        path, known, whole = self._path(shard), Spooled(), 0
        if not path.exists():
            return known
        content = path.read_bytes()
        for line in content.splitlines(keepends=True):
            try:
                _add_line(known, json.loads(line))
            except (ValueError, TypeError, KeyError):
                break
            whole += len(line)
        if whole < len(content):
            os.truncate(path, whole)
        return known

    def drop(self, shard: Shard) -> None:
        """Forget a shard that is finished."""
        self._path(shard).unlink(missing_ok=True)

    def _path(self, shard: Shard) -> Path:
        return (self._folder / shard.part_name).with_suffix(".rows")


def _plain_row(ordinal: int, known: Spooled) -> list[Any]:
    row, reason = known.rows[ordinal], known.reasons.get(ordinal)
    why = [reason.code, reason.reason] if reason else None
    return [ordinal, row.radiograph, row.is_ok, row.cells, why]


def _add_line(known: Spooled, line: dict[str, Any]) -> None:
    meter = shard_meter_from_json(line["meter"])
    for ordinal, radiograph, is_ok, cells, why in line["rows"]:
        known.rows[ordinal] = Row(radiograph, is_ok, tuple(cells))
        if why:
            known.reasons[ordinal] = Refused(FailureCode(why[0]), why[1])
    known.meter, known.earlier_s = meter, meter.wall_s
