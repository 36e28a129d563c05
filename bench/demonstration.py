"""The demonstration: draws a small archive, sweeps it with the shipped bundle, checks the rows."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from cxrsweep.bench.phantoms import Known, box_iou, write_archive
from cxrsweep.engine.bundle import open_bundle
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.progress import Watcher
from cxrsweep.engine.runs.joining import SweepSummary
from cxrsweep.engine.sweeping import sweep

RADIOGRAPHS = 40
MARKER = "MADE-BY-CXRSWEEP-DEMO"


@dataclass(frozen=True)
class Demonstration:
    """How the demonstration ended.

    Attributes:
        summary: of the sweep.
        bundle, archive: where they lie.
        rows: of results.csv; one per file of the archive.
        right_errors: broken files with the right failure code.
        broken: broken files.
        median_iou: of the lung boxes with the known lungs, in [0, 1].
    """

    summary: SweepSummary
    bundle: Path
    archive: Path
    rows: int
    right_errors: int
    broken: int
    median_iou: float


def demonstrate(
    folder: Path, watcher: Watcher, say: Callable[[str], None] = lambda _: None
) -> Demonstration:
    """Run the demonstration in `folder`, leaving bundle, radiographs, truth.csv and run there.

    Args:
        folder: made where it does not exist; an earlier demonstration in it is continued.
        watcher: told how far the sweep is.
        say: receives one line per step.

    Raises:
        RunError: the folder holds something else.
    """
    bundle, archive = folder / "bundle", folder / "radiographs"
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise RunError(f"{folder} holds something else than a demonstration; give -o a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text("Made by `cxrsweep demo`, which may overwrite this folder.\n")
    say(f"copying the demonstration bundle to {bundle}")
    shutil.rmtree(bundle, ignore_errors=True)
    with as_file(files("cxrsweep.export.demo").joinpath("bundle")) as shipped:
        shutil.copytree(shipped, bundle)
    say(f"drawing {RADIOGRAPHS} synthetic radiographs and 3 broken files in {archive}")
    known = write_archive(archive, RADIOGRAPHS)
    summary = sweep([archive], open_bundle(bundle), folder / "run", watcher=watcher)
    return _checked(folder, summary, known)


def _checked(folder: Path, summary: SweepSummary, known: list[Known]) -> Demonstration:
    with (folder / "run" / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["radiograph"]: row for row in csv.DictReader(stream)}
    overlaps = [
        box_iou(file.lung_box, tuple(float(rows[file.radiograph][key]) for key in _BOX))
        for file in known
        if file.lung_box and rows[file.radiograph]["status"] == "ok"
    ]
    broken = [file for file in known if file.error]
    return Demonstration(
        summary,
        folder / "bundle",
        folder / "radiographs",
        len(rows),
        sum(rows[file.radiograph]["error"] == file.error for file in broken),
        len(broken),
        float(np.median(overlaps)) if overlaps else 0.0,
    )


_BOX = ("x0", "y0", "x1", "y1")
