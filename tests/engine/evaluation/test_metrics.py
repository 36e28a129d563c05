from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from simulated_scores import ALONE
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression

from cxrsweep.engine.evaluation.metrics import METRICS, Scored, WeightedFigures, odds_ratio

EXACT = 1e-12  # the same sums in another order


def scored(truth: object, scores: object, flagged: object = None) -> Scored:
    positive, values = np.asarray(truth, bool), np.asarray(scores, np.float64)
    decided = values >= 0.5 if flagged is None else np.asarray(flagged, bool)
    return Scored(positive, values, decided, np.arange(len(positive)))


def figures_of(cases: Scored) -> dict[str, float]:
    found = WeightedFigures(cases).of(np.ones((1, len(cases.scores))))
    return {name: float(values[0]) for name, values in found.items()}


def expected_error(cases: Scored) -> float:
    """Calibration error by its definition, bin after bin."""
    total = 0.0
    for number in range(10):
        low, high = number / 10, (number + 1) / 10
        inside = (cases.scores > low) & (cases.scores <= high)
        if number == 0:
            inside |= cases.scores == 0
        if inside.any():
            gap = cases.positive[inside].mean() - cases.scores[inside].mean()
            total += inside.mean() * abs(gap)
    return total


def from_scikit_learn(cases: Scored) -> dict[str, float]:
    truth, scores, flagged = cases.positive, cases.scores, cases.flagged
    tn, fp, fn, tp = reference.confusion_matrix(truth, flagged, labels=[False, True]).ravel()
    x = logit(np.clip(scores, 5e-7, 1 - 5e-7))
    line = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
    line.fit(x[:, None], truth)
    return {
        "auc": reference.roc_auc_score(truth, scores),
        "average_precision": reference.average_precision_score(truth, scores),
        "sensitivity": reference.recall_score(truth, flagged),
        "specificity": reference.recall_score(truth, flagged, pos_label=False),
        "ppv": reference.precision_score(truth, flagged),
        "npv": reference.precision_score(truth, flagged, pos_label=False),
        "f_score": reference.f1_score(truth, flagged),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, flagged),
        "diagnostic_odds_ratio": tp * tn / (fp * fn),
        "brier": reference.brier_score_loss(truth, scores),
        "calibration_slope": float(line.coef_[0, 0]),
        # the score equation of an intercept beside a slope of 1
        "calibration_intercept": brentq(lambda a: (truth - expit(a + x)).sum(), -20, 20),
        "ece": expected_error(cases),
    }


@pytest.mark.parametrize("decimals", [6, 1], ids=["few ties", "many ties"])
def test_every_figure_equals_scikit_learns(decimals: int) -> None:
    drawn = ALONE.drawn(np.random.default_rng(3))
    cases = scored(drawn.positive, np.round(drawn.scores, decimals))
    found, wanted = figures_of(cases), from_scikit_learn(cases)
    assert set(found) == set(wanted) == set(METRICS)
    for name, value in wanted.items():
        # the fits stop at steps of 1e-6 whose error is the square, scikit-learn's a bit before
        tolerance = 1e-5 if name.startswith("calibration") else EXACT
        assert found[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name


def test_weights_count_as_repeated_radiographs() -> None:
    drawn = ALONE.drawn(np.random.default_rng(4))
    cases = scored(drawn.positive, np.round(drawn.scores, 2))
    times = np.random.default_rng(5).integers(0, 4, len(cases.scores))
    order = np.argsort(cases.scores, kind="stable")
    weighted = WeightedFigures(cases).of(times[order].astype(np.float64)[None])
    again = np.repeat(np.arange(len(times)), times)
    repeated = figures_of(scored(cases.positive[again], cases.scores[again]))
    for name, value in repeated.items():
        tolerance = 1e-9 if name.startswith("calibration") else EXACT  # steps of Newton's method
        assert weighted[name][0] == pytest.approx(value, rel=tolerance, abs=tolerance), name


def test_small_table_by_hand() -> None:
    # 3 of 4 positives and 1 of 5 negatives are flagged.
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0]
    flagged = [1, 1, 1, 0, 1, 0, 0, 0, 0]
    found = figures_of(scored(truth, [0.9, 0.8, 0.7, 0.3, 0.6, 0.4, 0.2, 0.1, 0.1], flagged))
    assert found["sensitivity"] == 3 / 4
    assert found["specificity"] == 4 / 5
    assert found["ppv"] == 3 / 4
    assert found["npv"] == 4 / 5
    assert found["diagnostic_odds_ratio"] == 3 * 4 / (1 * 1)
    assert found["f_score"] == 6 / 8
    assert found["auc"] == pytest.approx(18 / 20, abs=EXACT)  # pairs in the right order


@pytest.mark.parametrize(
    ("cells", "ratio"),
    [
        ((3, 1, 1, 4), 12),
        ((4, 1, 0, 4), 4.5 * 4.5 / (1.5 * 0.5)),
        ((4, 0, 0, 5), 4.5 * 5.5 / (0.5 * 0.5)),
        ((0, 2, 3, 0), 0.5 * 0.5 / (2.5 * 3.5)),
    ],
)
def test_odds_ratio_adds_a_half_to_every_cell_where_one_is_zero(
    cells: tuple[int, ...], ratio: float
) -> None:
    tp, fp, fn, tn = (np.array([float(cell)]) for cell in cells)
    assert odds_ratio(tp, fp, fn, tn)[0] == pytest.approx(ratio, rel=EXACT)


def test_what_does_not_exist_is_nan() -> None:
    alone = figures_of(scored([1, 1, 1], [0.9, 0.8, 0.7]))
    for name in ("auc", "specificity", "npv", "calibration_slope"):
        assert np.isnan(alone[name]), name
    assert alone["sensitivity"] == 1
    separated = figures_of(scored([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]))
    assert np.isnan(separated["calibration_slope"])  # it has no largest likelihood
    assert np.isfinite(separated["calibration_intercept"])


def test_order_of_the_radiographs_does_not_matter() -> None:
    cases = ALONE.drawn(np.random.default_rng(6))
    order: NDArray[np.intp] = np.random.default_rng(7).permutation(len(cases.scores))
    other = scored(cases.positive[order], cases.scores[order], cases.flagged[order])
    assert figures_of(other) == pytest.approx(figures_of(cases), rel=1e-9)
