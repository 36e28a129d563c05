from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.errors import ArchiveError

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


def test_empty_archive_is_refused_and_may_be_filled_later(
    demo_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    with pytest.raises(ArchiveError, match="nothing to sweep"):
        sweep([archive], demo_bundle, tmp_path / "run")
    (archive / "a.png").write_bytes(encoded(".png"))
    assert sweep([archive], demo_bundle, tmp_path / "run").ok == 1


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
