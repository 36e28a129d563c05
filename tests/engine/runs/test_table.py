from __future__ import annotations

import csv
import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runners import Scores
from cxrsweep.engine.runs.table import (
    columns_of,
    csv_text,
    failed_row,
    guarded,
    ok_row,
    printable,
    unguarded,
)

RecipeWith = Callable[..., Recipe]
HEADER = Header("png", 1000, 500, 8)


def full_recipe(recipe_with: RecipeWith) -> Recipe:
    return recipe_with(
        classifier={"side": 64, "labels": ["normal", "covid"], "activation": "softmax"},
        segmenter={"side": 64},
        thresholds={"covid": 0.5},
        probe="background",
    )


def scores(lung_fraction: float = 0.3) -> Scores:
    return Scores(
        np.array([[0.25, 0.75]], np.float32),
        np.array([[0.1, 0.2, 0.5, 1.0]], np.float32),
        np.array([lung_fraction], np.float32),
        np.array([[0.5, 0.125]], np.float32),
    )


def test_ok_row_has_every_cell_under_its_column(recipe_with: RecipeWith) -> None:
    recipe = full_recipe(recipe_with)
    row = ok_row(recipe, "a.png", HEADER, scores(), 0)
    cells = dict(zip(columns_of(recipe), [row.radiograph, *row.cells], strict=True))
    assert cells == {
        "radiograph": "a.png",
        "status": "ok",
        "error": "",
        "normal": "0.250000",
        "covid": "0.750000",
        "covid_flag": "1",
        "normal_background": "0.500000",
        "covid_background": "0.125000",
        "x0": "100",
        "y0": "100",
        "x1": "500",
        "y1": "500",
        "lung_fraction": "0.300000",
        "width": "1000",
        "height": "500",
        "bits": "8",
        "kind": "png",
        "flags": "",
    }


def test_score_that_prints_as_its_threshold_is_flagged(recipe_with: RecipeWith) -> None:
    recipe = recipe_with(thresholds={"covid": 0.7})
    at_threshold = Scores(
        np.array([[0.7]], np.float32),
        np.array([[0, 0, 1, 1]], np.float32),
        np.array([np.nan], np.float32),
        None,
    )
    assert ok_row(recipe, "a", HEADER, at_threshold, 0).cells[2:4] == ("0.700000", "1")


def test_too_little_lung_is_flagged(recipe_with: RecipeWith) -> None:
    recipe = full_recipe(recipe_with)
    assert ok_row(recipe, "a", HEADER, scores(0.0), 0).cells[-1] == "no_lung"
    assert ok_row(recipe, "a", HEADER, scores(0.02), 0).cells[-1] == ""


def test_recipe_without_segmenter_has_no_box(recipe_with: RecipeWith) -> None:
    recipe = recipe_with()
    plain = Scores(
        np.array([[0.5]], np.float32),
        np.array([[0, 0, 1, 1]], np.float32),
        np.array([np.nan], np.float32),
        None,
    )
    row = ok_row(recipe, "a", HEADER, plain, 0)
    assert row.cells == ("ok", "", "0.500000", "", "", "", "", "", "1000", "500", "8", "png", "")


@pytest.mark.parametrize("header", [HEADER, None])
def test_failed_row_has_as_many_cells_as_columns(
    recipe_with: RecipeWith, header: Header | None
) -> None:
    recipe = full_recipe(recipe_with)
    row = failed_row(recipe, "a", header, Refused(FailureCode.CORRUPT, "why"))
    assert len(row.cells) + 1 == len(columns_of(recipe))
    assert row.cells[:2] == ("failed", "CORRUPT")
    assert row.cells[-5:] == (("1000", "500", "8", "png", "") if header else ("",) * 5)


def test_csv_is_rfc_4180() -> None:
    text = csv_text([["a", 'b"c', "d,e", "f\ng"]])
    assert text == 'a,"b""c","d,e","f\ng"\r\n'
    assert next(csv.reader(io.StringIO(text, newline=""))) == ["a", 'b"c', "d,e", "f\ng"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_cells_that_a_spreadsheet_would_run_are_guarded(text: str) -> None:
    assert guarded(text) == f"'{text}"


@given(st.text())
def test_guard_can_be_undone(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_names_that_are_not_utf8_stay_readable() -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    assert printable(name) == r"caf\xe9.png"
    assert printable("café.png") == "café.png"
