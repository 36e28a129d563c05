from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from simulated_scores import ALONE, GROUPED

from cxrsweep.engine import Bundle, open_bundle, sweep
from cxrsweep.engine.bundle import file_sha256
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation.metrics import Scored
from cxrsweep.engine.evaluation.thresholds import Target, chosen_threshold

if TYPE_CHECKING:
    from conftest import Known

TARGETS = [
    Target("sensitivity", 0.95, 0.05),
    Target("specificity", 0.9, 0.05),
    Target("ppv", 0.2, 0.05),
    Target("flagged", 1500, 0.05),
]


def rates_at(cases: Scored, limit: float, prevalence: float) -> dict[str, float]:
    """By counting."""
    flagged = cases.scores >= limit
    sensitivity = float(flagged[cases.positive].mean())
    specificity = float((~flagged[~cases.positive]).mean())
    share = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": prevalence * sensitivity / share,
        "flagged": 10_000 * share,
    }


def chosen_by_trying(cases: Scored, target: Target) -> float:
    """Every score as a threshold: of those that reach the target, highest or lowest."""

    def reaches(limit: float) -> bool:
        value = rates_at(cases, limit, target.prevalence)[target.kind]
        slack = 1e-9
        is_most = target.kind == "flagged"
        return value <= target.value + slack if is_most else value >= target.value - slack

    reached = [limit for limit in np.unique(cases.scores) if reaches(limit)]
    return float(max(reached) if target.kind == "sensitivity" else min(reached))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
@pytest.mark.parametrize("decimals", [6, 2])
def test_threshold_is_the_one_that_trying_all_finds(target: Target, decimals: int) -> None:
    drawn = ALONE.drawn(np.random.default_rng(0))
    cases = Scored(drawn.positive, np.round(drawn.scores, decimals), drawn.flagged, drawn.patients)
    found = chosen_threshold(cases, "covid", target, resamples=200)
    best = chosen_by_trying(cases, target)
    assert found.threshold.value == pytest.approx(best - 5e-7, abs=1e-12)
    wanted = rates_at(cases, best, target.prevalence)
    assert found.sensitivity.value == pytest.approx(wanted["sensitivity"])
    assert found.specificity.value == pytest.approx(wanted["specificity"])
    assert found.ppv.value == pytest.approx(wanted["ppv"])
    assert found.flagged_per_10000.value == pytest.approx(wanted["flagged"])
    for name in ("threshold", "sensitivity", "specificity", "ppv", "flagged_per_10000"):
        estimate = getattr(found, name)
        assert estimate.low <= estimate.value <= estimate.high, name
        assert estimate.low < estimate.high, name


def test_nineteen_of_twenty_is_95_percent() -> None:
    scores = np.r_[np.linspace(0.5, 0.9, 20), np.linspace(0.1, 0.6, 20)]
    cases = Scored(np.arange(40) < 20, np.round(scores, 6), scores > 0.5, np.arange(40))
    found = chosen_threshold(cases, "x", Target("sensitivity", 0.95, 0.5), resamples=100)
    assert found.sensitivity.value == 0.95


def test_interval_of_the_threshold_holds_the_true_one() -> None:
    # At a threshold of the true 10 % quantile of the positives, the sensitivity is 0.9.
    generator, inside = np.random.default_rng(1), 0
    place = GROUPED.shift - 1.2815515655446004
    true = 1 / (1 + np.exp(-GROUPED.shift * (place - GROUPED.threshold)))
    for number in range(60):
        cases = GROUPED.drawn(generator)
        target = Target("sensitivity", 0.9, 0.3)
        found = chosen_threshold(cases, "x", target, resamples=100, seed=number).threshold
        inside += found.low <= true <= found.high
    assert inside >= 50  # of 60; at 95 %, fewer than 51 have a chance below 1 in 1,000


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            Target("ppv", 0.99, 0.5),
            "no threshold of x reaches: PPV of at least 0.99.*is 0.95",
        ),
        (Target("flagged", 1, 0.5), "no threshold.*at most 1 flagged of 10,000.*the best is 250"),
    ],
)
def test_targets_out_of_reach_are_told(target: Target, message: str) -> None:
    # The highest score is a negative's, 1 of 20: where no more are flagged, so are 0.05 / 2.
    positive = np.arange(40) < 20
    scores = np.where(positive, 0.8, 0.1)
    scores[20] = 0.9
    with pytest.raises(EvaluationError, match=message):
        chosen_threshold(Scored(positive, scores, positive, np.arange(40)), "x", target, 100)


