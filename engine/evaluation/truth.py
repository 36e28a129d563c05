"""The labels file: a CSV in; truth, patient and subgroups of each radiograph out."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrsweep.engine.archive.manifest import PATH_COLUMNS
from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.runs.table import unguarded

_CELLS = {"0": False, "0.0": False, "1": True, "1.0": True}
UNKNOWN = "(empty)"


@dataclass(frozen=True)
class LabelColumn:
    """Where the truth of one label stands.

    Attributes:
        label: of the bundle.
        column: of the labels file.
        value: the cell that means positive; None for a column of 0 and 1.
    """

    label: str
    column: str
    value: str | None = None


@dataclass(frozen=True)
class Truth:
    """One line of the labels file.

    Attributes:
        positive: label -> truth; None where the cell is empty.
        patient: cell of the group column; empty without one.
        parts: subgroup column -> cell.
    """

    positive: dict[str, bool | None]
    patient: str
    parts: dict[str, str]


@dataclass(frozen=True)
class TruthColumns:
    """Which columns of the labels file are read.

    Attributes:
        labels: what was asked for, as `label_column` reads it; empty takes the columns that are
            named like labels of the bundle.
        radiograph: column of the ids; None takes the first one named like one.
        group: column of the patient; None makes every radiograph a patient of its own.
        by: columns of the subgroups.
    """

    labels: Sequence[LabelColumn] = ()
    radiograph: str | None = None
    group: str | None = None
    by: Sequence[str] = ()


def label_column(text: str) -> LabelColumn:
    """Read `NAME`, `NAME=COLUMN` or `NAME=COLUMN:VALUE`.

    Raises:
        EvaluationError: it is none of them.
    """
    label, has_column, rest = text.partition("=")
    column, has_value, value = rest.partition(":")
    if not label or (has_column and not column) or (has_value and not value):
        raise EvaluationError(
            f"--label {text!r} is not NAME, NAME=COLUMN (a column of 0 and 1) or"
            " NAME=COLUMN:VALUE (the value that means positive)"
        )
    return LabelColumn(label, column or label, value or None)


def read_truth(
    path: Path, labels: Sequence[str], columns: TruthColumns
) -> tuple[list[LabelColumn], dict[str, Truth]]:
    """Read a labels file.

    Args:
        path: CSV with a header.
        labels: of the bundle.
        columns: which to read.

    Returns:
        the label columns that were read, and id -> its line, in the order of the file.

    Raises:
        EvaluationError: it cannot be read, lacks a column, has a cell that is neither 0 nor 1, or
            names an id twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            header = list(rows.fieldnames or ())
            _refuse_odd_header(path, header)
            ids = _id_column(path, header, columns.radiograph)
            asked = _label_columns(path, header, labels, columns.labels)
            _refuse_missing(path, header, [c.column for c in asked], "--label")
            _refuse_missing(path, header, [columns.group] if columns.group else [], "--group")
            _refuse_missing(path, header, columns.by, "--by")
            found: dict[str, Truth] = {}
            lines: dict[str, int] = {}
            for row in rows:
                radiograph = unguarded(row[ids] or "")
                where = f"{path} line {rows.line_num}"
                if None in row:
                    raise EvaluationError(
                        f"{where}: more cells than the header has columns; put quotes around cells"
                        " that hold commas"
                    )
                _check_id(where, radiograph, lines)
                lines[radiograph] = rows.line_num
                found[radiograph] = _truth_from_row(where, row, asked, columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"cannot read the labels {path}: {error}") from error
    _refuse_unseen(path, asked, found)
    return asked, found


def _refuse_odd_header(path: Path, header: Sequence[str]) -> None:
    again = [column for column in header if header.count(column) > 1]
    if again:
        raise EvaluationError(
            f"{path} has several columns {again[0]!r}, and only one can be true; take the others"
            " out"
        )
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise EvaluationError(
            f"{path} seems to be separated by semicolons or tabs; save it separated by commas"
        )


def _check_id(where: str, radiograph: str, lines: Mapping[str, int]) -> None:
    if not radiograph:
        raise EvaluationError(f"{where}: no id; every line needs one")
    if radiograph in lines:
        raise EvaluationError(
            f"{where}: the id {radiograph!r} was already named in line {lines[radiograph]};"
            " name every radiograph once"
        )


def _id_column(path: Path, header: Sequence[str], asked: str | None) -> str:
    by_lower = {column.strip().lower(): column for column in header}
    wanted = [asked] if asked else [by_lower[name] for name in PATH_COLUMNS if name in by_lower]
    if not wanted or wanted[0] not in header:
        named = repr(asked) if asked else "one of " + ", ".join(PATH_COLUMNS)
        raise EvaluationError(
            f"{path} has the columns {header}; the ids are looked for in {named}"
            " (--id-column names another)"
        )
    return wanted[0]


def _label_columns(
    path: Path, header: Sequence[str], labels: Sequence[str], asked: Sequence[LabelColumn]
) -> list[LabelColumn]:
    unknown = [found.label for found in asked if found.label not in labels]
    if unknown:
        raise EvaluationError(
            f"--label names {unknown[0]!r}; the run has scores of {', '.join(labels)}"
        )
    if len({found.label for found in asked}) < len(asked):
        raise EvaluationError("--label names a label twice; give each once")
    found = list(asked) or [LabelColumn(label, label) for label in labels if label in header]
    if not found:
        raise EvaluationError(
            f"{path} has the columns {list(header)}, none named like a label of the run"
            f" ({', '.join(labels)}); say where the truth stands, such as"
            f" --label '{labels[0]}=COLUMN:VALUE'"
        )
    return found


def _refuse_missing(path: Path, header: Sequence[str], wanted: Sequence[str], option: str) -> None:
    missing = [column for column in wanted if column not in header]
    if missing:
        raise EvaluationError(
            f"{path} has the columns {list(header)}; {option} asks for {missing[0]!r}"
        )


def _truth_from_row(
    where: str, row: Mapping[str, str | None], asked: Sequence[LabelColumn], columns: TruthColumns
) -> Truth:
    positive = {found.label: _is_positive(where, found, row[found.column]) for found in asked}
    patient = (row[columns.group] or "").strip() if columns.group else ""
    return Truth(positive, patient, {name: row[name] or UNKNOWN for name in columns.by})


def _is_positive(where: str, found: LabelColumn, cell: str | None) -> bool | None:
    text = (cell or "").strip()
    if not text:
        return None
    if found.value is not None:
        return text == found.value
    if text not in _CELLS:
        raise EvaluationError(
            f"{where}: {text!r} in the column {found.column!r}; a column of a label holds 0, 1 or"
            f" nothing (unknown), or say which value means positive:"
            f" --label '{found.label}={found.column}:{text}'"
        )
    return _CELLS[text]


def _refuse_unseen(path: Path, asked: Sequence[LabelColumn], found: Mapping[str, Truth]) -> None:
    """A value that no line has is a slip of the pen, not a label without a case."""
    for column in asked:
        if column.value and not any(truth.positive[column.label] for truth in found.values()):
            raise EvaluationError(
                f"{path}: no cell of the column {column.column!r} is {column.value!r}, to the"
                " letter; mend --label"
            )
