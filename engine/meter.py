"""Measures the sweep while it runs: seconds per stage, counts, and which stage bound it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

STAGES = ("read", "gate", "decode", "network", "write")
WAITS = {"wait_for_read": "read", "starving_decode": "decode", "wait_for_network": "network"}


@dataclass
class ShardMeter:
    """What one shard cost.

    Attributes:
        radiographs: rows of the shard.
        pixels: decoded or refused with a known size, in pixels.
        bytes: read.
        wall_s: from the end of the shard before to the end of this one; of several shards, the
            time when any of them was in work.
        part_sha256: hash of its part, once that is written.
        ended: when its part was written, in seconds since the epoch; 0 for not yet.
        seconds: stage -> seconds; read and gate added over their threads, the others wall time
            with work in that stage. Stages overlap, so their sum exceeds wall_s.
        waits: why the sweep's own thread stood still -> seconds; see `binding`.
        failures: failure code -> radiographs.
    """

    radiographs: int = 0
    pixels: int = 0
    bytes: int = 0
    wall_s: float = 0.0
    ended: float = 0.0
    part_sha256: str = ""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    waits: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WAITS, 0.0))
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Radiographs without scores."""
        return sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Radiographs per second of wall time; 0 where nothing was timed."""
        return self.radiographs / self.wall_s if self.wall_s else 0.0

    @property
    def binding(self) -> str:
        """Stage that the sweep waited for most.

        Decoding counts only while it let the network stand idle, because the two overlap.
        """
        seconds = {stage: self.waits[wait] for wait, stage in WAITS.items()}
        seconds["write"] = self.seconds["write"]
        return max(seconds, key=lambda stage: seconds[stage]) if any(seconds.values()) else ""

    def as_json(self) -> dict[str, Any]:
        """Plain values, rounded to microseconds."""
        digest = {"part_sha256": self.part_sha256} if self.part_sha256 else {}
        return {
            **digest,
            "radiographs": self.radiographs,
            "pixels": self.pixels,
            "bytes": self.bytes,
            "wall_s": round(self.wall_s, 6),
            "ended": round(self.ended, 6),
            "seconds": {stage: round(value, 6) for stage, value in self.seconds.items()},
            "waits": {wait: round(value, 6) for wait, value in self.waits.items()},
            "failures": dict(sorted(self.failures.items())),
        }


def shard_meter_from_json(plain: dict[str, Any]) -> ShardMeter:
    """Undo `ShardMeter.as_json`.

    Raises:
        TypeError: a key is unknown or missing.
    """
    return ShardMeter(**{**plain, "failures": Counter(plain["failures"])})


def total_of(meters: Iterable[ShardMeter]) -> ShardMeter:
    """Add up shards, which workers may have swept side by side."""
    total, spans = ShardMeter(), []
    for meter in meters:
        total.radiographs += meter.radiographs
        total.pixels += meter.pixels
        total.bytes += meter.bytes
        if meter.ended:
            spans.append((meter.ended - meter.wall_s, meter.ended))
        else:
            total.wall_s += meter.wall_s
        total.failures.update(meter.failures)
        for mine, theirs in ((total.seconds, meter.seconds), (total.waits, meter.waits)):
            for name, value in theirs.items():
                mine[name] += value
    for start, end in sorted(spans):
        total.wall_s += max(0.0, end - max(start, total.ended))
        total.ended = max(total.ended, end)
    return total