def test_a_sample_without_false_positives_does_not_promise_a_ppv() -> None:
    # 40 negatives, none of them flagged: up to 9 % of them may be, and at a prevalence of 1 % these
    # outnumber the positives.
    positive = np.arange(80) < 40
    scores = np.where(positive, 0.8, 0.1)
    cases = Scored(positive, scores, positive, np.arange(80))
    found = chosen_threshold(cases, "x", Target("specificity", 0.9, 0.01), 200)
    assert found.specificity.value == found.ppv.value == 1
    low, high = found.specificity.low, found.sensitivity.high
    assert low is not None
    assert high is not None
    assert found.ppv.low is not None
    sensitivity = found.sensitivity.low or 0.0
    by_hand = 0.01 * sensitivity / (0.01 * sensitivity + 0.99 * (1 - low))
    assert found.ppv.low <= by_hand < 0.2
    flagged = found.flagged_per_10000.high
    assert flagged is not None
    assert flagged >= 10_000 * (0.01 * high + 0.99 * (1 - low)) - 1e-6


def test_one_kind_of_truth_has_no_threshold() -> None:
    cases = Scored(np.ones(3, bool), np.array([0.1, 0.2, 0.3]), np.ones(3, bool), np.arange(3))
    with pytest.raises(EvaluationError, match="needs positives and negatives; 3 of 3"):
        chosen_threshold(cases, "x", TARGETS[0], 100)


def threshold_words(known: Known, output: Path, *more: object) -> list[str]:
    words = ["threshold", known.run, known.labels, "--label", "border", "-b", known.bundle.folder]
    return [str(word) for word in (*words, "-o", output, "--resamples", 100, *more)]


def test_a_sweep_with_the_decided_bundle_flags_what_was_counted(
    known: Known, tmp_path: Path
) -> None:
    output, file = tmp_path / "decided", tmp_path / "t.json"
    more = ["--sensitivity", 0.9, "--group", "patient", "--prevalence", 0.1, "--json", file]
    done = CliRunner().invoke(cxrsweep, threshold_words(known, output, *more))
    assert done.exit_code == 0, done.output
    assert "sensitivity of at least 0.9" in done.stdout
    assert "at a prevalence of 0.1" in done.stdout
    assert "never a diagnosis" in done.stdout
    result = json.loads(file.read_text())
    bundle = open_bundle(output)  # every hash holds
    limit = bundle.recipe.thresholds["border"]
    assert limit == result["threshold"]["value"]
    for name in bundle.manifest.files:
        assert file_sha256(output / name) == file_sha256(known.bundle.folder / name)
    sweep([known.archive], bundle, tmp_path / "run")
    with (tmp_path / "run" / "results.csv").open(newline="") as stream:
        rows = {row["radiograph"].removeprefix("'"): row for row in csv.DictReader(stream)}
    with known.labels.open(newline="") as stream:
        positives = [line["image"] for line in csv.DictReader(stream) if line["border"] == "1"]
    flags = [rows[name]["border_flag"] for name in positives if rows[name]["status"] == "ok"]
    assert flags.count("1") / len(flags) == pytest.approx(result["sensitivity"]["value"])
    for row in rows.values():
        if row["status"] == "ok":
            assert row["border_flag"] == str(int(float(row["border"]) >= limit))
    assert "lungs_flag" not in rows["000.png"]


def test_a_second_threshold_joins_the_first_and_plans_are_kept(
    known: Known, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = threshold_words(known, first, "--specificity", 0.8)
    assert CliRunner().invoke(cxrsweep, words).exit_code == 0
    (first / "plans").mkdir()
    (first / "plans" / "key.plan").write_bytes(b"plan")
    words = ["threshold", known.run, known.labels, "--label", "lungs=finding:lungs"]
    words += ["--flagged", 5000, "-b", first, "-o", second, "--resamples", 100]
    done = CliRunner().invoke(cxrsweep, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert set(open_bundle(second).recipe.thresholds) == {"border", "lungs"}
    assert (second / "plans" / "key.plan").read_bytes() == b"plan"


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ([], 2, "give one of --sensitivity"),
        (["--sensitivity", "0.9", "--ppv", "0.5"], 2, "give one of --sensitivity"),
        (["--sensitivity", "0.9", "--label", "x"], 1, "--label names 'x'"),
    ],
)
def test_what_was_asked_wrongly_is_told(
    known: Known, tmp_path: Path, more: list[str], code: int, message: str
) -> None:
    done = CliRunner().invoke(cxrsweep, threshold_words(known, tmp_path / "new", *more))
    assert done.exit_code == code
    assert message in done.stderr
    assert not (tmp_path / "new").exists()


def test_other_bundles_and_folders_that_exist_are_refused(
    known: Known, light_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    words = threshold_words(known, tmp_path / "there", "--sensitivity", 0.9)
    assert "exists; give -o a new folder" in CliRunner().invoke(cxrsweep, words).stderr
    words = threshold_words(known, tmp_path / "new", "--sensitivity", 0.9)
    words[words.index("-b") + 1] = str(light_bundle.folder)
    assert "but with another bundle" in CliRunner().invoke(cxrsweep, words).stderr
