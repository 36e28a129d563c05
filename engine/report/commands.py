"""The commands `cxrsweep report` and `cxrsweep overlay`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cxrsweep.engine.evaluation.commands import evaluate
from cxrsweep.engine.json_file import json_option, refuse_overwriting, writable

_OF_EVALUATE = ("label_words", "id_column", "group", "by", "thumbnails", "resamples", "seed")
_NOT_ALL = 3


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument(
    "labels", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), callback=writable,
    help="The page.  [default: report.html in RUN]",
)  # fmt: skip
@click.option(
    "--images", is_flag=True,
    help="Also small pictures of radiographs, decoded from the archive: the page is then as private"
    " as they are.",
)  # fmt: skip
@click.pass_context
def report(
    context: click.Context,
    /,
    run: Path,
    labels: Path | None,
    output: Path | None,
    images: bool,
    **asked: Any,
) -> None:
    """Write one HTML page about RUN: counts, failures, scores, pace, input.

    With LABELS, a CSV with the truth, also the figures and curves of `cxrsweep evaluate`, whose
    options it takes. The page needs no network and no script. For research, not for diagnosis.

    \b
    Example:
        cxrsweep report run
        cxrsweep report run labels.csv --group patient -o report.html --images
    """
    from cxrsweep.engine.report.page import write_page

    refuse_overwriting([output], [labels] if labels else [], run)
    evaluation = _evaluation(run, labels, asked) if labels else None
    if labels is None:
        given = [name for name in asked if _is_given(context, name)]
        if given:
            raise click.UsageError(f"--{given[0].replace('_', '-')} needs LABELS")
    path = output or run / "report.html"
    write_page(path, run, evaluation, has_pictures=images)
    click.echo(f"report       {path}")


report.params += [option for option in evaluate.params if option.name in _OF_EVALUATE]


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _evaluation(run: Path, labels: Path, asked: dict[str, Any]) -> Any:
    from cxrsweep.engine.evaluation.cases import joined_cases, recipe_of_run
    from cxrsweep.engine.evaluation.evaluation import evaluated
    from cxrsweep.engine.evaluation.thumbnails import thumbnails_of
    from cxrsweep.engine.evaluation.truth import TruthColumns, label_column, read_truth

    by = [name for name in asked["by"].split(",") if name]
    words = [label_column(word) for word in asked["label_words"]]
    columns = TruthColumns(words, asked["id_column"], asked["group"], by)
    found, truth = read_truth(labels, recipe_of_run(run).classifier.labels, columns)
    cases = joined_cases(run, labels, truth)
    small = thumbnails_of(run, cases.radiographs) if asked["thumbnails"] else None
    return evaluated(cases, found, columns, small, asked["resamples"], asked["seed"])


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--top", type=click.IntRange(1, 9999), default=50, help="Highest scores to draw.")
@click.option("--label", metavar="NAME", help="Whose scores.  [default: the only label]")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="New or empty folder for the PNG files.",
)  # fmt: skip
@json_option
def overlay(
    run: Path, top: int, label: str | None, output: Path, json_file: Path | None
) -> None:  # fmt: skip
    """Draw the lung box into the radiographs of RUN with the highest scores.

    The archive must be where it was; a radiograph that cannot be read any more is a line of what
    is printed. The lung outline is not drawn: a bundle keeps the box alone.

    Exit codes: 0 all drawn, 3 some could not be, 1 none, 2 usage.

    \b
    Example:
        cxrsweep overlay run --top 20 --label covid -o overlays
    """
    from cxrsweep.engine.report.overlays import label_of, overlays

    refuse_overwriting([json_file], run=run)
    label = label_of(run, label)
    done = sorted(overlays(run, label, top, output), key=lambda overlay: overlay.place)
    for made in done:
        note = f"  {made.note}" if made.note else ""
        click.echo(f"  {made.place:>4}  {label} {made.score:.4f}  {made.radiograph!r}{note}")
    drawn = sum(1 for made in done if made.file)
    click.echo(f"{drawn} of {len(done)} radiographs drawn, lung box alone: {output}")
    if json_file:
        json_file.write_text(json.dumps([asdict(made) for made in done], indent=2) + "\n")
    if drawn < len(done):
        raise click.exceptions.Exit(_NOT_ALL if drawn else 1)
