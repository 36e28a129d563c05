"""Frames, views and UIDs asked of an archive before it is swept, through whole sweeps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from archive_support import packed, results
from click.testing import CliRunner
from dicom_files import NATIVE, dataset_of, native_file, written
from numpy.typing import NDArray
from stopping import StopAfter

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.archive import Contents, Entry, containers, open_archives
from cxrsweep.engine.archive import survey as surveying
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.archive.survey import Survey
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import ArchiveError, RunError
from cxrsweep.engine.gate.header import Limits
from cxrsweep.export.synthetic import phantom

PROGRAM = Path(sys.executable).with_name("cxrsweep")
UIDS = [f"1.2.826.0.1.3680043.8.498.{number}" for number in range(10)]
CONTAINERS = ["archive", "x.tar", "x.tar.gz", "x.zip"]
FRAMES = 3


def pixels_of(seed: int) -> NDArray[np.uint8]:
    return phantom(200, 220, np.random.default_rng(seed)).pixels


def several(seed: int, frames: int = FRAMES, **elements: Any) -> bytes:
    pixels = np.concatenate([pixels_of(seed + number) for number in range(frames)])
    return native_file(pixels, 8, NumberOfFrames=frames, Rows=220, **elements)


@pytest.fixture
def archive(tmp_path: Path, encoded: Callable[..., bytes]) -> Path:
    """Six files: four views, one UID twice, one without any, one no DICOM, one damaged."""
    folder = tmp_path / "archive"
    (folder / "s").mkdir(parents=True)
    without_uid = pydicom.dcmread(BytesIO(native_file(pixels_of(6), 8, ViewPosition="AP")))
    del without_uid.SOPInstanceUID
    files = {
        "a-pa.dcm": several(1, ViewPosition="PA", SOPInstanceUID=UIDS[1]),
        "b-lateral.dcm": native_file(pixels_of(4), 8, ViewPosition="LL", SOPInstanceUID=UIDS[2]),
        "s/c-no-view.dcm": native_file(pixels_of(5), 8, SOPInstanceUID=UIDS[1]),
        "s/d-no-uid.dcm": written(without_uid),
        "s/e.png": encoded(".png", pixels_of(7)),
        "s/f-damaged.dcm": several(8)[:300],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def in_container(archive: Path, name: str) -> tuple[Path, str]:
    """The archive in a container, and what stands before its members' names."""
    return (archive, "") if name == "archive" else (packed(archive, name), f"{name}::")


