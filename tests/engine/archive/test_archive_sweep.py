"""Whole sweeps over tars and zips, beside the same files in a folder."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from archive_support import file_info, packed, results
from stopping import StopAfter

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.archive import containers

PROGRAM = Path(sys.executable).with_name("cxrsweep")
OPTIONS = SweepOptions(shard_size=2, batch=2)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tar.zst", "x.zip"])
def test_rows_are_those_of_the_same_files_in_a_folder(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    (small_archive / "study-0" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (small_archive / "empty.png").touch()
    sweep([small_archive], light_bundle, tmp_path / "folder-run", SweepOptions(shard_size=5))
    summary = sweep([packed(small_archive, name)], light_bundle, tmp_path / "run", OPTIONS)
    assert (summary.ok, summary.failed) == (12, 2)
    header, *rows = results(tmp_path / "folder-run")
    expected = [header, *([f"{name}::{row[0]}", *row[1:]] for row in rows)]
    assert results(tmp_path / "run") == expected


def stopped(archive: Path, bundle: Bundle, run: Path) -> int:
    """Start a sweep, stop it in the midst, and tell how many radiographs it has finished."""
    watcher = StopAfter(5)
    summary = sweep([archive], bundle, run, OPTIONS, watcher=watcher, stop=watcher.stop)
    assert 0 < summary.ok < 12
    return summary.ok


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip"])
def test_stopped_sweep_ends_with_the_same_bytes(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    archive = packed(small_archive, name)
    sweep([archive], demo_bundle, tmp_path / "whole", OPTIONS)
    stopped(archive, demo_bundle, tmp_path / "run")
    assert sweep([archive], demo_bundle, tmp_path / "run", OPTIONS).is_finished
    whole = (tmp_path / "whole" / "results.csv").read_bytes()
    assert (tmp_path / "run" / "results.csv").read_bytes() == whole


def test_restart_does_not_read_what_lies_before_it(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(small_archive, "x.tar")
    sweep([archive], demo_bundle, tmp_path / "whole", OPTIONS)
    done = stopped(archive, demo_bundle, tmp_path / "run")
    with (tmp_path / "run" / "index.csv").open(newline="") as stream:
        first = int(list(csv.DictReader(stream))[done]["offset"])
    places: list[int] = []
    pread = containers.os.pread

    def noted(descriptor: int, size: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == archive.stat().st_ino:
            places.append(offset)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(containers.os, "pread", noted)
    with archive.open("r+b") as stream:
        stream.write(b"\xee" * (first - 512))  # what was swept is gone
    assert sweep([archive], demo_bundle, tmp_path / "run", OPTIONS).ok == 12
    # Of an unfinished shard, rows that were scored before the stop are not read again either.
    assert min(places) >= first - 512
    assert 0 < len(places) <= 2 * (12 - done)
    whole = (tmp_path / "whole" / "results.csv").read_bytes()
    assert (tmp_path / "run" / "results.csv").read_bytes() == whole


def test_refused_members_have_rows_that_a_restart_repeats(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    archive = packed(small_archive, "x.tar")
    nested = archive.read_bytes()
    with tarfile.open(archive, "a") as tar:
        tar.addfile(file_info("link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")[0])
        tar.addfile(file_info("../up.jpg")[0])
        info, _ = file_info("nested.tar", nested)
        with archive.with_name("nested").open("w+b") as stream:
            stream.write(nested)
            stream.seek(0)
            tar.addfile(info, stream)
    with archive.open("r+b") as stream:
        stream.truncate(archive.stat().st_size - 10_240 - 512 * 30)  # the nested one is cut
    for run in ("whole", "run"):
        if run == "run":
            stopped(archive, demo_bundle, tmp_path / "run")
        summary = sweep([archive], demo_bundle, tmp_path / run, OPTIONS)
        assert (summary.ok, summary.failed, summary.exit_code) == (12, 3, 3)
    whole = (tmp_path / "whole" / "results.csv").read_bytes()
    assert (tmp_path / "run" / "results.csv").read_bytes() == whole
    assert [row[:3] for row in results(tmp_path / "run")[-3:]] == [
        ["x.tar::link.jpg", "failed", "REFUSED_MEMBER"],
        ["x.tar::../up.jpg", "failed", "REFUSED_MEMBER"],
        ["x.tar::nested.tar", "failed", "TRUNCATED"],
    ]


@pytest.mark.parametrize("name", ["inner.tar", "inner.zip", "inner.tar.gz", "inner.tar.zst"])
def test_archives_in_archives_are_one_unsupported_row(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    inner = packed(small_archive, name)
    (tmp_path / "outer").mkdir()
    inner.rename(tmp_path / "outer" / name)
    outer = packed(tmp_path / "outer", "outer.tar")
    summary = sweep([outer], light_bundle, tmp_path / "run")
    assert (summary.ok, summary.failed) == (0, 1)
    assert results(tmp_path / "run")[1][:3] == [f"outer.tar::{name}", "failed", "UNSUPPORTED"]


@pytest.mark.slow
def test_killed_sweeps_over_a_tar_end_with_the_same_bytes(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    content = {file.name: file for file in small_archive.rglob("*.*")}
    for copy in range(15):
        for name, file in content.items():
            (small_archive / f"{copy:02d}-{name}").write_bytes(file.read_bytes())
    archive = packed(small_archive, "x.tar")
    sweep([archive], demo_bundle, tmp_path / "whole", OPTIONS)
    run = tmp_path / "run"
    words = [PROGRAM, "sweep", archive, "-b", demo_bundle.folder, "-o", run, "--shard-size", "2"]
    words += ["--batch", "2"]
    for _ in range(3):
        before = len(list(run.glob("parts/*.csv")))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(words, **quiet) as process:  # type: ignore[call-overload]
            while process.poll() is None and len(list(run.glob("parts/*.csv"))) == before:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "it was not killed"
    assert not (run / "results.csv").exists()
    subprocess.run(words, check=True, capture_output=True)
    whole = (tmp_path / "whole" / "results.csv").read_bytes()
    assert (run / "results.csv").read_bytes() == whole
