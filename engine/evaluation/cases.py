"""The join: a run folder and truth in, scored radiographs with their truth out, none lost."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation.metrics import Bools, Floats, Places
from cxrsweep.engine.evaluation.results import Met
from cxrsweep.engine.evaluation.truth import Truth
from cxrsweep.engine.recipe import Recipe, recipe_from_mapping
from cxrsweep.engine.runs.decisions import decisions_of
from cxrsweep.engine.runs.run_folder import read_record, result_rows
from cxrsweep.engine.runs.table import NO_LUNG, unguarded

EXAMPLES = 3


@dataclass(frozen=True)
class Cases:
    """Radiographs of a run with their truth, in the order of the run.

    Attributes:
        recipe: of the bundle that scored.
        radiographs: (N,) ids.
        scores: label -> (N,) in [0, 1].
        flagged: label -> (N,) decisions.
        background: label -> (N,) scores with the lungs removed; empty without the probe.
        has_lungs: (N,) whether a lung was found.
        aspect: (N,) width over height.
        positive: label -> (N,) 1, 0 or nan where unknown.
        patients: (N,) number of the patient.
        parts: subgroup column -> (N,) cells.
        failed: label -> truth of its failed radiographs, True or False each.
        met: what met, and what did not.
    """

    recipe: Recipe
    radiographs: list[str]
    scores: dict[str, Floats]
    flagged: dict[str, Bools]
    background: dict[str, Floats]
    has_lungs: Bools
    aspect: Floats
    positive: dict[str, Floats]
    patients: Places
    parts: dict[str, list[str]]
    failed: dict[str, list[bool]]
    met: Met


def recipe_of_run(run: Path) -> Recipe:
    """The recipe that a run scored with.

    Raises:
        RunError: the folder is no run.
    """
    return recipe_from_mapping(read_record(run)["bundle"]["recipe"], str(run / "run.json"))


def joined_cases(run: Path, labels: Path, truth: Mapping[str, Truth]) -> Cases:
    """Join results.csv with truth by id.

    Args:
        run: folder of a finished run.
        labels: where the truth was read, for messages.
        truth: id -> its line.

    Raises:
        EvaluationError: a number of the table is none; nothing meets.
        RunError: the folder is no run, or one that is not finished.
        TableError: the table is damaged.
    """
    recipe = recipe_of_run(run)
    met = Met(lines=len(truth))
    table = _Table(recipe)
    lines: list[Truth] = []
    failed: dict[str, list[bool]] = {}
    seen: set[str] = set()
    for row in result_rows(run, recipe):
        met.rows += 1
        radiograph = unguarded(row["radiograph"])
        line = truth.get(radiograph)
        if line is None:
            _note(met.rows_alone_examples, radiograph)
            met.rows_alone += 1
            continue
        seen.add(radiograph)
        if row["status"] == "ok":
            table.add(row)
            lines.append(line)
            continue
        met.failed[row["error"]] = met.failed.get(row["error"], 0) + 1
        for label, positive in line.positive.items():
            failed.setdefault(label, []).extend([] if positive is None else [positive])
    for radiograph in truth:
        if radiograph not in seen:
            _note(met.lines_alone_examples, radiograph)
    met.scored, met.lines_alone = len(lines), len(truth) - len(seen)
    _refuse_nothing(run, labels, met)
    return _cases(table, lines, failed, met)


def _note(examples: list[str], radiograph: str) -> None:
    if len(examples) < EXAMPLES:
        examples.append(radiograph)


def _refuse_nothing(run: Path, labels: Path, met: Met) -> None:
    if met.scored:
        return
    if met.failed:
        raise EvaluationError(f"every labelled radiograph of {run} failed; see its log.jsonl")
    raise EvaluationError(
        f"no id of {run / 'results.csv'} (such as {met.rows_alone_examples[:1]}) is in"
        f" {labels} (such as {met.lines_alone_examples[:1]}); --id-column names another"
        " column, and ids must be the same to the letter"
    )


class _Table:
    """What is kept of the rows: ids and numbers, because a run may have millions."""

    def __init__(self, recipe: Recipe) -> None:
        labels = recipe.classifier.labels
        self.recipe = recipe
        self.radiographs: list[str] = []
        self.has_lungs: list[bool] = []
        names = [*labels, *(f"{label}_flag" for label in recipe.thresholds), "width", "height"]
        if recipe.probe == "background":
            names += [f"{label}_background" for label in labels]
        self._numbers = {name: array("d") for name in names}

    def add(self, row: dict[str, str]) -> None:
        """Keep one scored row.

        Raises:
            EvaluationError: a number of it is none.
        """
        self.radiographs.append(unguarded(row["radiograph"]))
        self.has_lungs.append(NO_LUNG not in row["flags"].split())
        for name, numbers in self._numbers.items():
            try:
                numbers.append(float(row[name]))
            except (TypeError, ValueError) as error:
                raise EvaluationError(
                    f"results.csv is damaged: {row[name]!r} of {row['radiograph']!r} in the column"
                    f" {name!r} is no number"
                ) from error

    def __getitem__(self, name: str) -> Floats:
        return np.array(self._numbers[name])

    def decisions(self) -> dict[str, Bools]:
        """As the sweep wrote them; of a label without a threshold, as the engine decides."""
        labels, thresholds = self.recipe.classifier.labels, self.recipe.thresholds
        scores = np.column_stack([self[label] for label in labels]).astype(np.float32)
        decided = decisions_of(self.recipe, scores)
        return {
            label: self[f"{label}_flag"] > 0 if label in thresholds else decided[:, number]
            for number, label in enumerate(labels)
        }


def _cases(table: _Table, lines: list[Truth], failed: dict[str, list[bool]], met: Met) -> Cases:
    labels, has_probe = table.recipe.classifier.labels, table.recipe.probe == "background"
    patients = [line.patient for line in lines]
    met.without_patient = patients.count("")
    return Cases(
        table.recipe,
        table.radiographs,
        {label: table[label] for label in labels},
        table.decisions(),
        {label: table[f"{label}_background"] for label in labels if has_probe},
        np.array(table.has_lungs),
        table["width"] / table["height"],
        {label: _truth_of(label, lines) for label in lines[0].positive},
        _numbered(patients),
        {name: [line.parts[name] for line in lines] for name in lines[0].parts},
        {label: failed.get(label, []) for label in lines[0].positive},
        met,
    )


def _truth_of(label: str, lines: list[Truth]) -> Floats:
    known = (line.positive[label] for line in lines)
    return np.array([np.nan if positive is None else float(positive) for positive in known])


def _numbered(patients: list[str]) -> Places:
    """Number the patients; a radiograph without one is a patient of its own."""
    names = [(name, -1) if name else ("", place) for place, name in enumerate(patients)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.intp)
