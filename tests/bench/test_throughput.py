from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrsweep.bench.ceilings import Ceilings
from cxrsweep.bench.options import opened_subject
from cxrsweep.bench.results import Rivals, Throughput, read_result
from cxrsweep.bench.throughput import BenchError, Round, finished, throughput_of
from cxrsweep.engine import Bundle
from cxrsweep.engine.cli import cxrsweep

STAGES = {"read": 1000.0, "gate": 500.0, "decode": 60.0, "network": 30.0, "write": 2000.0}


def test_shared_limit_is_the_harmonic_sum() -> None:
    ceilings = Ceilings({"read": 1e9, "decode": 60.0, "network": 30.0})
    assert ceilings.least == 30
    assert ceilings.shared == pytest.approx(20)
    assert ceilings.slowest == ["network", "decode", "read"]


def test_efficiency_is_that_of_each_round_with_its_own_limits(
    demo_bundle: Bundle, small_archive: Path
) -> None:
    rounds = [
        Round(15.0, Path("a"), Ceilings(STAGES)),
        Round(30.0, Path("b"), Ceilings({k: 2 * v for k, v in STAGES.items()})),
        Round(18.0, Path("c"), Ceilings(STAGES)),
    ]
    with opened_subject(demo_bundle.folder, small_archive, "cpu", None, 2) as subject:
        found = throughput_of(subject, rounds)
    shared = 1 / sum(1 / rate for rate in STAGES.values())
    assert found.end_to_end_per_s == 18
    assert found.efficiency.min == pytest.approx(15 / 30)
    assert found.efficiency.shared == pytest.approx(15 / shared)
    assert (found.binding, found.runner_up) == ("network", "decode")
    stages = {stage.name: stage for stage in found.stages}
    assert stages["decode"].ceiling_mp_per_s == pytest.approx(60 * found.files.megapixels)


def test_cold_and_warm_are_apart_and_every_row_says_which_and_what_it_used(
    demo_bundle: Bundle, small_archive: Path, tmp_path: Path
) -> None:
    target = tmp_path / "throughput.json"
    words = ["bench", "throughput", str(demo_bundle.folder), str(small_archive), "--json"]
    words += [str(target), "--device", "cpu", "--rounds", "1", "--cache", "both"]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    found = read_result(target)
    assert isinstance(found, Throughput)
    if found.cold_missing:  # temporary folders lie in memory here
        assert found.cold is None
        assert f"cold cache: not measured, {found.cold_missing}" in done.stdout
    else:
        assert found.cold
        assert {part.files.cache for part in (found, found.cold)} == {"warm", "cold"}
        assert "cold cache" in done.stdout
    for part in filter(None, (found, found.cold)):
        caches = {stage.name: stage.cache for stage in part.stages}
        assert caches.pop("read") == part.files.cache
        assert set(caches.values()) == {"memory"}
        shares = [part.hardware_share, *(stage.hardware_share for stage in part.stages)]
        # Accounting in ticks of 10 ms may give a moment more than there was.
        assert all(share is not None and 0 < share < 1.5 for share in shares), shares


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_files_that_lie_in_memory_are_never_called_cold(
    demo_bundle: Bundle, encoded: Callable[..., bytes]
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (Path(folder) / "a.jpg").write_bytes(encoded(".jpg"))
        words = ["bench", "throughput", str(demo_bundle.folder), folder, "--device", "cpu"]
        done = CliRunner().invoke(cxrsweep, [*words, "--rounds", "1", "--cache", "cold"])
    assert done.exit_code == 1
    assert "in memory after posix_fadvise" in done.output
    assert "copy them to a disk" in done.output


def test_command_measures_every_stage(
    demo_bundle: Bundle, small_archive: Path, tmp_path: Path
) -> None:
    target = tmp_path / "throughput.json"
    words = ["bench", "throughput", str(demo_bundle.folder), str(small_archive)]
    words += ["--device", "cpu", "--rounds", "1", "--json", str(target)]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    found = read_result(target)
    assert isinstance(found, Throughput)
    assert [stage.name for stage in found.stages] == list(STAGES)
    assert all(stage.ceiling_per_s > 0 for stage in found.stages)
    assert found.shared_per_s < min(stage.ceiling_per_s for stage in found.stages)
    assert found.files.codecs == {"bmp": 3, "jpeg": 3, "png": 3, "tiff": 3}
    assert found.advice in done.stdout


def test_a_failing_sweep_says_what_it_printed() -> None:
    with pytest.raises(BenchError, match="no such thing"):
        finished(["sh", "-c", "echo no such thing >&2; exit 4"])


def test_shipped_evidence_is_read_by_the_reader_of_results() -> None:
    files = sorted(
        (Path(__file__).resolve().parents[2] / "bench" / "evidence").glob("rivals*.json")
    )
    assert files
    for file in files:
        assert isinstance(read_result(file), Rivals)
