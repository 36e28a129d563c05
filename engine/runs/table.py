"""The results table: one row per radiograph, RFC 4180, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cxrsweep.engine.decode.geometry import source_box
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.header import Header
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runners import Scores

NO_LUNG = "no_lung"
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "'")


@dataclass(frozen=True)
class Row:
    """One line of results.csv, every cell as text but for the guard."""

    radiograph: str
    is_ok: bool
    cells: tuple[str, ...]


def columns_of(recipe: Recipe) -> list[str]:
    """Header of results.csv, decided by the recipe alone."""
    labels = recipe.classifier.labels
    return [
        "radiograph",
        "status",
        "error",
        *labels,
        *(f"{label}_flag" for label in labels if label in recipe.thresholds),
        *(f"{label}_background" for label in labels if recipe.probe == "background"),
        *("x0", "y0", "x1", "y1", "lung_fraction"),
        *("width", "height", "bits", "kind", "flags"),
    ]


def ok_row(
    recipe: Recipe, radiograph: str, header: Header, scores: Scores, place: int, flag: str = ""
) -> Row:
    """Row of a scored radiograph.

    Args:
        recipe: labels, thresholds and fit.
        radiograph: its id.
        header: from the gate.
        scores: of the batch.
        place: of the radiograph in the batch.
        flag: words of the decoder for the column `flags`, or empty.
    """
    labels = recipe.classifier.labels
    values = [float(value) for value in scores.scores[place]]
    flags = [
        str(int(value >= np.float32(recipe.thresholds[label])))
        for label, value in zip(labels, scores.scores[place], strict=True)
        if label in recipe.thresholds
    ]
    probe = [] if scores.probe_scores is None else [f"{v:.6f}" for v in scores.probe_scores[place]]
    lungs, words = _lung_cells(recipe, header, scores, place)
    cells = ["ok", "", *(f"{value:.6f}" for value in values), *flags, *probe, *lungs]
    words = " ".join(filter(None, [words, flag]))
    return Row(radiograph, True, (*cells, *_header_cells(header), words))


def failed_row(recipe: Recipe, radiograph: str, header: Header | None, reason: Refused) -> Row:
    """Row of a radiograph without scores; what the gate learnt of its size is kept."""
    blanks = [""] * (len(columns_of(recipe)) - 8)
    known = _header_cells(header) if header else ("", "", "", "")
    return Row(radiograph, False, ("failed", str(reason.code), *blanks, *known, ""))


def _lung_cells(
    recipe: Recipe, header: Header, scores: Scores, place: int
) -> tuple[list[str], str]:
    if recipe.segmenter is None:
        return [""] * 5, ""
    fractions = [float(value) for value in scores.lung_box[place]]
    lung_fraction = scores.lung_fraction[place]
    box = source_box(recipe, fractions, *header.shown_size)
    found = lung_fraction > 0 and lung_fraction >= np.float32(recipe.crop.minimum_lung_fraction)
    return [*map(str, box), f"{lung_fraction:.6f}"], "" if found else NO_LUNG


def _header_cells(header: Header) -> tuple[str, ...]:
    width, height = header.shown_size
    return (str(width), str(height), str(header.bits), header.kind)


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Quote cells as RFC 4180 asks; lines end with CR LF."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


def guarded(text: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would run; `unguarded` takes it away."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def unguarded(text: str) -> str:
    """Undo `guarded`."""
    return text.removeprefix("'")


def printable(text: str) -> str:
    r"""Bytes of a file name that are not UTF-8, as \xNN: every output stays valid UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
