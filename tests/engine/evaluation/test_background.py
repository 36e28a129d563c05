from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxrsweep.engine.evaluation.background import background_of, verdict_of, words_of
from cxrsweep.engine.evaluation.cases import joined_cases
from cxrsweep.engine.evaluation.evaluation import evaluated
from cxrsweep.engine.evaluation.metrics import Scored
from cxrsweep.engine.evaluation.results import Estimate
from cxrsweep.engine.evaluation.truth import TruthColumns, read_truth

if TYPE_CHECKING:
    from conftest import Known


def test_alarm_for_a_classifier_of_the_border_and_none_for_one_of_the_lungs(known: Known) -> None:
    columns = TruthColumns(group="patient")
    found, truth = read_truth(known.labels, known.bundle.labels, columns)
    cases = joined_cases(known.run, known.labels, truth)
    result = evaluated(cases, found, columns, resamples=300)
    border, lungs = (result.labels[name].background for name in ("border", "lungs"))
    assert border is not None
    assert lungs is not None
    for label in ("border", "lungs"):
        assert result.labels[label].auc.value > 0.8  # both work, and no figure of theirs tells
    assert border.verdict == "told without lungs"
    assert "WARNING: border can be told without lungs" in words_of("border", border)
    assert lungs.verdict == "not told without lungs"
    assert words_of("lungs", lungs) == "lungs cannot be told without lungs."
    with (known.run / "results.csv").open(newline="") as stream:
        scores = {row["radiograph"]: row["border_background"] for row in csv.DictReader(stream)}
    with known.labels.open(newline="") as stream:
        lines = [line for line in csv.DictReader(stream) if "o" not in line["image"]]
    # Independent of the join: all but the odd name, the broken and the missing file.
    wanted = roc_auc_score(
        [int(line["border"]) for line in lines], [float(scores[line["image"]]) for line in lines]
    )
    assert border.background.value == pytest.approx(wanted, abs=0.01)  # one radiograph of 240


@pytest.mark.parametrize(
    ("auc", "verdict"),
    [
        ((0.9, 0.8, 0.95), "told without lungs"),
        ((0.7, 0.45, 0.9), "cannot tell"),
        ((0.1, 0.05, 0.2), "told without lungs"),  # the other way round is told as well
        ((0.5, 0.45, 0.55), "not told without lungs"),
        ((0.55, 0.51, 0.59), "not told without lungs"),
        ((0.5, 0.3, 0.7), "cannot tell"),
        ((0.9, None, None), "cannot tell"),
    ],
)
def test_verdict(auc: tuple[float, float, float], verdict: str) -> None:
    assert verdict_of(Estimate(value=auc[0], low=auc[1], high=auc[2])) == verdict


def test_radiographs_without_a_lung_box_are_left_out() -> None:
    # Where no lung is found nothing is removed: these would all but prove a shortcut.
    generator = np.random.default_rng(0)
    positive = np.arange(200) % 2 == 0
    scores = np.where(positive, 0.9, 0.1)
    background = np.where(np.arange(200) < 100, scores, generator.random(200))
    cases = Scored(positive, scores, positive, np.arange(200))
    found = background_of(cases, background, np.arange(200) >= 100, 200, 0)
    assert (found.n, found.left_out) == (100, 100)
    assert found.background.value == pytest.approx(
        roc_auc_score(positive[100:], background[100:]), abs=1e-12
    )
    nothing = background_of(cases, background, np.zeros(200, bool), 200, 0)
    assert nothing.verdict == "cannot tell"
