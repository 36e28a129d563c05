"""The page: a finished run in, one HTML file that needs nothing else out."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cxrsweep.engine.bundle import file_sha256
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.evaluation.background import words_of
from cxrsweep.engine.evaluation.cases import recipe_of_run
from cxrsweep.engine.evaluation.metrics import METRICS
from cxrsweep.engine.evaluation.results import Estimate, Evaluation
from cxrsweep.engine.failures import REMEDIES, FailureCode, Refused
from cxrsweep.engine.hardware.machine import package_versions
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.report.drawings import (
    LabelPart,
    evaluation_parts,
    label_part,
    lung_chart,
    pace_charts,
    size_classes,
)
from cxrsweep.engine.report.pace import Pace, pace_of
from cxrsweep.engine.report.pictures import boxed, encoded, greys_of
from cxrsweep.engine.report.tally import Row, Tally, tally_of
from cxrsweep.engine.runs.run_folder import read_record, replaced, result_rows

_HERE = "cxrsweep.engine.report"
_LONGEST = 240  # pixels of a picture's longer side
_IN_GROUP = 8
_MOST_PICTURES = 160  # beside the failed ones; about 12 kB each
_METRIC_WORDS = {"auc": "AUC", "ppv": "PPV", "npv": "NPV", "ece": "ECE"}
FLAG_WORDS = {
    "no_lung": "no lung was found, so the whole radiograph was scored: look at it",
    "flat_rest": "the last eighth of the file is filler, so its end was lost: fetch it again",
    "inverted": "it is dark where bone should be bright: look at it, and invert it if that is so",
    "clipped": "over 5 % of it is white: a frame, or lost grey levels: look at it",
}


@dataclass(frozen=True)
class Group:
    """Pictures that belong together.

    Attributes:
        title: of them.
        label: whose score stands below each; empty of failed ones.
        rows: which.
    """

    title: str
    label: str
    rows: list[Row]


@dataclass(frozen=True)
class Pictures:
    """Pictures of a page.

    Attributes:
        groups: in the order of the page.
        sources: ordinal -> data URI.
        reasons: ordinal -> why there is no picture.
    """

    groups: list[Group]
    sources: dict[int, str]
    reasons: dict[int, str]


def write_page(
    path: Path, run: Path, evaluation: Evaluation | None = None, *, has_pictures: bool = False
) -> None:
    """Write the page about a run; nothing but its files and the evaluation decides a byte of it.

    Args:
        path: of the page; with pictures, for its owner's eyes alone.
        run: folder of a finished run.
        evaluation: of its scores, or None.
        has_pictures: show radiographs; their archive must be where it was.

    Raises:
        RunError: the run is not finished, or no radiograph that was to be shown can be read.
        TableError: results.csv or throughput.csv is damaged.
    """
    recipe = recipe_of_run(run)
    kept = max(1, min(_IN_GROUP, _MOST_PICTURES // (2 * len(recipe.classifier.labels))))
    tally = tally_of(recipe, result_rows(run, recipe), kept)
    pictures = _pictures(run, tally) if has_pictures else None
    environment = Environment(
        loader=PackageLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"estimate": _estimate, "share": _share, "metric": _metric}
    style = files(_HERE).joinpath("templates/page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = environment.get_template("page.html").stream(
        style=Markup(style),  # a file of this package
        style_digest=digest,
        version=package_versions(("cxrsweep",))["cxrsweep"],
        results_sha256=file_sha256(run / "results.csv"),
        pictures=pictures,
        **_facts(run, recipe, tally, pace_of(run)),
        **_evaluated(evaluation),
    )
    with replaced(path, is_private=has_pictures) as stream:
        stream.writelines(page)


def _facts(run: Path, recipe: Recipe, tally: Tally, pace: Pace) -> dict[str, Any]:
    parts: list[LabelPart] = [label_part(name, of) for name, of in tally.labels.items()]
    return {
        "record": read_record(run),
        "recipe": recipe,
        "tally": tally,
        "remedies": {code: REMEDIES[FailureCode(code)] for code in tally.failures},
        "flag_words": FLAG_WORDS,
        "labels": parts,
        "sizes": size_classes(tally),
        "lung_chart": lung_chart(tally) if recipe.segmenter and tally.scored else None,
        "pace": pace,
        "pace_charts": pace_charts(pace),
    }


def _evaluated(evaluation: Evaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return {"evaluation": None}
    return {
        "evaluation": evaluation,
        "metrics": METRICS,
        "curves": evaluation_parts(evaluation),
        "probe_words": {
            label: words_of(label, of.background)
            for label, of in evaluation.labels.items()
            if of.background
        },
    }


def _pictures(run: Path, tally: Tally) -> Pictures:
    groups = []
    for label, of in list(tally.labels.items())[:_MOST_PICTURES]:
        groups.append(Group(f"Highest scores of {label}", label, of.top.rows()))
        title = f"Scores of {label} nearest to {of.limit:g}"
        groups.append(Group(title, label, of.borderline.rows()))
    failed = [row for code in sorted(tally.examples) for row in tally.examples[code]]
    groups.append(Group("Failed", "", failed))
    groups = [group for group in groups if group.rows]
    sources: dict[int, str] = {}
    reasons: dict[int, str] = {}
    wanted = {row.ordinal: row for group in groups for row in group.rows}
    for row, grey in greys_of(run, wanted.values()):
        if isinstance(grey, Refused):
            reasons[row.ordinal] = f"{grey.code}: {grey.reason}"
        else:
            content = encoded(".jpg", boxed(grey, row, _LONGEST))
            sources[row.ordinal] = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    if tally.scored and not sources:
        archive = read_record(run)["archives"][0]
        raise RunError(
            f"no radiograph of {run} can be read where it was swept ({archive});"
            " bring the archive back, or leave out --images"
        )
    return Pictures(groups, sources, reasons)


def _metric(name: str) -> str:
    return _METRIC_WORDS.get(name, name.replace("_", " ").capitalize())


def _estimate(found: Estimate | None) -> str:
    if found is None or found.value is None:
        return "not defined"
    form = ".3f" if abs(found.value) < 10 else ",.0f"  # only odds ratios are larger
    if found.low is None or found.high is None:
        return f"{found.value:{form}}"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "0 %"
