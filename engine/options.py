"""What a sweep can be asked: read in one place by the command line and the Python function."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.runs.share import Share


@dataclass(frozen=True)
class SweepOptions:
    """How to sweep; none but the device changes a score.

    Attributes:
        selection: which members of the archives are swept.
        limits: sizes that are refused before decoding.
        shard_size: radiographs per shard, the unit of restart.
        batch: radiographs decoded together; None is the device's default, 16 on a CPU, 64 on a GPU.
        threads: CPU threads of the decoder and streams of the network.
        device: "auto", "cpu", "gpu" or "gpu:N".
        audit: fraction of the radiographs that DALI decodes which are decoded a second way.
        may_build: build a TensorRT plan where the bundle has none that fits.
        pseudonymise: file with a key; ids become HMACs under it in all that a sweep writes.
        sample: so many radiographs of the archives, chosen by a fixed seed; None is all.
        limit: no shard is begun once this start has begun so many radiographs; None is no limit.
        until: seconds since the epoch, when no shard is begun any more; 0 for never.
        share: the shards of one task of an array; None is all.
        joins_in: another sweep of the same run may be at work.
    """

    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=Limits)
    shard_size: int = 256
    batch: int | None = None
    threads: int = field(default_factory=cores)
    device: str = "auto"
    audit: float = 0.001
    may_build: bool = True
    pseudonymise: Path | None = None
    sample: int | None = None
    limit: int | None = None
    until: float = 0.0
    share: Share | None = None
    joins_in: bool = False


def next_time(clock: str, now: float) -> float:
    """When a clock shows this time next.

    Args:
        clock: hours and minutes of local time, such as 06:00.
        now: seconds since the epoch.

    Returns:
        seconds since the epoch.

    Raises:
        RunError: it is no time of the day.
    """
    try:
        asked = time.strptime(clock, "%H:%M")
    except ValueError as error:
        raise RunError(f"--until {clock}: say hours and minutes, for example 06:00") from error
    today = time.localtime(now)
    for days in (0, 1):
        day = (today.tm_year, today.tm_mon, today.tm_mday + days)
        then = time.mktime((*day, asked.tm_hour, asked.tm_min, 0, 0, 0, -1))
        if then > now:
            break
    return then
