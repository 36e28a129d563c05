from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cxrsweep.bench.commands import bench
from cxrsweep.bench.kits import CpuKit
from cxrsweep.bench.latency import _Course, measured_latency
from cxrsweep.bench.results import Latency, ResultError, read_result
from cxrsweep.bench.workload import WorkloadError, opened_workload
from cxrsweep.engine import Bundle


def test_spread_is_that_of_the_times() -> None:
    course = _Course(4, lambda: None, [[0.001, 0.002, 0.003], [0.002, 0.004], [0.002]])
    spread = course.spread()
    milliseconds = [1.0, 2.0, 3.0, 2.0, 4.0, 2.0]
    assert spread.p50_ms == pytest.approx(np.median(milliseconds))
    assert spread.p99_ms == pytest.approx(np.quantile(milliseconds, 0.99))
    assert (spread.min_ms, spread.max_ms) == pytest.approx((1.0, 4.0))
    assert spread.std_ms == pytest.approx(np.std(milliseconds))
    assert spread.per_s == pytest.approx(4 / 0.002)
    assert spread.count == 6


def test_a_known_pause_is_measured() -> None:
    course = _Course(1, lambda: time.sleep(0.02))
    for _ in range(5):
        course.run_round()
    # A sleep never ends early; how late it ends is the machine's affair.
    assert course.spread().min_ms >= 20


def test_every_size_is_measured_from_three_starting_points(demo_bundle: Bundle) -> None:
    with opened_workload(None, phantoms=2) as workload:
        name, batches = measured_latency(
            CpuKit(demo_bundle, 2), workload.files, [1, 2], 0.1, lambda _: None
        )
    assert "OpenVINO" in name
    assert [batch.batch for batch in batches] == [1, 2]
    for batch in batches:
        for spread in (batch, batch.host_to_scores, batch.file_to_scores):
            assert 0 < spread.min_ms <= spread.p50_ms <= spread.p99_ms <= spread.max_ms
            assert spread.p50_low_ms <= spread.p50_ms <= spread.p50_high_ms


def test_command_writes_what_it_prints(demo_bundle: Bundle, tmp_path: Path) -> None:
    target = tmp_path / "latency.json"
    words = ["latency", str(demo_bundle.folder), "--batch", "1", "--seconds", "1"]
    done = CliRunner().invoke(bench, [*words, "--json", str(target)])
    assert done.exit_code == 0, done.output
    result = read_result(target)
    assert isinstance(result, Latency)
    plain = json.loads(target.read_text())
    assert plain["schema_version"] == 1
    assert f"{plain['batches'][0]['p50_ms']:.2f}" in done.stdout
    assert result.setup.cores >= 1
    assert result.files.codecs.keys() == {"jpeg", "png"}


def test_foreign_json_is_refused_with_the_key(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"kind": "latency", "schema_version": 2}')
    with pytest.raises(ResultError, match="schema_version"):
        read_result(path)


def test_an_archive_with_a_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear colleague")
    with (
        pytest.raises(WorkloadError, match=r"letter\.jpg does not \(NOT_AN_IMAGE"),
        opened_workload(tmp_path),
    ):
        pass
