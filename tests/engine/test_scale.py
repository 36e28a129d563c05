"""Shares, samples and ends: what a part of a run leaves, and that the whole is the same."""

from __future__ import annotations

import csv
import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from stopping import StopAfter

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import RunError, TableError
from cxrsweep.engine.options import next_time
from cxrsweep.engine.runs.joining import joined
from cxrsweep.engine.runs.run_folder import read_record
from cxrsweep.engine.runs.share import Share


def options(**asked: object) -> SweepOptions:
    return SweepOptions(shard_size=2, batch=2, device="cpu", **asked)  # type: ignore[arg-type]


@pytest.fixture
def whole(small_archive: Path, light_bundle: Bundle, tmp_path: Path) -> bytes:
    """Results of an undisturbed sweep."""
    sweep([small_archive], light_bundle, tmp_path / "whole", options())
    return (tmp_path / "whole" / "results.csv").read_bytes()


def test_shares_join_to_the_same_bytes(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    run = tmp_path / "run"
    for index in (2, 0):
        asked = options(share=Share(index, 3))
        summary = sweep([small_archive], light_bundle, run, asked)
        assert (summary.indexed, summary.ok, summary.exit_code) == (4, 4, 0)
    with pytest.raises(RunError) as refused:
        joined(run)
    assert "lacks 2 of 6 shards: 1, 4\n" in str(refused.value)
    assert "As tasks of --shards i/3: 1." in str(refused.value)
    assert not (run / "results.csv").exists()
    sweep([small_archive], light_bundle, run, options(share=Share(1, 3)))
    index = (run / "index.csv").read_bytes()
    (run / "index.csv").write_bytes(index + b"another\n")
    with pytest.raises(RunError, match="was changed since this run began"):
        joined(run)
    (run / "index.csv").write_bytes(index)
    done = CliRunner().invoke(cxrsweep, ["join", str(run), "--json", str(tmp_path / "end.json")])
    assert done.exit_code == 0, done.output
    assert "12 radiographs = 12 ok + 0 failed" in done.stdout
    assert (run / "results.csv").read_bytes() == whole
    assert json.loads((tmp_path / "end.json").read_text())["ok"] == 12
    record = read_record(run)
    assert record["status"] == "finished"
    assert [start["share"] for start in record["starts"]] == ["2/3", "0/3", "1/3"]


def test_join_names_damaged_parts(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    part = tmp_path / "whole" / "parts" / "000003.csv"
    part.write_bytes(part.read_bytes()[:-30])
    with pytest.raises(TableError, match=r"000003\.csv was changed"):
        joined(tmp_path / "whole")
    part.unlink()
    with pytest.raises(RunError, match="lacks 1 of 6 shards: 3"):
        joined(tmp_path / "whole")
    sweep([small_archive], light_bundle, tmp_path / "whole", options())
    assert joined(tmp_path / "whole").is_finished
    assert (tmp_path / "whole" / "results.csv").read_bytes() == whole


def test_two_that_join_in_share_the_shards(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    run, ends = tmp_path / "run", []

    def join_in() -> None:
        asked = options(joins_in=True)
        ends.append(sweep([small_archive], light_bundle, run, asked).is_finished)

    threads = [threading.Thread(target=join_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [True, True]
    assert (run / "results.csv").read_bytes() == whole


def test_limit_ends_after_whole_shards_and_the_next_start_goes_on(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    run = tmp_path / "run"
    for done in (6, 12):
        summary = sweep([small_archive], light_bundle, run, options(limit=5))
        assert summary.ok == done
    assert summary.exit_code == 0
    assert (run / "results.csv").read_bytes() == whole


def test_nothing_is_begun_after_the_time_that_was_given(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    run = tmp_path / "run"
    summary = sweep([small_archive], light_bundle, run, options(until=time.time() - 1))
    assert (summary.indexed, summary.ok, summary.exit_code) == (12, 0, 1)
    assert any("--until" in note for note in summary.notes)
    summary = sweep([small_archive], light_bundle, run, options(until=time.time() + 3600))
    assert summary.exit_code == 0
    assert (run / "results.csv").read_bytes() == whole


def test_a_clock_time_is_the_next_one() -> None:
    noon = time.mktime((2026, 3, 31, 12, 0, 0, 0, 0, -1))
    assert time.localtime(next_time("12:01", noon))[:5] == (2026, 3, 31, 12, 1)
    assert time.localtime(next_time("12:00", noon))[:5] == (2026, 4, 1, 12, 0)
    assert time.localtime(next_time("6:30", noon))[:5] == (2026, 4, 1, 6, 30)
    for wrong in ("24:00", "6", "six", "06:60"):
        with pytest.raises(RunError, match="for example 06:00"):
            next_time(wrong, noon)


def test_a_sample_is_the_same_each_time_and_part_of_a_larger_one(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    rows = {}
    for run, count in (("a", 5), ("b", 5), ("c", 9), ("d", 100)):
        sweep([small_archive], light_bundle, tmp_path / run, options(sample=count))
        text = (tmp_path / run / "results.csv").read_text(encoding="utf-8")
        rows[run] = list(csv.reader(text.splitlines()))[1:]
    every = list(csv.reader(whole.decode().splitlines()))[1:]
    assert rows["a"] == rows["b"]
    assert [len(rows[run]) for run in "acd"] == [5, 9, 12]
    assert [row for row in every if row in rows["c"]] == rows["c"]
    assert [row for row in rows["c"] if row in rows["a"]] == rows["a"]
    assert rows["d"] == every
    assert read_record(tmp_path / "a")["sample"] == {"radiographs": 5, "seed": 0}
    with pytest.raises(RunError, match=r"sample\.radiographs: was 5, asked for 6"):
        sweep([small_archive], light_bundle, tmp_path / "a", options(sample=6))


def test_a_shard_that_a_stopped_sweep_had_is_taken_over(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    run, watcher = tmp_path / "run", StopAfter(3)
    asked = options(joins_in=True)
    first = sweep([small_archive], light_bundle, run, asked, watcher=watcher, stop=watcher.stop)
    assert not first.is_finished
    assert list((run / "claims").glob("shard-*"))
    assert sweep([small_archive], light_bundle, run, asked).is_finished
    assert not list((run / "claims").iterdir())
    assert (run / "results.csv").read_bytes() == whole


def test_options_of_scale_reach_workers(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, whole: bytes
) -> None:
    run = tmp_path / "run"
    shutil.copytree(light_bundle.folder, tmp_path / "bundle")
    words = ["sweep", str(small_archive), "-b", str(tmp_path / "bundle"), "-o", str(run)]
    words += ["--shard-size", "2", "--device", "cpu", "--workers", "2"]
    words += ["--join-in", "--until", time.strftime("%H:%M", time.localtime(time.time() + 7200))]
    done = CliRunner().invoke(cxrsweep, [*words, "--limit", "3"])
    assert done.exit_code == 1, done.output
    assert "12 radiographs = 4 ok + 0 failed + 8 still to do" in done.stdout
    assert "start the same command again to go on" in done.stdout
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    assert (run / "results.csv").read_bytes() == whole
    for wrong in (["--shards", "3/3"], ["--until", "25:00"]):
        assert CliRunner().invoke(cxrsweep, [*words, *wrong]).exit_code == 2
    inside = [str(small_archive / "run") if word == str(run) else word for word in words]
    refused = CliRunner().invoke(cxrsweep, inside)
    assert refused.exit_code == 1
    assert "lies inside the archive" in refused.stderr
    assert not (small_archive / "run").exists()
    many = CliRunner().invoke(cxrsweep, [*words, "--threads", "1", "--workers", "2"])
    assert many.exit_code == 1
    assert "give --workers 1 at most" in many.stderr
    refused = CliRunner().invoke(cxrsweep, [*words, "--device", "gpu:0,1"])
    assert refused.exit_code == 1
    assert "--device gpu:0,1" in refused.stderr
