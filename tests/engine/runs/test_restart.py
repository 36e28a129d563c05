from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stopping import StopAfter

from cxrsweep.engine import Bundle, SweepOptions, open_bundle, sweep
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import RunError, TableError
from cxrsweep.engine.gate.header import Limits

PROGRAM = Path(sys.executable).with_name("cxrsweep")


def test_finished_run_is_not_redone(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run, SweepOptions(shard_size=5))
    before = {path.name: path.stat().st_mtime_ns for path in (run / "parts").iterdir()}
    results = (run / "results.csv").read_bytes()
    summary = sweep([small_archive], light_bundle, run, SweepOptions(shard_size=5))
    assert {path.name: path.stat().st_mtime_ns for path in (run / "parts").iterdir()} == before
    assert (run / "results.csv").read_bytes() == results
    assert (summary.ok, summary.is_finished) == (12, True)


def test_index_is_frozen_at_the_first_start(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    (small_archive / "late.png").write_bytes(encoded(".png"))
    assert sweep([small_archive], light_bundle, run).indexed == 12


def test_stopped_sweep_keeps_its_shards_and_goes_on(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    options = SweepOptions(shard_size=2, batch=2)
    sweep([small_archive], demo_bundle, tmp_path / "whole", options)
    watcher, run = StopAfter(3), tmp_path / "run"
    first = sweep([small_archive], demo_bundle, run, options, watcher=watcher, stop=watcher.stop)
    assert not first.is_finished
    assert first.exit_code == 1
    assert not (run / "results.csv").exists()
    done = {path.name: path.stat().st_mtime_ns for path in (run / "parts").glob("*.csv")}
    assert 1 <= len(done) < 6
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"
    assert sweep([small_archive], demo_bundle, run, options).is_finished
    assert (run / "results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()
    for name, stamp in done.items():
        assert (run / "parts" / name).stat().st_mtime_ns == stamp, "a finished shard was redone"


def killed_sweep(words: list[str], run: Path, delay_s: float) -> bool:
    """Start a sweep, kill it some time after it has finished a shard; whether it still ran."""
    before = len(list(run.glob("parts/*.csv")))
    process = subprocess.Popen(
        [PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and len(list(run.glob("parts/*.csv"))) == before:
        time.sleep(0.005)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_sweeps_end_with_the_same_bytes(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    for copy in range(1, 16):
        shutil.copytree(small_archive / "study-0", small_archive / f"copy-{copy}")
    options = SweepOptions(shard_size=2, batch=4)
    sweep([small_archive], demo_bundle, tmp_path / "whole", options)
    run = tmp_path / "run"
    words = ["sweep", str(small_archive), "-b", str(demo_bundle.folder), "-o", str(run)]
    words += ["--shard-size", "2", "--batch", "4"]
    generator = np.random.default_rng(0)
    stamps: dict[str, int] = {}
    for _ in range(5):
        assert killed_sweep(words, run, generator.uniform(0, 0.15)), "it was not killed"
        now = {path.name: path.stat().st_mtime_ns for path in (run / "parts").glob("*.csv")}
        assert len(now) > len(stamps)
        assert stamps.items() <= now.items(), "a finished shard was redone"
        stamps = now
    assert not (run / "results.csv").exists()
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (run / "results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()
    now = {path.name: path.stat().st_mtime_ns for path in (run / "parts").glob("*.csv")}
    assert stamps.items() <= now.items(), "a finished shard was redone"


def test_interrupt_finishes_the_batch_and_says_how_to_go_on(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    for copy in range(40):
        shutil.copytree(small_archive / "study-0", small_archive / f"copy-{copy:02d}")
    run = tmp_path / "run"
    words = ["sweep", str(small_archive), "-b", str(demo_bundle.folder), "-o", str(run)]
    process = subprocess.Popen(
        [PROGRAM, *words, "--shard-size", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(run.glob("parts/*.csv")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "start the same command again" in out
    assert "Stopping after the batches in flight" in err
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"


def test_other_bundle_is_refused_with_the_difference(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    folder = tmp_path / "other"
    shutil.copytree(light_bundle.folder, folder)
    manifest: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    manifest["recipe"]["crop"]["margin"] = 0.1
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"bundle\.recipe\.crop\.margin: was 0\.05, asked for 0\.1"):
        sweep([small_archive], open_bundle(folder), run)


def test_other_networks_are_refused(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    record = json.loads((run / "run.json").read_text())
    record["bundle"]["fingerprint"] = "0" * 64
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="other networks"):
        sweep([small_archive], light_bundle, run)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (SweepOptions(shard_size=7), "shard_size: was 256, asked for 7"),
        (SweepOptions(limits=Limits(megapixels=1)), "limits.megapixels"),
        (SweepOptions(selection=Selection(exclude=("*.bmp",))), "selection.exclude"),
    ],
)
def test_other_options_are_refused(
    small_archive: Path,
    light_bundle: Bundle,
    tmp_path: Path,
    options: SweepOptions,
    difference: str,
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    with pytest.raises(RunError) as refused:
        sweep([small_archive], light_bundle, run, options)
    assert difference in str(refused.value)


def test_other_archive_is_refused(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    with pytest.raises(RunError, match="archives: was"):
        sweep([small_archive / "study-0"], light_bundle, run)


def test_folder_that_is_no_run_is_refused(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    with pytest.raises(RunError, match="not a run folder"):
        sweep([small_archive], light_bundle, tmp_path / "thesis")


def test_run_folder_inside_the_archive_is_refused(
    small_archive: Path, light_bundle: Bundle
) -> None:
    with pytest.raises(RunError, match="inside the archive"):
        sweep([small_archive], light_bundle, small_archive / "run")
    assert not (small_archive / "run").exists()


def test_run_goes_on_from_another_folder(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SweepOptions(shard_size=2, batch=2)
    monkeypatch.chdir(small_archive.parent)
    watcher = StopAfter(3)
    name = small_archive.name
    sweep([name], demo_bundle, "run", options, watcher=watcher, stop=watcher.stop)
    monkeypatch.chdir("/")
    summary = sweep([small_archive], demo_bundle, tmp_path / "run", options)
    assert (summary.ok, summary.failed) == (12, 0)


@pytest.mark.parametrize("damage", ["removed", "shortened", "no record"])
def test_run_whose_index_is_lost_or_changed_is_refused(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    if damage == "removed":
        (run / "index.csv").unlink()
    elif damage == "shortened":
        lines = (run / "index.csv").read_bytes().splitlines(keepends=True)
        (run / "index.csv").write_bytes(b"".join(lines[:-1]))
    else:
        (run / "run.json").unlink()
    before = (run / "results.csv").read_bytes()
    with pytest.raises(RunError, match=r"missing or was changed|not a run folder"):
        sweep([small_archive], light_bundle, run)
    assert (run / "results.csv").read_bytes() == before


def test_part_that_lost_a_row_is_noticed_and_can_be_redone(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    options, run = SweepOptions(shard_size=5), tmp_path / "run"
    sweep([small_archive], light_bundle, run, options)
    results, part = (run / "results.csv").read_bytes(), run / "parts" / "000001.csv"
    part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(TableError, match="4 rows for 5 radiographs"):
        sweep([small_archive], light_bundle, run, options)
    part.unlink()
    assert sweep([small_archive], light_bundle, run, options).is_finished
    assert (run / "results.csv").read_bytes() == results
    part.with_suffix(".json").unlink()
    assert sweep([small_archive], light_bundle, run, options).is_finished


def test_run_in_use_is_refused(small_archive: Path, demo_bundle: Bundle, tmp_path: Path) -> None:
    class SecondSweep(StopAfter):
        def started(self, done: int, indexed: int) -> None:
            with pytest.raises(RunError, match="another sweep"):
                sweep([small_archive], demo_bundle, tmp_path / "run")

    watcher = SecondSweep(10**9)
    assert sweep([small_archive], demo_bundle, tmp_path / "run", watcher=watcher).is_finished


def test_changed_package_version_is_noted(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    record = json.loads((run / "run.json").read_text())
    record["versions"]["openvino"] = "2020.1"
    (run / "run.json").write_text(json.dumps(record))
    summary = sweep([small_archive], light_bundle, run)
    assert any("openvino was 2020.1" in note for note in summary.notes)
