from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cxrsweep.engine import Bundle, SweepOptions, open_bundle, sweep
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError, RunError, TableError
from cxrsweep.engine.header import Limits

PROGRAM = Path(sys.executable).with_name("cxrsweep")


def rows_of(run: Path) -> dict[str, dict[str, str]]:
    with (run / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    named = {row["radiograph"]: row for row in rows}
    assert len(named) == len(rows), "an id has two rows"
    return named


def lines_of(run: Path) -> dict[bytes, bytes]:
    """Raw lines by their first cell; for ids without line breaks."""
    lines = (run / "results.csv").read_bytes().split(b"\r\n")
    return {line.split(b",")[0]: line for line in lines if line}


def test_every_file_has_one_row_in_archive_order(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    summary = sweep([small_archive], demo_bundle, tmp_path / "run", SweepOptions(shard_size=5))
    assert (summary.indexed, summary.ok, summary.failed) == (12, 12, 0)
    assert summary.is_finished
    assert summary.exit_code == 0
    rows = rows_of(tmp_path / "run")
    assert list(rows) == sorted(rows)
    first = rows["study-0/00.jpg"]
    assert first["status"] == "ok"
    scores = [float(first[label]) for label in demo_bundle.labels]
    assert sum(scores) == pytest.approx(1, abs=3e-6)  # softmax, three cells of 6 decimals
    assert (first["width"], first["height"], first["kind"]) == ("200", "220", "jpeg")


def test_shard_size_batch_and_threads_do_not_change_a_byte(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    results = set()
    for number, (shard, batch, threads) in enumerate([(256, 16, 2), (1, 1, 1), (5, 3, 2)]):
        run = tmp_path / f"run-{number}"
        options = SweepOptions(shard_size=shard, batch=batch, threads=threads)
        sweep([small_archive], demo_bundle, run, options)
        results.add((run / "results.csv").read_bytes())
    assert len(results) == 1


def test_run_folder_says_what_happened(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    (small_archive / "bad.jpg").write_bytes(b"no image")
    run = tmp_path / "run"
    summary = sweep([small_archive], demo_bundle, run, SweepOptions(shard_size=5))
    assert summary.exit_code == 3
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["counts"] == {
        "indexed": 13,
        "ok": 12,
        "failed": 1,
        "failures": {"NOT_AN_IMAGE": 1},
    }
    assert record["bundle"]["fingerprint"] == demo_bundle.fingerprint
    with (run / "throughput.csv").open(newline="") as stream:
        shards = list(csv.DictReader(stream))
    assert [int(shard["radiographs"]) for shard in shards] == [5, 5, 3]
    assert sum(int(shard["failed"]) for shard in shards) == 1
    files = [path for path in small_archive.rglob("*") if path.is_file()]
    assert sum(int(shard["bytes"]) for shard in shards) == sum(p.stat().st_size for p in files)
    with (run / "index.csv").open(newline="") as stream:
        index = list(csv.DictReader(stream))
    assert [row["radiograph"] for row in index] == list(rows_of(run))
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    failed = [event for event in events if event["event"] == "radiograph_failed"]
    assert [(event["radiograph"], event["error"]) for event in failed] == [
        ("bad.jpg", "NOT_AN_IMAGE")
    ]
    assert failed[0]["reason"]


def hostile_files(folder: Path, good_jpeg: bytes, good_png: bytes) -> dict[str, str]:
    """Add one file of each kind of trouble; id in results.csv -> right code."""
    huge = bytearray(good_png)
    huge[16:24] = (100_000).to_bytes(4, "big") * 2
    files: dict[str, tuple[bytes, str]] = {
        "cut.jpg": (good_jpeg[: len(good_jpeg) // 2], "TRUNCATED"),
        "cut.png": (good_png[: len(good_png) * 9 // 10], "TRUNCATED"),
        "empty.png": (b"", "EMPTY"),
        "text.jpg": (b"Dear colleague,\n", "NOT_AN_IMAGE"),
        "huge.png": (bytes(huge), "TOO_LARGE"),
        'new\nline, "quote".png': (b"x", "NOT_AN_IMAGE"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    (folder / "=cmd.png").write_bytes(good_png)
    (folder / "x.png").mkdir()
    (folder / "x.png" / "inside.png").write_bytes(good_png)
    return {name: code for name, (_, code) in files.items()} | {
        "'=cmd.png": "",
        "x.png/inside.png": "",
    }


def test_bad_files_fail_alone_and_good_rows_stay_the_same_to_the_byte(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    sweep([small_archive], demo_bundle, tmp_path / "before")
    expected = hostile_files(small_archive, encoded(".jpg"), encoded(".png"))
    (small_archive / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(small_archive / "pipe.png")
    expected |= {"gone.png": "READ_FAILED", "pipe.png": "READ_FAILED"}
    summary = sweep([small_archive], demo_bundle, tmp_path / "after")
    assert summary.indexed == 12 + len(expected)
    rows = rows_of(tmp_path / "after")
    assert {name: rows[name]["error"] for name in expected} == expected
    assert all((row["status"] == "failed") == bool(row["error"]) for row in rows.values())
    before, after = lines_of(tmp_path / "before"), lines_of(tmp_path / "after")
    assert {name: after[name] for name in before} == before


def test_unreadable_file_has_a_row(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    secret = small_archive / "secret.png"
    secret.write_bytes(b"x")
    secret.chmod(0)
    sweep([small_archive], demo_bundle, tmp_path / "run")
    # Root reads everything; then the content is judged instead.
    expected = "NOT_AN_IMAGE" if os.geteuid() == 0 else "READ_FAILED"
    assert rows_of(tmp_path / "run")["secret.png"]["error"] == expected


def test_finished_run_is_not_redone(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run, SweepOptions(shard_size=5))
    before = {path.name: path.stat().st_mtime_ns for path in (run / "parts").iterdir()}
    results = (run / "results.csv").read_bytes()
    summary = sweep([small_archive], demo_bundle, run, SweepOptions(shard_size=5))
    assert {path.name: path.stat().st_mtime_ns for path in (run / "parts").iterdir()} == before
    assert (run / "results.csv").read_bytes() == results
    assert (summary.ok, summary.is_finished) == (12, True)


def test_index_is_frozen_at_the_first_start(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run)
    (small_archive / "late.png").write_bytes(encoded(".png"))
    assert sweep([small_archive], demo_bundle, run).indexed == 12


class StopAfter:
    """Asks to stop once some radiographs have rows."""

    def __init__(self, radiographs: int) -> None:
        self.left = radiographs
        self.stop = threading.Event()

    def started(self, done: int, indexed: int) -> None:
        pass

    def advanced(self, radiographs: int, failed: int) -> None:
        self.left -= radiographs
        if self.left <= 0:
            self.stop.set()


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
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run)
    folder = tmp_path / "other"
    shutil.copytree(demo_bundle.folder, folder)
    manifest: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    manifest["recipe"]["crop"]["margin"] = 0.1
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"bundle\.recipe\.crop\.margin: was 0\.05, asked for 0\.1"):
        sweep([small_archive], open_bundle(folder), run)


def test_other_networks_are_refused(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run)
    record = json.loads((run / "run.json").read_text())
    record["bundle"]["fingerprint"] = "0" * 64
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="other networks"):
        sweep([small_archive], demo_bundle, run)


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
    demo_bundle: Bundle,
    tmp_path: Path,
    options: SweepOptions,
    difference: str,
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run)
    with pytest.raises(RunError) as refused:
        sweep([small_archive], demo_bundle, run, options)
    assert difference in str(refused.value)


def test_other_archive_is_refused(small_archive: Path, demo_bundle: Bundle, tmp_path: Path) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run)
    with pytest.raises(RunError, match="archives: was"):
        sweep([small_archive / "study-0"], demo_bundle, run)


def test_folder_that_is_no_run_is_refused(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    with pytest.raises(RunError, match="not a run folder"):
        sweep([small_archive], demo_bundle, tmp_path / "thesis")


def test_run_folder_inside_the_archive_is_refused(small_archive: Path, demo_bundle: Bundle) -> None:
    with pytest.raises(RunError, match="inside the archive"):
        sweep([small_archive], demo_bundle, small_archive / "run")
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
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run)
    if damage == "removed":
        (run / "index.csv").unlink()
    elif damage == "shortened":
        lines = (run / "index.csv").read_bytes().splitlines(keepends=True)
        (run / "index.csv").write_bytes(b"".join(lines[:-1]))
    else:
        (run / "run.json").unlink()
    before = (run / "results.csv").read_bytes()
    with pytest.raises(RunError, match=r"missing or was changed|not a run folder"):
        sweep([small_archive], demo_bundle, run)
    assert (run / "results.csv").read_bytes() == before


def test_part_that_lost_a_row_is_noticed_and_can_be_redone(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    options, run = SweepOptions(shard_size=5), tmp_path / "run"
    sweep([small_archive], demo_bundle, run, options)
    results, part = (run / "results.csv").read_bytes(), run / "parts" / "000001.csv"
    part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(TableError, match="4 rows for 5 radiographs"):
        sweep([small_archive], demo_bundle, run, options)
    part.unlink()
    assert sweep([small_archive], demo_bundle, run, options).is_finished
    assert (run / "results.csv").read_bytes() == results
    part.with_suffix(".json").unlink()
    assert sweep([small_archive], demo_bundle, run, options).is_finished


def test_long_and_thin_file_fails_alone(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    thin = np.random.default_rng(0).integers(0, 256, (1, 60_000), np.uint8)
    (small_archive / "thin.png").write_bytes(encoded(".png", thin))
    bundle = Bundle(
        demo_bundle.folder,
        demo_bundle.manifest.model_copy(
            update={"recipe": demo_bundle.recipe.model_copy(update={"fit": "centre-crop"})}
        ),
    )
    summary = sweep([small_archive], bundle, tmp_path / "run")
    assert (summary.ok, summary.failed) == (12, 1)
    assert rows_of(tmp_path / "run")["thin.png"]["error"] == "TOO_LARGE"


def test_run_in_use_is_refused(small_archive: Path, demo_bundle: Bundle, tmp_path: Path) -> None:
    class SecondSweep(StopAfter):
        def started(self, done: int, indexed: int) -> None:
            with pytest.raises(RunError, match="another sweep"):
                sweep([small_archive], demo_bundle, tmp_path / "run")

    watcher = SecondSweep(10**9)
    assert sweep([small_archive], demo_bundle, tmp_path / "run", watcher=watcher).is_finished


def test_empty_archive_is_refused_and_may_be_filled_later(
    demo_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    with pytest.raises(ArchiveError, match="nothing to sweep"):
        sweep([archive], demo_bundle, tmp_path / "run")
    (archive / "a.png").write_bytes(encoded(".png"))
    assert sweep([archive], demo_bundle, tmp_path / "run").ok == 1


def test_changed_package_version_is_noted(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], demo_bundle, run)
    record = json.loads((run / "run.json").read_text())
    record["versions"]["openvino"] = "2020.1"
    (run / "run.json").write_text(json.dumps(record))
    summary = sweep([small_archive], demo_bundle, run)
    assert any("openvino was 2020.1" in note for note in summary.notes)


def test_file_names_that_are_not_utf8_have_rows(
    demo_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    with open(os.fsencode(archive) + b"/caf\xe9.png", "wb") as stream:  # noqa: PTH123
        stream.write(encoded(".png"))
    sweep([archive], demo_bundle, tmp_path / "run")
    assert rows_of(tmp_path / "run")[r"caf\xe9.png"]["status"] == "ok"


def test_exif_turn_gives_the_scores_of_the_upright_file(
    demo_bundle: Bundle, tmp_path: Path, grey: np.ndarray
) -> None:
    from PIL import Image

    archive = tmp_path / "archive"
    archive.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(grey, 1)).save(archive / "turned.png", exif=exif)
    Image.fromarray(grey).save(archive / "upright.png")
    sweep([archive], demo_bundle, tmp_path / "run")
    turned, straight = (rows_of(tmp_path / "run")[f"{name}.png"] for name in ("turned", "upright"))
    assert (turned["width"], turned["height"]) == (straight["width"], straight["height"])
    assert turned == {**straight, "radiograph": "turned.png"}


def box_iou(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)


def test_real_archive_is_all_ok_and_its_lungs_are_found(
    real_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    summary = sweep([real_archive / "images"], demo_bundle, tmp_path / "run")
    assert (summary.ok, summary.failed) == (100, 0)
    rows = rows_of(tmp_path / "run")
    overlaps = []
    with (real_archive / "labels.csv").open(newline="") as stream:
        for case in csv.DictReader(stream):
            if case["mask"]:
                mask = cv2.imread(str(real_archive / case["mask"]), cv2.IMREAD_GRAYSCALE)
                assert mask is not None
                y, x = np.nonzero(mask == 255)
                row = rows[Path(case["image"]).name]
                scale = int(row["width"]) / mask.shape[1], int(row["height"]) / mask.shape[0]
                truth = [x.min() * scale[0], y.min() * scale[1]]
                truth += [(x.max() + 1) * scale[0], (y.max() + 1) * scale[1]]
                overlaps.append(box_iou([float(row[k]) for k in ("x0", "y0", "x1", "y1")], truth))
    assert len(overlaps) == 50
    assert np.median(overlaps) >= 0.92


def test_manifest_of_real_radiographs_sweeps_what_it_names(
    real_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    with (real_archive / "labels.csv").open(newline="") as stream:
        names = [row["image"] for row in csv.DictReader(stream)][:6]
    manifest = tmp_path / "list.csv"
    manifest.write_text("image\n" + "".join(f"{real_archive / name}\n" for name in names))
    assert sweep([manifest], demo_bundle, tmp_path / "run").ok == 6
