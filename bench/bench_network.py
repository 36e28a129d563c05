"""The network alone: fitted pixels where it reads them to scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxrsweep.bench.ceilings import run_network
from cxrsweep.bench.kits import USUAL_SHARE, decoded, opened_decoder, opened_runner
from cxrsweep.bench.throughput import Subject
from cxrsweep.engine.bundle import FP32_GRAPH
from cxrsweep.engine.reader import Checked


def test_network(measure_archive: Any, subject: Subject, batches: list[list[Checked]]) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="scores are compared with it")
    kit = subject.kit
    with opened_decoder(kit, subject.batch, USUAL_SHARE) as decoder:
        host = [kit.on_host(decoded(decoder, group).pixels) for group in batches]
    resident = [kit.on_device(pixels) for pixels in host]
    with opened_runner(kit, subject.batch) as runner:
        found = measure_archive(lambda: run_network(runner, resident), runner=runner.name)
    graph = kit.bundle.path(FP32_GRAPH)
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    limits = kit.bundle.recipe.agreement
    limit = limits.fp16_score if kit.gpu else limits.fp32_score
    for scores, pixels in zip(found, host, strict=True):
        (truth,) = session.run(["scores"], {"radiographs": pixels})
        assert np.abs(scores.scores - truth).max() <= limit
