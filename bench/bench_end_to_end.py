"""A whole sweep: an archive on the disk to its results.csv, the start of its libraries included."""

from __future__ import annotations

import csv
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxrsweep.bench.throughput import Subject
from cxrsweep.engine import SweepOptions, sweep
from cxrsweep.engine.bundle import FP32_GRAPH

ROUNDS = 4
# Pixels of DALI and of the reference differ by a level here and there, which moves a score by 1e-4.
PIXELS = 1e-3


def test_end_to_end(measure_archive: Any, subject: Subject, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the reference needs PyTorch")
    runtime = pytest.importorskip("onnxruntime", reason="scores are compared with it")
    from cxrsweep.bench.rivals.pixels import Preparation

    bundle, runs = subject.kit.bundle, count()
    options = SweepOptions(batch=subject.batch, threads=subject.threads, device=subject.device)

    def sweep_all(run: Path) -> Path:
        sweep([subject.workload.archive], bundle, run, options)
        return run

    run = measure_archive(
        sweep_all, rounds=ROUNDS, setup=lambda: ((tmp_path / f"run-{next(runs)}",), {})
    )
    with (run / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["radiograph"]: row for row in csv.DictReader(stream)}
    files = subject.workload.files
    assert rows.keys() == {file.entry.radiograph for file in files}
    reference = Preparation(bundle.recipe)
    session = runtime.InferenceSession(bundle.path(FP32_GRAPH), providers=["CPUExecutionProvider"])
    limits = bundle.recipe.agreement
    limit = PIXELS + (limits.fp16_score if subject.kit.gpu else limits.fp32_score)
    for file in files:
        pixels = reference.fitted(Path(file.entry.location))[None]
        (truth,) = session.run(["scores"], {"radiographs": pixels})
        row = rows[file.entry.radiograph]
        found = np.array([float(row[label]) for label in bundle.labels])
        assert np.abs(found - truth[0]).max() <= limit, file.entry.radiograph
