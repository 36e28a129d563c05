"""Writing alone: scores in memory to the rows and parts of a run folder."""

from __future__ import annotations

import csv
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from cxrsweep.bench.ceilings import write_rows
from cxrsweep.bench.throughput import Subject
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.runners import Scores

HALF_A_DIGIT = 0.5e-6  # of six behind the point, and the rounding of float32


def test_write(
    measure_archive: Any, subject: Subject, batches: list[list[Checked]], tmp_path: Path
) -> None:
    kit, generator, runs = subject.kit, np.random.default_rng(0), count()
    labels = kit.bundle.labels
    scores = [_drawn(len(group), len(labels), generator) for group in batches]

    def write_all(run: Path) -> Path:
        write_rows(run, kit, batches, scores, subject.batch)
        return run

    run = measure_archive(
        write_all,
        setup=lambda: ((tmp_path / f"run-{next(runs)}",), {}),
    )
    rows: list[dict[str, str]] = []
    for part in sorted((run / "parts").glob("*.csv")):
        with part.open(newline="", encoding="utf-8") as stream:
            rows += csv.DictReader(stream)
    files = [file for group in batches for file in group]
    truth = np.concatenate([part.scores for part in scores])
    assert len(rows) == len(files)
    for row, file, expected in zip(rows, files, truth, strict=True):
        assert (row["radiograph"], row["status"]) == (file.entry.radiograph, "ok")
        assert (row["width"], row["height"]) == tuple(map(str, file.header.shown_size))
        written = np.array([float(row[label]) for label in labels])
        assert np.abs(written - expected).max() <= 1.1 * HALF_A_DIGIT


def _drawn(radiographs: int, labels: int, generator: np.random.Generator) -> Scores:
    def values(columns: int) -> Any:
        return generator.random((radiographs, columns), np.float32)

    return Scores(values(labels), np.sort(values(4)), values(1)[:, 0], None)
