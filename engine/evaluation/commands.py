"""The commands `cxrsweep evaluate` and `cxrsweep threshold`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cxrsweep.engine.evaluation import RESAMPLES
from cxrsweep.engine.json_file import json_option, refuse_overwriting, writable

Command = Callable[..., Any]


def asked_command(command: Command) -> Command:
    """What both commands ask: a run, its labels, who is a patient, and the bootstrap."""
    parts = (
        click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False)),
        click.argument("labels", type=click.Path(path_type=Path, exists=True, dir_okay=False)),
        click.option(
            "--id-column", metavar="NAME",
            help="Column of LABELS with the ids of results.csv.  [default: radiograph, image, path,"
            " file, filename or location]",
        ),
        click.option(
            "--group", metavar="NAME",
            help="Column of the patient; intervals resample patients.  [default: every radiograph]",
        ),
        click.option(
            "--resamples", type=click.IntRange(100, 100_000), default=RESAMPLES,
            help="Of the bootstrap.",
        ),
        click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the bootstrap."),
        json_option,
    )  # fmt: skip
    for part in reversed(parts):
        command = part(command)
    return command


@click.command()
@asked_command
@click.option(
    "--label", "label_words", multiple=True, metavar="NAME[=COLUMN[:VALUE]]",
    help="Where the truth of a label stands: a column of 0 and 1, or a value that means positive;"
    " repeatable.  [default: columns named like labels]",
)  # fmt: skip
@click.option("--by", default="", metavar="NAMES", help="Columns of subgroups, with commas.")
@click.option(
    "--thumbnails", is_flag=True,
    help="Also a linear model on 8 x 8 thumbnails, decoded from the archive.",
)  # fmt: skip
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), callback=writable,
    help="Also write CSV.",
)  # fmt: skip
def evaluate(
    run: Path,
    labels: Path,
    label_words: tuple[str, ...],
    by: str,
    thumbnails: bool,
    csv_file: Path | None,
    json_file: Path | None,
    **asked: Any,
) -> None:
    """Compare the scores of RUN with the truth in LABELS, a CSV.

    For each label: AUC, average precision, decisions, Brier score and calibration with 95 %
    intervals; the same by subgroup; what trivial baselines reach; and, where the bundle has the
    background probe, whether the label can be told without lungs. For research, not for diagnosis.

    \b
    Example:
        cxrsweep evaluate run labels.csv --group patient --by site,view,sex
        cxrsweep evaluate run labels.csv --label covid=finding:covid --json evaluation.json
    """
    from cxrsweep.engine.evaluation.cases import joined_cases, recipe_of_run
    from cxrsweep.engine.evaluation.evaluation import evaluated
    from cxrsweep.engine.evaluation.report import described_evaluation, write_csv
    from cxrsweep.engine.evaluation.results import write_result
    from cxrsweep.engine.evaluation.truth import read_truth

    refuse_overwriting([csv_file, json_file], [labels], run)
    columns = _columns(label_words, asked, [name for name in by.split(",") if name])
    found, truth = read_truth(labels, recipe_of_run(run).classifier.labels, columns)
    cases = joined_cases(run, labels, truth)
    small = _thumbnails(run, cases.radiographs) if thumbnails else None
    result = evaluated(cases, found, columns, small, asked["resamples"], asked["seed"])
    click.echo(described_evaluation(result))
    if csv_file:
        write_csv(csv_file, result)
    if json_file:
        write_result(json_file, result)


@click.command()
@asked_command
@click.option(
    "--label", "label_word", required=True, metavar="NAME[=COLUMN[:VALUE]]",
    help="The label, and where its truth stands if not in a column of its name.",
)  # fmt: skip
@click.option("--sensitivity", type=click.FloatRange(0, 1, min_open=True), help="At least this.")
@click.option("--specificity", type=click.FloatRange(0, 1, min_open=True), help="At least this.")
@click.option("--ppv", type=click.FloatRange(0, 1, min_open=True), help="At least this.")
@click.option(
    "--flagged", type=click.FloatRange(0, 10_000, min_open=True),
    help="At most so many cases to read of 10,000.",
)  # fmt: skip
@click.option(
    "--prevalence", type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of positives where the bundle will be used.  [default: that of LABELS]",
)  # fmt: skip
@click.option(
    "-b", "--bundle", required=True, help="Bundle that scored RUN.",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)  # fmt: skip
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="New bundle: a copy with the threshold in it.",
)  # fmt: skip
def threshold(
    run: Path,
    labels: Path,
    label_word: str,
    bundle: Path,
    output: Path,
    json_file: Path | None,
    **asked: Any,
) -> None:
    """Choose the decision threshold of a label and write it into a copy of the bundle.

    Give one of --sensitivity, --specificity, --ppv and --flagged. A sweep with the new bundle
    writes the column LABEL_flag. For research, not for diagnosis.

    \b
    Example:
        cxrsweep threshold run labels.csv --label covid --sensitivity 0.95 -b bundle -o decided
        cxrsweep threshold run labels.csv --label covid --ppv 0.5 --prevalence 0.01 -b bundle -o new
    """
    from cxrsweep.engine.bundle import open_bundle
    from cxrsweep.engine.evaluation import decided_bundle, thresholds
    from cxrsweep.engine.evaluation.cases import joined_cases
    from cxrsweep.engine.evaluation.evaluation import scored_of
    from cxrsweep.engine.evaluation.report import described_threshold
    from cxrsweep.engine.evaluation.results import write_result
    from cxrsweep.engine.evaluation.truth import read_truth

    kind, value = _one_target(asked)
    refuse_overwriting([json_file], [labels], run)
    decided_bundle.refuse_existing(output)
    opened = open_bundle(bundle)
    decided_bundle.check_same_scores(run, opened)
    columns = _columns((label_word,), asked, [])
    (column,), truth = read_truth(labels, opened.labels, columns)
    scored, _ = scored_of(joined_cases(run, labels, truth), column.label)
    target = thresholds.Target(kind, value, asked["prevalence"] or float(scored.positive.mean()))
    draws = (asked["resamples"], asked["seed"])
    found = thresholds.chosen_threshold(scored, column.label, target, *draws)
    assert found.threshold.value is not None
    decided_bundle.write_decided_bundle(opened, column.label, found.threshold.value, output)
    click.echo(described_threshold(found, opened.recipe.intended_use))
    click.echo(f"bundle       {output}, which flags {column.label} from there on")
    if json_file:
        write_result(json_file, found)


def _one_target(asked: dict[str, Any]) -> tuple[Any, float]:
    kinds = ("sensitivity", "specificity", "ppv", "flagged")
    given = [kind for kind in kinds if asked[kind] is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --sensitivity, --specificity, --ppv and --flagged")
    return given[0], asked[given[0]]


def _columns(label_words: tuple[str, ...], asked: dict[str, Any], by: list[str]) -> Any:
    from cxrsweep.engine.evaluation.truth import TruthColumns, label_column

    words = [label_column(word) for word in label_words]
    return TruthColumns(words, asked["id_column"], asked["group"], by)


def _thumbnails(run: Path, radiographs: list[str]) -> Any:
    from cxrsweep.engine.evaluation.thumbnails import thumbnails_of

    click.echo(f"decoding {len(radiographs)} thumbnails", err=True)
    return thumbnails_of(run, radiographs)
