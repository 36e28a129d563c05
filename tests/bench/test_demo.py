from __future__ import annotations

import csv
from pathlib import Path

from click.testing import CliRunner

from cxrsweep.engine import open_bundle
from cxrsweep.engine.cli import cxrsweep


def test_demo_sweeps_finds_the_lungs_and_leaves_everything(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = CliRunner().invoke(cxrsweep, ["demo", "-o", str(folder)])
    assert done.exit_code == 0, done.output
    assert "43 radiographs = 40 ok + 3 failed" in done.stdout
    assert "3 of 3 have the right failure code" in done.stdout
    iou = float(done.stdout.split("median IoU ")[1].split()[0])
    assert iou >= 0.7
    assert str(folder / "bundle") in done.stdout
    again = CliRunner().invoke(cxrsweep, ["demo", "-o", str(folder)])
    assert again.exit_code == 0, again.output
    assert open_bundle(folder / "bundle").labels
    with (folder / "run" / "results.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 43


def test_demo_does_not_touch_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text("precious")
    done = CliRunner().invoke(cxrsweep, ["demo", "-o", str(tmp_path)])
    assert done.exit_code == 1
    assert "holds something else" in done.stderr
    assert [path.name for path in tmp_path.rglob("*.*")] == ["bundle.json"]
