from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cxrsweep.bench.regression.compare import compared, ratio_of_rates
from cxrsweep.bench.regression.verdict import Verdict
from cxrsweep.bench.results import (
    Comparison,
    Efficiency,
    Files,
    Latency,
    LatencyBatch,
    ResultError,
    Setup,
    Spread,
    Throughput,
    read_result,
    write_result,
)
from cxrsweep.engine.cli import cxrsweep

FILES = Files(radiographs=10, megapixels=1.0, kilobytes=100.0, codecs={"jpeg": 10})


def setup(**changes: Any) -> Setup:
    plain: dict[str, Any] = {
        "started": "2026-01-01T00:00:00+0000",
        "bundle": "demo",
        "bundle_sha256": "a" * 64,
        "device": "CPU, 2 cores, as asked",
        "cpu": "some",
        "cores": 2,
        "memory_mib": 1000,
        "system": "Linux",
        "versions": {"openvino": "1"},
    }
    return Setup(**{**plain, **changes})


def spread(p50: float, half: float) -> Spread:
    shape = dict.fromkeys(("min_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms", "std_ms"), p50)
    ends = {"p50_low_ms": p50 - half, "p50_high_ms": p50 + half}
    return Spread(p50_ms=p50, per_s=1e3 / p50, count=9, is_steady=True, **shape, **ends)


def latency(p50: float, half: float, **changes: Any) -> Latency:
    one = spread(p50, half)
    batch = LatencyBatch(batch=1, host_to_scores=one, file_to_scores=one, **one.model_dump())
    threads = changes.pop("threads", 2)
    about = {"setup": setup(**changes), "files": FILES, "runner": "r", "threads": threads}
    return Latency(batches=[batch], **about)


def throughput(rounds: list[float]) -> Throughput:
    return Throughput(
        setup=setup(),
        files=FILES,
        batch=16,
        threads=2,
        end_to_end_per_s=float(np.median(rounds)),
        end_to_end_rounds=rounds,
        stages=[],
        shared_per_s=1.0,
        efficiency=Efficiency(min=1.0, shared=1.0),
        binding="network",
        runner_up="decode",
        advice="",
    )


@pytest.mark.parametrize(
    ("p50", "half", "verdict"),
    [
        (10.0, 0.1, Verdict.NOT_SLOWER),
        (12.0, 0.1, Verdict.SLOWER),
        (10.5, 0.1, Verdict.CANNOT_TELL),
        (12.0, 3.0, Verdict.CANNOT_TELL),
    ],
)
def test_latencies_are_judged_by_their_intervals(p50: float, half: float, verdict: Verdict) -> None:
    found = compared(latency(10.0, 0.1), latency(p50, half), 0.05)
    assert [figure.verdict for figure in found.figures] == [verdict] * 3
    assert found.verdict == verdict
    assert found.level == 0.95
    assert found.figures[0].ratio == pytest.approx(p50 / 10)
    # Independent shares add up in squares.
    width = p50 / 10 * np.hypot(0.01, half / p50)
    assert found.figures[0].ratio_high == pytest.approx(p50 / 10 + width)


def test_rates_turn_into_times() -> None:
    ratio = ratio_of_rates([20.0, 20.0, 20.0], [10.0, 10.0, 10.0])
    assert (ratio.low, ratio.value, ratio.high) == (2, 2, 2)
    found = compared(throughput([20.0] * 3), throughput([10.0] * 3), 0.05)
    assert [(figure.name, figure.verdict) for figure in found.figures] == [
        ("sweep, warm cache", "slower")
    ]
    assert (found.verdict, found.level) == ("slower", 0.99)
    with pytest.raises(ResultError, match="three rounds"):
        ratio_of_rates([20.0], [10.0, 10.0, 10.0])


def test_cold_sweeps_are_compared_with_cold_ones() -> None:
    files = FILES.model_copy(update={"cache": "cold"})

    def both(warm: float, cold: float) -> Throughput:
        nested = throughput([cold] * 3).model_copy(update={"files": files})
        return throughput([warm] * 3).model_copy(update={"cold": nested})

    found = compared(both(20, 10), both(20, 5), 0.05)
    assert {f.name: f.verdict for f in found.figures} == {
        "sweep, warm cache": "not slower",
        "sweep, cold cache": "slower",
    }
    cold = throughput([5.0] * 3).model_copy(update={"files": files})
    with pytest.raises(ResultError, match="another files"):
        compared(throughput([5.0] * 3), cold, 0.05)


def test_different_things_are_refused_by_name() -> None:
    with pytest.raises(ResultError, match="another kind"):
        compared(latency(1, 0.1), throughput([1.0] * 3), 0.05)
    with pytest.raises(ResultError, match="another number of cores"):
        compared(latency(1, 0.1), latency(1, 0.1, threads=1), 0.05)
    with pytest.raises(ResultError, match="another bundle"):
        compared(latency(1, 0.1), latency(1, 0.1, bundle_sha256="b" * 64), 0.05)


def test_command_tells_other_machines_and_ends_with_the_verdict(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    write_result(one, latency(10, 0.1))
    write_result(two, latency(12, 0.1, cpu="another", versions={"openvino": "2"}))
    target = tmp_path / "compare.json"
    words = ["bench", "compare", str(one), str(two)]
    done = CliRunner().invoke(cxrsweep, [*words, "--json", str(target)])
    assert done.exit_code == 10
    written = read_result(target)
    assert isinstance(written, Comparison)
    assert (written.first.cpu, written.setup.cpu) == ("some", "another")
    assert [figure.ratio for figure in written.figures] == pytest.approx([1.2] * 3)
    with pytest.raises(ResultError, match="compare"):
        compared(written, written, 0.05)
    assert "cpu: some, then another" in done.stderr
    assert "openvino: 1, then 2" in done.stderr
    assert "batch 1 from network" in done.stdout
    assert "1.200" in done.stdout
    again = CliRunner().invoke(cxrsweep, ["bench", "compare", str(one), str(one)])
    assert again.exit_code == 0
