from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from cxrsweep.engine.cli import cxrsweep

if TYPE_CHECKING:
    from conftest import Swept


def invoked(*words: object) -> Result:
    return CliRunner().invoke(cxrsweep, ["overlay", *(str(word) for word in words)])


def test_highest_scores_are_drawn_with_their_boxes(swept: Swept, tmp_path: Path) -> None:
    words = [swept.run, "--top", 7, "--label", "two", "-o", tmp_path / "o"]
    done = invoked(*words, "--json", tmp_path / "o.json")
    assert done.exit_code == 0, done.output
    assert "7 of 7 radiographs drawn, lung box alone" in done.stdout
    rows = {row["radiograph"]: row for row in swept.rows if row["status"] == "ok"}
    best = sorted(rows, key=lambda name: -float(rows[name]["two"]))[:7]
    made = json.loads((tmp_path / "o.json").read_text())
    assert [overlay["radiograph"] for overlay in made] == best
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [o["file"] for o in made]
    for overlay in made:
        row = rows[overlay["radiograph"]]
        assert overlay["score"] == float(row["two"])
        drawn = cv2.imread(str(tmp_path / "o" / overlay["file"])).astype(int)
        grey = cv2.imread(str(swept.archive / overlay["radiograph"]), cv2.IMREAD_GRAYSCALE)
        assert drawn.shape[:2] == grey.shape == (int(row["height"]), int(row["width"]))
        x0, y0, x1, y1 = (int(row[side]) for side in ("x0", "y0", "x1", "y1"))
        assert list(drawn[y0, (x0 + x1) // 2]) == [0, 215, 255]
        near = np.ones(grey.shape, bool)
        near[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4] = False  # half of a line of four pixels, and room
        near[: max(y0 - 4, 0)] = near[y1 + 4 :] = False
        near[:, : max(x0 - 4, 0)] = near[:, x1 + 4 :] = False
        assert (drawn[~near] == grey[~near][:, None]).all()


def test_names_of_files_hold_nothing_that_leads_elsewhere(swept: Swept, tmp_path: Path) -> None:
    done = invoked(swept.run, "--top", 40, "--label", "one", "-o", tmp_path / "o")
    assert done.exit_code == 0, done.output
    names = [path.name for path in (tmp_path / "o").iterdir()]
    assert len(names) == 40
    for name in names:
        assert not set(name) & set("<>\"'&/\\ ()=*")


def test_missing_file_is_a_line_and_no_stop(swept: Swept, tmp_path: Path) -> None:
    rows = sorted(swept.rows, key=lambda row: -float(row["one"] or 0))
    gone = swept.archive / rows[1]["radiograph"]
    gone.rename(tmp_path / "gone")
    try:
        done = invoked(swept.run, "--top", 3, "--label", "one", "-o", tmp_path / "o")
    finally:
        (tmp_path / "gone").rename(gone)
    assert done.exit_code == 3
    assert "2 of 3 radiographs drawn" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "READ_FAILED" in line]
    assert line.startswith("     2  one ")
    assert repr(rows[1]["radiograph"]) in line


def test_file_that_was_changed_gets_no_box_of_another(swept: Swept, tmp_path: Path) -> None:
    best = max(swept.rows, key=lambda row: float(row["one"] or 0))
    file = swept.archive / best["radiograph"]
    before = file.read_bytes()
    _, other = cv2.imencode(file.suffix, np.arange(64 * 48, dtype=np.uint8).reshape(48, 64))
    file.write_bytes(bytes(other))
    try:
        done = invoked(swept.run, "--top", 2, "--label", "one", "-o", tmp_path / "o")
    finally:
        file.write_bytes(before)
    assert done.exit_code == 3
    assert "changed since the sweep: it has 64 x 48 pixels now" in done.stdout


def test_archive_that_is_gone_ends_with_1(
    swept: Swept, tmp_path: Path, movable: Callable[[], None]
) -> None:
    movable()
    done = invoked(swept.run, "--top", 3, "--label", "one", "-o", tmp_path / "o")
    assert done.exit_code == 1
    assert done.stdout.count("READ_FAILED") == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "several labels; --label names one of one, two"),
        (("--label", "three"), "no label 'three'; --label names one of one, two"),
    ],
)
def test_label_must_be_known(
    swept: Swept, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = invoked(swept.run, *words, "-o", tmp_path / "o")
    assert done.exit_code == 1
    assert told in done.stderr


def test_folder_with_files_is_refused(swept: Swept, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_text("mine")
    done = invoked(swept.run, "--label", "one", "-o", tmp_path)
    assert done.exit_code == 1
    assert "is not empty" in done.stderr
