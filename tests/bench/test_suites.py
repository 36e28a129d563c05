"""The suites of pytest-benchmark as `make bench` runs them, on a few small files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
BENCH = REPOSITORY / "bench"
STAGES = ("read", "gate", "decode", "network", "write", "end_to_end")


def ran(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, words)]
    # In a process of pytest-xdist, which it would take itself for, pytest-benchmark does nothing.
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def size_of(path: Path) -> int:
    with Image.open(path) as opened:
        return opened.size[0] * opened.size[1]


@pytest.mark.slow
def test_every_suite_compares_its_values_and_says_what_ran_on_what(
    small_archive: Path, tmp_path: Path
) -> None:
    target = tmp_path / "benchmark.json"
    suites = [BENCH / f"bench_{stage}.py" for stage in STAGES]
    words = ["--archive", small_archive, "--device", "cpu", "--benchmark-json", target]
    done = ran(*suites, f"{BENCH / 'bench_dicom.py'}::test_careful_lane[rle]", *words)
    assert done.returncode == 0, done.stdout
    found = json.loads(target.read_bytes())
    machine = found["machine_info"]
    assert "node" not in machine
    assert machine["cores"] >= 1
    assert {"cpu", "gpus", "system"} <= machine.keys()
    packages = {"nvidia-dali-cuda130", "openvino", "tensorrt", "tensorrt-rtx", "numpy"}
    assert packages <= machine["versions"].keys()
    marks = {mark["name"]: mark for mark in found["benchmarks"]}
    assert marks.keys() == {*(f"test_{stage}" for stage in STAGES), "test_careful_lane[rle]"}
    files = [path for path in small_archive.rglob("*") if path.is_file()]
    pixels = sum(size_of(path) for path in files)
    for stage in STAGES:
        mark, info = marks[f"test_{stage}"], marks[f"test_{stage}"]["extra_info"]
        assert info["radiographs"] == len(files)
        assert info["bytes"] == sum(path.stat().st_size for path in files)
        assert info["pixels"] == pixels
        assert info["codecs"] == {"bmp": 3, "jpeg": 3, "png": 3, "tiff": 3}
        assert info["batch"] == 16
        seconds = median(mark["stats"]["data"])
        assert info["radiographs_per_s"] == pytest.approx(len(files) / seconds)
        assert info["megapixels_per_s"] == pytest.approx(info["pixels"] / seconds / 1e6)
        assert f"test_{stage} " in done.stdout


def test_pixels_other_than_the_references_fail_by_name(tmp_path: Path) -> None:
    # The reference takes the upper 8 of 16 bits; a sweep takes a window of them, as documented.
    deep = (np.arange(256 * 256, dtype=np.uint16) // 4 + 9000).reshape(256, 256)
    (tmp_path / "archive").mkdir()
    assert cv2.imwrite(str(tmp_path / "archive" / "deep.png"), deep)
    words = ["--archive", tmp_path / "archive", "--device", "cpu", "--benchmark-disable"]
    done = ran(BENCH / "bench_decode.py", *words)
    assert done.returncode == 1
    assert "AssertionError: deep.png" in done.stdout


def test_an_archive_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    done = ran(BENCH / "bench_read.py", "--archive", tmp_path / "none.tar")
    assert done.returncode == 4
    assert "none.tar is no folder" in done.stderr


def test_tests_never_collect_suites() -> None:
    done = ran("--collect-only", "-q", BENCH)
    assert done.returncode == 5, done.stdout  # nothing collected
    assert "no tests" in done.stdout


def test_commands_need_neither_pytest_nor_its_plugin() -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['pytest', 'pytest_benchmark']))\n"
        "import click\n"
        "from cxrsweep.bench.commands import bench\n"
        "context = click.Context(bench)\n"
        "names = bench.list_commands(context)\n"
        "assert all(bench.get_command(context, name) for name in names)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
