"""Throughput over time: throughput.csv in, a bounded number of stretches of time out."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cxrsweep.engine.errors import TableError
from cxrsweep.engine.meter import STAGES
from cxrsweep.engine.runs.run_folder import THROUGHPUT_COLUMNS

STRETCHES = 150


@dataclass(frozen=True)
class Pace:
    """How fast a run went.

    Attributes:
        ends: seconds of sweeping at the end of each stretch.
        rates: radiographs per second of each stretch.
        binding: stage that most of each stretch waited for; empty where nothing was timed.
        bound_s: stage -> seconds of the shards that it bound.
        stage_s: stage -> seconds with work in it; stages overlap.
        shards, radiographs: of the run.
        wall_s: of the run.
    """

    ends: list[float]
    rates: list[float]
    binding: list[str]
    bound_s: dict[str, float]
    stage_s: dict[str, float]
    shards: int
    radiographs: int
    wall_s: float


def pace_of(run: Path) -> Pace:
    """Read throughput.csv; shards that follow each other are put together where they are many.

    Raises:
        TableError: it is missing or damaged.
    """
    path = run / "throughput.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream, strict=True)
            if list(rows.fieldnames or ()) != THROUGHPUT_COLUMNS:
                raise ValueError(f"its columns are {rows.fieldnames}")
            shards = [
                (int(row["radiographs"]), float(row["wall_s"]), row["binding"],
                 [float(row[f"{stage}_s"]) for stage in STAGES])
                for row in rows
            ]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error, TypeError, ValueError) as error:
        raise TableError(
            f"cannot read {path} ({error}); start the finished sweep again with the same command"
        ) from error
    return _pace(shards)


def _pace(shards: list[tuple[int, float, str, list[float]]]) -> Pace:
    ends: list[float] = []
    rates, binding = [], []
    bound: Counter[str] = Counter()
    now, each = 0.0, -(-len(shards) // STRETCHES)
    for first in range(0, len(shards), each or 1):
        some = shards[first : first + each]
        seconds = sum(wall_s for _, wall_s, _, _ in some)
        here: Counter[str] = Counter()
        for _, wall_s, stage, _ in some:
            here[stage] += wall_s  # type: ignore[assignment]
        bound.update(here)
        if seconds > 0:
            now += seconds
            ends.append(now)
            rates.append(sum(count for count, _, _, _ in some) / seconds)
            binding.append(max(here, key=lambda stage: here[stage]))
    stages = [sum(spent) for spent in zip(*(of for _, _, _, of in shards), strict=True)]
    return Pace(
        ends, rates, binding, dict(bound), dict(zip(STAGES, stages, strict=False)),
        len(shards), sum(count for count, _, _, _ in shards), now,
    )  # fmt: skip
