"""An evaluation as text for a terminal and as CSV for everything else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation.background import words_of
from cxrsweep.engine.evaluation.metrics import METRICS, ODDS
from cxrsweep.engine.evaluation.results import (
    ChosenThreshold,
    Estimate,
    Evaluation,
    Figures,
    LabelEvaluation,
    Met,
)
from cxrsweep.engine.runs.run_folder import replaced
from cxrsweep.engine.runs.table import csv_text, guarded

COLUMNS = [
    *("label", "column", "part", "metric"),
    *("value", "low", "high", "n", "positives", "groups"),
]
_WORDS = {"auc": "AUC", "ppv": "PPV", "npv": "NPV", "brier": "Brier score", "ece": "ECE"}
_FEW = ("auc", "sensitivity", "specificity")
_WIDTH = 110


def described_evaluation(found: Evaluation) -> str:
    """Everything but the curves, for a person."""
    tables = [_whole_table(found)]
    for column in next(iter(found.labels.values())).by:
        tables.append(_part_table(found, column))
    tables.append(_baseline_table(found))
    lines = [*_met_lines(found.met), _resampling(found), *_label_lines(found)]
    words = [f"{label}: {line}" for label, of in found.labels.items() for line in _notes(of)]
    words += [_background_words(label, of) for label, of in found.labels.items() if of.background]
    return "\n".join([*lines, _rendered(tables), *words, f"use: {found.use}"])


def _met_lines(met: Met) -> list[str]:
    failed = ", ".join(f"{code} {count}" for code, count in sorted(met.failed.items()))
    lines = [
        f"{met.rows} rows of the run, {met.lines} lines of labels: {met.scored} with score and"
        f" label, {sum(met.failed.values())} labelled but failed{f' ({failed})' if failed else ''}"
    ]
    for count, what, examples in (
        (met.rows_alone, "rows without a label", met.rows_alone_examples),
        (met.lines_alone, "labels without a row", met.lines_alone_examples),
    ):
        if count:
            lines.append(f"  {count} {what}, such as {', '.join(map(repr, examples))}")
    return lines


def _resampling(found: Evaluation) -> str:
    if found.group is None:
        who = "radiographs, each as if its patient had no other: give --group if that is not so"
    else:
        who = f"the {found.groups} patients of the column {found.group!r}"
        if found.met.without_patient:
            who += f" ({found.met.without_patient} radiographs without one count as one each)"
    return f"95 % intervals from {found.resamples} resamples of {who}"


def _label_lines(found: Evaluation) -> Iterator[str]:
    for label, of in found.labels.items():
        yield (
            f"  {label:<12} {of.positives} of {of.n} positive ({of.truth}), {of.groups} patients;"
            f" decision: {of.decision}"
        )


def _notes(of: LabelEvaluation) -> Iterator[str]:
    if of.unknown:
        yield f"{of.unknown} scored radiographs have no known truth and are left out"
    if of.failed_positives or of.failed_negatives:
        yield (
            f"{of.failed_positives} positives and {of.failed_negatives} negatives failed and are"
            " in no figure"
        )


def _whole_table(found: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for label in found.labels:
        table.add_column(label, justify="right")
    for metric in METRICS:
        cells = [_cell(metric, getattr(of, metric)) for of in found.labels.values()]
        table.add_row(_word(metric), *cells)
    cells = [
        "{true_positive} / {false_positive} / {false_negative} / {true_negative}".format(
            **of.confusion.model_dump()
        )
        for of in found.labels.values()
    ]
    table.add_row("TP / FP / FN / TN", *cells)
    return table


def _part_table(found: Evaluation, column: str) -> Table:
    table = Table("label", column, box=box.SIMPLE_HEAD)
    for name in ("positive", *map(_word, _FEW)):
        table.add_column(name, justify="right")
    for label, of in found.labels.items():
        for part, figures in of.by[column].items():
            cells = [_cell(metric, getattr(figures, metric)) for metric in _FEW]
            table.add_row(label, part, f"{figures.positives} of {figures.n}", *cells)
    return table


def _baseline_table(found: Evaluation) -> Table:
    table = Table("AUC of", box=box.SIMPLE_HEAD)
    rows: dict[str, list[str]] = {"score": [], "score without lungs": []}
    for of in found.labels.values():
        rows["score"].append(_cell("auc", of.auc))
        if of.background:
            rows["score without lungs"].append(_cell("auc", of.background.background))
        for name, baseline in of.baselines.items():
            rows.setdefault(name.replace("_", " "), []).append(_cell("auc", baseline.auc))
    for label in found.labels:
        table.add_column(label, justify="right")
    for name, cells in rows.items():
        if cells:
            table.add_row(name, *cells)
    return table


def _background_words(label: str, of: LabelEvaluation) -> str:
    assert of.background
    left = of.background.left_out
    without = f" ({left} radiographs without a lung box are left out)" if left else ""
    return words_of(label, of.background) + without


def _rendered(tables: list[Table]) -> str:
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    for table in tables:
        console.print(table)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines() if line.strip())


def _word(metric: str) -> str:
    return _WORDS.get(metric, metric.replace("_", " "))


def _cell(metric: str, estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    form = ".3g" if metric == ODDS else ".3f"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{form}}"
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"


def write_csv(path: Path, found: Evaluation) -> None:
    """Write a line per label, subgroup and metric; baselines and the background probe too.

    Raises:
        EvaluationError: the file cannot be written.
    """
    try:
        with replaced(path) as stream:
            stream.write(csv_text([COLUMNS]))
            for label, of in found.labels.items():
                stream.write(csv_text(_csv_rows(label, of)))
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror}") from error


def _csv_rows(label: str, of: LabelEvaluation) -> Iterator[list[str]]:
    parts: list[tuple[str, str, Figures]] = [("", "", of)]
    parts += [(column, part, f) for column, all_of in of.by.items() for part, f in all_of.items()]
    for column, part, figures in parts:
        counts = [str(n) for n in (figures.n, figures.positives, figures.groups)]
        for metric in METRICS:
            cells = _numbers(getattr(figures, metric))
            yield [label, guarded(column), guarded(part), metric, *cells, *counts]
    for name, baseline in of.baselines.items():
        cells = _numbers(baseline.auc)
        yield [label, "baseline", name, "auc", *cells, str(baseline.n), "", ""]
    if of.background:
        cells = _numbers(of.background.background)
        yield [label, "background", "", "auc", *cells, str(of.background.n), "", ""]


def _numbers(estimate: Estimate | None) -> list[str]:
    values = (estimate.value, estimate.low, estimate.high) if estimate else (None,) * 3
    return ["" if value is None else f"{value:.6g}" for value in values]


def described_threshold(found: ChosenThreshold, use: str) -> str:
    """What was chosen and what it costs."""
    flagged = found.flagged_per_10000
    return "\n".join(
        [
            f"{found.label}: {found.asked}, on {found.n} radiographs of {found.groups} patients,"
            f" {found.positives} positive",
            f"  threshold          {_fine(found.threshold)}",
            f"  sensitivity        {_cell('', found.sensitivity)}",
            f"  specificity        {_cell('', found.specificity)}",
            f"at a prevalence of {found.prevalence:g}",
            f"  PPV                {_cell('', found.ppv)}",
            f"  flagged of 10,000  {flagged.value:.0f} ({flagged.low:.0f} to {flagged.high:.0f})"
            if flagged.low is not None and flagged.high is not None
            else f"  flagged of 10,000  {flagged.value:.0f}",
            "chosen and measured on the same radiographs: evaluate it on others",
            f"use: {use}",
        ]
    )


def _fine(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.7f}"
    return f"{estimate.value:.7f} ({estimate.low:.7f} to {estimate.high:.7f})"
