"""Overlays: the radiographs with the highest scores in, a folder of PNG with lung boxes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cxrsweep.engine.errors import RunError
from cxrsweep.engine.evaluation.cases import recipe_of_run
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.report.pictures import boxed, encoded, greys_of
from cxrsweep.engine.report.tally import tally_of
from cxrsweep.engine.runs.run_folder import result_rows

_LONGEST_NAME = 80  # characters of an id in a file name


@dataclass(frozen=True)
class Overlay:
    """What became of one radiograph.

    Attributes:
        place: from 1, the highest score first.
        radiograph: its id.
        score: of the label.
        file: name of the PNG, or empty.
        note: that it has no box, or why it has no PNG; or empty.
    """

    place: int
    radiograph: str
    score: float
    file: str
    note: str


def label_of(run: Path, label: str | None) -> str:
    """The label that was asked for, or the only one.

    Raises:
        RunError: the run has no such label, or several and none was asked for.
    """
    labels = recipe_of_run(run).classifier.labels
    if label is None and len(labels) == 1:
        return labels[0]
    if label not in labels:
        asked = "several labels" if label is None else f"no label {label!r}"
        raise RunError(f"{run} has {asked}; --label names one of {', '.join(labels)}")
    return label


def overlays(run: Path, label: str, most: int, folder: Path) -> Iterator[Overlay]:
    """Write a PNG for each of the radiographs with the highest scores.

    Args:
        run: folder of a finished run whose archive is where it was.
        label: whose scores.
        most: radiographs.
        folder: new or empty.

    Yields:
        one overlay for each, in the order of the archive.

    Raises:
        RunError: the run is not finished or was changed, or the folder is not empty.
        TableError: results.csv is damaged.
    """
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty; give -o a new or empty folder")
    recipe = recipe_of_run(run)
    top = tally_of(recipe, result_rows(run, recipe), most).labels[label].top.rows()
    folder.mkdir(parents=True, exist_ok=True)
    places = {row.ordinal: place for place, row in enumerate(top, 1)}
    for row, grey in greys_of(run, top):
        place, score = places[row.ordinal], row.scores[label]
        if isinstance(grey, Refused):
            yield Overlay(place, row.radiograph, score, "", f"{grey.code}: {grey.reason}")
            continue
        name = f"{place:04d}-{_plain(row.radiograph)}.png"
        (folder / name).write_bytes(encoded(".png", boxed(grey, row)))
        yield Overlay(place, row.radiograph, score, name, "" if row.box else "no lung box")


def _plain(radiograph: str) -> str:
    """An id as part of a file name; the place before it keeps names apart."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", radiograph)[-_LONGEST_NAME:]
