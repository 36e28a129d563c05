from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cxrsweep.bench.gpu.agreement import are_equal, joined, pixel_agreement, score_agreement
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runners import Scores


def scores_of(rows: list[list[float]], box: float = 0.5) -> Scores:
    count = len(rows)
    return Scores(
        np.array(rows, np.float32),
        np.full((count, 4), box, np.float32),
        np.full(count, 0.25, np.float32),
        None,
    )


@pytest.fixture
def recipe(recipe_with: Callable[..., Recipe]) -> Recipe:
    return recipe_with(classifier={"side": 64, "labels": ["normal", "covid"]})


def test_pixels_of_known_difference() -> None:
    truth = np.full((2, 1, 10, 10), 100, np.uint8)
    found = truth.copy()
    found[1, 0, 0, :5] = [101, 99, 103, 95, 100]
    agreement = pixel_agreement(truth, found, ["a", "b"])
    assert agreement == {
        "radiographs": 2,
        "largest": 5,
        "mean": 0.05,
        "differing_share": 0.02,
        "over_2_share": 0.01,
        "worst_mean": 0.1,
        "worst": "b",
    }


def test_pixels_differ_by_up_to_255_either_way() -> None:
    black, white = np.zeros((1, 1, 2, 2), np.uint8), np.full((1, 1, 2, 2), 255, np.uint8)
    assert pixel_agreement(black, white, ["a"])["largest"] == 255
    assert pixel_agreement(white, black, ["a"])["largest"] == 255


def test_scores_of_known_difference(recipe: Recipe) -> None:
    truth = scores_of([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    found = scores_of([[0.9, 0.1], [0.45, 0.55], [0.2, 0.75]], box=0.5 + 1 / 64)
    agreement = score_agreement(recipe, ["a", "b", "c"], truth, found)
    assert agreement["largest_score_difference"] == pytest.approx(0.15)
    assert agreement["mean_score_difference"] == pytest.approx(0.35 / 6)
    assert agreement["largest_box_shift_px"] == pytest.approx(1.0)
    assert (agreement["decision_flips"], agreement["flipped"]) == (1, ["b"])
    assert (agreement["worst"], agreement["not_a_number"]) == ("b", 0)


def test_a_score_that_is_no_number_counts_as_wrong(recipe: Recipe) -> None:
    truth, found = scores_of([[0.9, 0.1]]), scores_of([[np.nan, 0.1]])
    agreement = score_agreement(recipe, ["a"], truth, found)
    assert (agreement["largest_score_difference"], agreement["not_a_number"]) == (1.0, 1)


def test_equal_means_every_bit_of_every_output() -> None:
    one, same = scores_of([[0.9, 0.1]]), scores_of([[0.9, 0.1]])
    assert are_equal(one, same)
    assert not are_equal(one, scores_of([[0.9, 0.1]], box=0.5000001))
    assert not are_equal(one, scores_of([[0.9, np.nextafter(np.float32(0.1), np.float32(1))]]))


def test_joined_keeps_the_order() -> None:
    both = joined([scores_of([[0.1, 0.9]]), scores_of([[0.2, 0.8], [0.3, 0.7]])])
    assert both.scores[:, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert both.probe_scores is None
    assert len(both.lung_box) == len(both.lung_fraction) == 3
