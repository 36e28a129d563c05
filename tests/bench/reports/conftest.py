"""A result of every kind; no two of its figures are alike."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from cxrsweep.bench.results import (
    Comparison,
    Efficiency,
    Files,
    Gate,
    GateStage,
    Judged,
    Latency,
    LatencyBatch,
    Result,
    Rivals,
    Setup,
    Spread,
    Stage,
    Throughput,
    read_result,
)

SETUP = Setup(
    started="2026-03-04T05:06:07+0000",
    bundle="costs $2 and $3",  # no formula
    bundle_sha256="a" * 64,
    device="GPU 0, NVIDIA H200 (9.0, 140000 MiB free), TensorRT",
    cpu="Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz",
    cores=96,
    memory_mib=1000,
    system="Linux",
    versions={"openvino": "1"},
)
CODECS = ("jpeg", "png", "tiff", "webp", "dicom-jpeg-lossless", "dicom-jpeg-2000", "jpeg-2000")
FILES = Files(radiographs=700, megapixels=2.5, kilobytes=800.0, codecs=dict.fromkeys(CODECS, 100))
ABOUT = {"setup": SETUP, "files": FILES, "threads": 16}


def spread(p50: float, is_steady: bool) -> Spread:
    return Spread(
        min_ms=p50 * 0.9, p50_ms=p50, p50_low_ms=p50 * 0.98, p50_high_ms=p50 * 1.03,
        p90_ms=p50 * 1.1, p95_ms=p50 * 1.2, p99_ms=p50 * 1.3, max_ms=p50 * 1.4, std_ms=p50 * 0.1,
        per_s=1e6 / p50 / 7, count=9, is_steady=is_steady,
    )  # fmt: skip


def latency() -> Latency:
    medians = count(3)
    batches = []
    for batch in (1, 4, 64):
        alone, host, file = (spread(batch * next(medians), batch != 4) for _ in range(3))
        batches.append(
            LatencyBatch(
                batch=batch, host_to_scores=host, file_to_scores=file, **alone.model_dump()
            )
        )
    return Latency(runner="TensorRT for RTX 1.7", batches=batches, **ABOUT)


def throughput() -> Throughput:
    rates = {"read": 90_000.0, "gate": 5000.5, "decode": 800.25, "network": 300.5, "write": 1200.0}
    stages = [
        Stage(name=name, ceiling_per_s=r, ceiling_mp_per_s=r * 2.5, ceiling_mb_per_s=r * 0.8)
        for name, r in rates.items()
    ]
    return Throughput(
        batch=64, end_to_end_per_s=205.5, end_to_end_rounds=[205.5, 190.25, 211.75],
        stages=stages, shared_per_s=200.75, efficiency=Efficiency(min=0.7, shared=1.03),
        binding="network", runner_up="decode", advice="the network binds", **ABOUT,
    )  # fmt: skip


def cold_beside_warm() -> Throughput:
    """The same with a cold cache beside it, a third as fast."""
    warm = throughput()
    slower = {key: getattr(warm, key) / 3 for key in ("end_to_end_per_s", "shared_per_s")}
    stages = [
        stage.model_copy(update={"ceiling_per_s": stage.ceiling_per_s / 3, "cache": "cold"})
        for stage in warm.stages
    ]
    cold = warm.model_copy(
        update={
            **slower,
            "files": FILES.model_copy(update={"cache": "cold"}),
            "stages": stages,
            "end_to_end_rounds": [rate / 3 for rate in warm.end_to_end_rounds],
        }
    )
    return warm.model_copy(update={"cold": cold})


def judged(place: int, verdict: str) -> dict[str, object]:
    middle = 1 + place / 50
    ends = {"ratio": middle, "ratio_low": middle - 0.03, "ratio_high": middle + 0.02}
    return {"name": f"stage {place}", "verdict": verdict, **ends}


@pytest.fixture
def result_of() -> dict[str, Result]:
    """Kind -> a result of it; the rivals are measured ones, shipped as evidence."""
    repository = Path(__file__).resolve().parents[3]
    rivals = read_result(repository / "bench" / "evidence" / "rivals-cpu.json")
    assert isinstance(rivals, Rivals)
    verdicts = ("not slower", "cannot tell", "slower")
    return {
        "latency": latency(),
        "throughput": throughput(),
        "cold": cold_beside_warm(),
        "rivals": rivals,
        "gate": Gate(
            batch=16, against="origin/main", threshold=0.05, verdict="slower",
            stages=[
                GateStage(noise=1 - place / 100, **judged(place, verdict))  # type: ignore[arg-type]
                for place, verdict in enumerate(verdicts)
            ],
            **ABOUT,
        ),
        "compare": Comparison(
            first=SETUP.model_copy(update={"started": "2026-03-01T05:06:07+0000", "cpu": "other"}),
            of="latency", batch=None, level=0.95, threshold=0.05, verdict="slower",
            figures=[Judged(**judged(p, verdict)) for p, verdict in enumerate(verdicts)],
            **ABOUT,
        ),
    }  # fmt: skip
