from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from simulated_scores import ALONE, GROUPED, World

from cxrsweep.engine.evaluation import intervals
from cxrsweep.engine.evaluation.intervals import auc_of, intervals_of, resampled
from cxrsweep.engine.evaluation.metrics import Floats, Scored

NAMES = ("auc", "sensitivity", "specificity", "ppv", "balanced_accuracy", "calibration_slope")


def coverage(world: World, sets: int, *, ignore_patients: bool = False) -> dict[str, float]:
    """Share of data sets whose interval holds the truth."""
    generator, truth = np.random.default_rng(1), world.truth()
    hits = dict.fromkeys(truth, 0)
    for number in range(sets):
        cases = world.drawn(generator)
        if ignore_patients:
            cases = replace(cases, patients=np.arange(len(cases.scores)))
        found = intervals_of(cases, resamples=200, seed=number)
        for name, value in truth.items():
            hits[name] += found[name].low <= value <= found[name].high
    return {name: count / sets for name, count in hits.items()}


@pytest.mark.parametrize("world", [ALONE, GROUPED], ids=["one radiograph each", "four each"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(world: World) -> None:
    # 150 sets: 93 to 97 %, each widened by two standard deviations of the binomial, 4.2 and 2.8 %.
    for name, share in coverage(world, 150).items():
        assert 0.888 <= share <= 0.998, name


@pytest.mark.slow
@pytest.mark.parametrize("world", [ALONE, GROUPED], ids=["one radiograph each", "four each"])
def test_intervals_hold_the_truth_in_93_to_97_percent_of_1000_sets(world: World) -> None:
    found = coverage(world, 1000)
    for name in NAMES:
        assert 0.93 <= found[name] <= 0.97, (name, found[name])


def test_intervals_that_ignore_patients_are_too_narrow() -> None:
    # Ten radiographs of a patient that are all but the same: without patients, far below 95 %.
    alike = World(patients=60, radiographs=10, prevalence=0.3, shift=1.5, likeness=0.95)
    assert coverage(alike, 40, ignore_patients=True)["sensitivity"] < 0.8
    assert coverage(alike, 40)["sensitivity"] > 0.85


def test_copies_of_radiographs_tell_nothing_new() -> None:
    cases = ALONE.drawn(np.random.default_rng(2))
    twice = Scored(*(np.concatenate([part, part]) for part in vars(cases).values()))
    once, again = intervals_of(cases, 300, 0), intervals_of(twice, 300, 0)
    for name in ("sensitivity", "brier", "calibration_slope"):
        # The same patients are drawn; sums of twice as many numbers round otherwise.
        assert again[name].low == pytest.approx(once[name].low, rel=1e-6), name
        assert again[name].high == pytest.approx(once[name].high, rel=1e-6), name


def test_a_share_of_single_radiographs_has_nearly_wilsons_interval() -> None:
    flagged = np.arange(200) < 160
    cases = Scored(np.ones(200, bool), flagged * 0.8 + 0.1, flagged, np.arange(200))
    found = intervals_of(cases, 4000, 0)["sensitivity"]
    wilson = binomtest(160, 200).proportion_ci(method="wilson")
    # 4,000 resamples know a standard error to 1.1 %, and Student's quantile is 1 % above 1.96.
    assert found.low == pytest.approx(wilson.low, abs=0.003)
    assert found.high == pytest.approx(wilson.high, abs=0.003)


def test_a_perfect_score_of_few_patients_is_no_certainty() -> None:
    positive = np.arange(40) < 10
    cases = Scored(positive, np.where(positive, 0.9, 0.1), positive, np.arange(40))
    found = intervals_of(cases, 200, 0)
    for name in ("auc", "sensitivity", "specificity", "ppv", "balanced_accuracy"):
        assert found[name].value == 1
        assert 0.5 < found[name].low < 0.95, name
        assert found[name].high == 1
    assert found["specificity"].low > found["sensitivity"].low  # 30 patients against 10
    odds = found["diagnostic_odds_ratio"]
    error = np.sqrt(1 / 10.5 + 1 / 30.5 + 2 / 0.5)  # Woolf's
    assert np.log(odds.high / odds.low) / 2 >= 1.96 * error


def test_one_patient_gives_no_interval() -> None:
    scores = np.array([0.9, 0.8, 0.3])
    cases = Scored(np.array([True, True, False]), scores, scores > 0.5, np.zeros(3, np.intp))
    found = intervals_of(cases, 100, 0)
    assert found["auc"].value == 1
    assert np.isnan([found["auc"].low, found["sensitivity"].high, found["brier"].low]).all()


def test_the_seed_decides_and_the_memory_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = GROUPED.drawn(np.random.default_rng(3))
    first = intervals_of(cases, 100, 5)
    assert intervals_of(cases, 100, 5) == first
    assert intervals_of(cases, 100, 6)["auc"] != first["auc"]
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 1)
    one_by_one = intervals_of(cases, 100, 5)
    for name, interval in first.items():
        # The same drawings; the last bits of sums depend on how many are added at once.
        assert one_by_one[name].low == pytest.approx(interval.low, rel=1e-9), name


def test_patients_are_drawn_whole() -> None:
    patients = np.array([0, 0, 0, 1, 2, 2])

    def seen(weights: Floats) -> Floats:
        assert (weights[:, 0] == weights[:, 1]).all()
        assert (weights[:, 0] == weights[:, 2]).all()
        assert (weights[:, 4] == weights[:, 5]).all()
        assert (weights[:, [0, 3, 4]].sum(1) == 3).all()
        return weights[:, 3]

    drawn = resampled(patients, 2000, 0, seen)
    # Each of three is drawn once on average; the standard error of 2,000 is 0.018.
    assert drawn.mean() == pytest.approx(1, abs=0.08)


def test_auc_of_other_scores_is_that_of_the_same_scores() -> None:
    cases = GROUPED.drawn(np.random.default_rng(4))
    assert auc_of(cases, cases.scores, 100, 1) == intervals_of(cases, 100, 1)["auc"]