def options_of(**asked: Any) -> SweepOptions:
    return SweepOptions(selection=Selection(**asked), shard_size=2, batch=2)


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_frame_has_the_row_of_a_file_with_that_frame_alone(
    archive: Path, light_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    singles = tmp_path / "singles"
    singles.mkdir()
    dataset = pydicom.dcmread(archive / "a-pa.dcm")
    for number, pixels in enumerate(dataset.pixel_array, 1):  # split by pydicom
        (singles / f"a-pa.dcm#frame={number}").write_bytes(native_file(pixels, 8))
    sweep([singles], light_bundle, tmp_path / "expected", options_of())
    where, prefix = in_container(archive, name)
    summary = sweep([where], light_bundle, tmp_path / "run", options_of(frames="all"))
    rows = results(tmp_path / "run")
    assert [row[0] for row in rows[1:]] == [
        *(f"{prefix}a-pa.dcm#frame={number}" for number in (1, 2, 3)),
        *(f"{prefix}{name}" for name in ("b-lateral.dcm", "s/c-no-view.dcm", "s/d-no-uid.dcm")),
        *(f"{prefix}s/e.png", f"{prefix}s/f-damaged.dcm"),
    ]
    # Equal to the digit: a score does not depend on the file around its pixels.
    assert [row[1:] for row in rows[1:4]] == [row[1:] for row in results(tmp_path / "expected")[1:]]
    assert len({tuple(row[3:6]) for row in rows[1:4]}) == 3, "three pictures, three scores"
    assert (summary.indexed, summary.ok, summary.failed) == (8, 7, 1)
    assert "frames: 6 files have 8 rows" in summary.notes


def test_first_frame_alone_is_the_default(
    archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    summary = sweep([archive], light_bundle, tmp_path / "run", options_of())
    assert [row[0] for row in results(tmp_path / "run")[1:3]] == ["a-pa.dcm", "b-lateral.dcm"]
    assert summary.indexed == 6
    assert not [note for note in summary.notes if "frames" in note or "view" in note]


@pytest.mark.parametrize("name", CONTAINERS)
def test_frontal_leaves_out_what_names_another_view_and_counts_it(
    archive: Path, light_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    where, prefix = in_container(archive, name)
    run = tmp_path / "run"
    words = ["sweep", str(where), "-b", str(light_bundle.folder), "-o", str(run)]
    done = CliRunner().invoke(cxrsweep, [*words, "--view", "frontal"])
    assert done.exit_code == 3  # the damaged file
    ids = [row[0].removeprefix(prefix) for row in results(run)[1:]]
    assert ids == [*("a-pa.dcm", "s/c-no-view.dcm", "s/d-no-uid.dcm", "s/e.png", "s/f-damaged.dcm")]
    line = "view: 5 kept, 1 not frontal left out, 3 of the kept say no view"
    assert line in done.stdout
    assert line in done.stderr
    counts = json.loads((run / "run.json").read_text())["counts"]
    assert counts["indexed"] == 5
    assert counts["survey"] | {"kept": 5, "not_frontal": 1, "without_view": 3} == counts["survey"]


def test_archive_without_any_frontal_radiograph_is_said(
    archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    options = options_of(view="frontal", include=("b-*",))
    with pytest.raises(ArchiveError, match="no file is left after --include, --exclude and --view"):
        sweep([archive], light_bundle, tmp_path / "run", options)


@pytest.mark.parametrize("name", CONTAINERS)
def test_uids_are_ids_unless_they_are_missing_or_came_before(
    archive: Path, light_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    where, prefix = in_container(archive, name)
    summary = sweep([where], light_bundle, tmp_path / "run", options_of(id="sop", frames="all"))
    assert [row[0] for row in results(tmp_path / "run")[1:]] == [
        *(f"{UIDS[1]}#frame={number}" for number in (1, 2, 3)),
        UIDS[2],
        *(f"{prefix}s/{n}" for n in ("c-no-view.dcm", "d-no-uid.dcm", "e.png", "f-damaged.dcm")),
    ]
    line = "id: 2 by SOP instance UID; 3 without one and 1 whose UID came before keep their path"
    assert line in summary.notes


def surveyed(folder: Path, **asked: Any) -> list[Entry]:
    selection = Selection(**asked)
    survey = Survey(selection, Limits(), 2, lambda _: None)
    return list(survey.entries(open_archives([folder], selection)))


def test_ids_stay_unique_whatever_files_are_called(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    plain = native_file(pixels_of(1), 8, SOPInstanceUID=UIDS[3])
    (folder / "0").write_bytes(plain)
    (folder / "1#frame=1").write_bytes(b"text")  # has the name that a frame will ask for
    (folder / "1").write_bytes(several(1, SOPInstanceUID=UIDS[4]))
    (folder / UIDS[3]).write_bytes(b"text")  # has the UID of another file as its name
    for id_ in ("path", "sop"):
        found = [entry.radiograph for entry in surveyed(folder, frames="all", id=id_)]
        assert len(found) == len(set(found)) == 6
    assert [entry.radiograph for entry in surveyed(folder, id="sop")] == [
        *(UIDS[3], UIDS[4], "1#frame=1", f"{UIDS[3]}#2")
    ]


def test_endless_frames_are_one_row(archive: Path, light_bundle: Bundle, tmp_path: Path) -> None:
    (archive / "many.dcm").write_bytes(several(1).replace(b"IS\x02\x003 ", b"IS\x02\x0099"))
    dataset = dataset_of(pixels_of(1), 8, NumberOfFrames=10_001)
    dataset.PixelData = b"\0\0"
    dataset["PixelData"].VR = "OB"
    (archive / "endless.dcm").write_bytes(written(dataset))
    options = options_of(frames="all", include=("many.dcm", "endless.dcm"))
    summary = sweep([archive], light_bundle, tmp_path / "run", options)
    rows = [row[:3] for row in results(tmp_path / "run")[1:]]
    assert rows[0] == ["endless.dcm", "failed", "TOO_LARGE"]
    assert [row[1:] for row in rows[1:]] == [["ok", ""]] * 3 + [["failed", "TRUNCATED"]] * 96
    assert summary.indexed == 100
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "the header declares over 10000 frames" in log


@pytest.mark.parametrize("name", CONTAINERS)
def test_stopped_sweep_of_frames_ends_with_the_same_bytes(
    archive: Path, demo_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    where, _ = in_container(archive, name)
    options, run = options_of(frames="all"), tmp_path / "run"
    sweep([where], demo_bundle, tmp_path / "whole", options)
    watcher = StopAfter(2)
    first = sweep([where], demo_bundle, run, options, watcher=watcher, stop=watcher.stop)
    assert 0 < first.ok < 7, "stopped between the frames of a file or soon after"
    assert sweep([where], demo_bundle, run, options).is_finished
    assert (run / "results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()


@pytest.mark.parametrize("name", ["archive", "x.tar.gz"])
def test_killed_sweep_of_frames_ends_with_the_same_bytes(
    archive: Path, demo_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    (archive / "many.dcm").write_bytes(several(20, frames=24))
    where, _ = in_container(archive, name)
    sweep([where], demo_bundle, tmp_path / "whole", options_of(frames="all"))
    run = tmp_path / "run"
    words = [PROGRAM, "sweep", where, "-b", demo_bundle.folder, "-o", run, "--frames", "all"]
    words += ["--shard-size", "2", "--batch", "2", "--no-supervisor"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, **quiet) as process:  # type: ignore[call-overload]
        while process.poll() is None and len(list(run.glob("parts/*.csv"))) < 5:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was not killed"
    assert not (run / "results.csv").exists()
    assert subprocess.run(words, capture_output=True, check=False).returncode == 3
    assert (run / "results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()


def test_sweep_killed_in_its_survey_starts_again(
    archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    content = (archive / "b-lateral.dcm").read_bytes()
    for number in range(4000):
        (archive / f"x-{number:04d}.dcm").write_bytes(content)
    run = tmp_path / "run"
    words = [PROGRAM, "sweep", archive, "-b", demo_bundle.folder, "-o", run, "--no-supervisor"]
    words += ["--view", "frontal"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, **quiet) as process:  # type: ignore[call-overload]
        while process.poll() is None and not list(run.glob("index.csv.*partial")):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was not killed"
    assert not (run / "index.csv").exists()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "view: 5 kept, 4001 not frontal left out, 3 of the kept" in done.stdout, done.stderr
    assert len(results(run)) == 1 + 5


@pytest.mark.parametrize(
    ("asked", "difference"),
    [
        ({"frames": "all"}, 'selection.frames: was "first", asked for "all"'),
        ({"view": "frontal"}, 'selection.view: was "all", asked for "frontal"'),
        ({"id": "sop"}, 'selection.id: was "path", asked for "sop"'),
    ],
)
def test_other_questions_are_refused(
    archive: Path, light_bundle: Bundle, tmp_path: Path, asked: dict[str, str], difference: str
) -> None:
    sweep([archive], light_bundle, tmp_path / "run", options_of())
    with pytest.raises(RunError) as refused:
        sweep([archive], light_bundle, tmp_path / "run", options_of(**asked))
    assert difference in str(refused.value)


def test_unknown_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ArchiveError, match="frames is 'each'; it can be first or all"):
        Selection(frames="each")  # type: ignore[arg-type]


def test_survey_reads_only_heads_unless_the_pixels_begin_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    wide = np.zeros((1024, 1024), np.uint8)
    (folder / "large.dcm").write_bytes(native_file(wide, 8, ViewPosition="PA"))
    filler = dataset_of(wide, 8, ViewPosition="LL")
    filler.add_new(0x00091001, "OB", b"\0" * 400_000)  # private, before the view
    filler.add_new(0x00090010, "LO", "someone")
    filler.PixelData = wide.tobytes()
    filler["PixelData"].VR = "OB"
    (folder / "late.dcm").write_bytes(written(filler))
    noise = np.random.default_rng(0).integers(0, 256, wide.shape, np.uint8)
    deflated = native_file(noise, 8, NATIVE["deflated"], ViewPosition="RL")
    (folder / "deflated.dcm").write_bytes(deflated)
    whole: list[str] = []
    content = Contents.content

    def noted(self: Contents, entry: Entry) -> bytes:
        whole.append(entry.radiograph)
        return content(self, entry)

    monkeypatch.setattr(Contents, "content", noted)
    assert [entry.radiograph for entry in surveyed(folder, view="frontal")] == ["large.dcm"]
    assert whole == ["late.dcm"]


@pytest.mark.parametrize("size", [140, 200, 400, 600, 1000])
def test_head_of_any_size_gives_the_same_rows(
    archive: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    asked = {"frames": "all", "view": "frontal", "id": "sop"}
    expected = surveyed(archive, **asked)
    monkeypatch.setattr(surveying, "HEAD_BYTES", size)
    assert surveyed(archive, **asked) == expected


def test_compressed_tar_is_not_read_anew_for_every_frame(
    archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = packed(archive, "x.tar.gz")
    entries = surveyed(path, frames="all")
    opened: list[str] = []
    source = containers.opened_source

    def noted(location: str, kind: Any) -> Any:
        opened.append(location)
        return source(location, kind)

    monkeypatch.setattr(containers, "opened_source", noted)
    contents = Contents(Limits())
    found = [contents.content(entry) for entry in entries if not entry.refused]
    contents.close()
    assert opened == [str(path)]
    assert found[0] is found[1] is found[2]
    assert found[0] == (archive / "a-pa.dcm").read_bytes()
    assert found[-1] == (archive / "s" / "f-damaged.dcm").read_bytes()
