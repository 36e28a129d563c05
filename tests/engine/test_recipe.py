from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cxrsweep.engine.errors import RecipeError
from cxrsweep.engine.recipe import recipe_from_mapping, recipe_from_toml


def values(**changes: Any) -> dict[str, Any]:
    base = {
        "name": "r",
        "side": 128,
        "segmenter": {"side": 64, "weights": "s.pt", "network": "m:f"},
        "classifier": {"side": 64, "labels": ["a", "b"], "weights": "c.pt", "network": "m:f"},
    }
    return {**base, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sid": 3}, "sid: unknown key"),
        ({"segmenter": {"side": 64, "treshold": 0.5}}, "segmenter.treshold: unknown key"),
        ({"classifier": {"labels": ["a"]}}, "classifier.side: missing"),
        ({"classifier": {"side": 64, "labels": []}}, "classifier.labels"),
        ({"classifier": {"side": 64, "labels": ["a", "A"]}}, "named once"),
        ({"classifier": {"side": 64, "labels": ["=x"]}}, "classifier.labels.0"),
        ({"fit": "squash"}, "fit"),
        ({"side": 4}, "side"),
        ({"thresholds": {"c": 0.5}}, "thresholds name"),
        ({"thresholds": {"a": 1.5}}, "thresholds.a"),
        ({"segmenter": None, "probe": "background"}, "need a segmenter"),
        ({"shortest_side": 256}, "centre-crop"),
        ({"fit": "centre-crop", "shortest_side": 64}, "below side"),
        ({"segmenter": {"side": 64, "mean": 0.5}}, "belong together"),
        ({"segmenter": {"side": 64, "mean": [0.5] * 3, "std": [0.5] * 3}}, "3 values for 1"),
        ({"segmenter": {"side": 64, "mean": 0.5, "std": 0.0}}, "std must be above 0"),
        (
            {"segmenter": {"side": 64, "mean": 0.5, "std": 1.0, "intensity_range": [0, 1]}},
            "not both",
        ),
        ({"segmenter": {"side": 64, "network": "os.system"}}, "segmenter.network"),
        ({"segmenter": {"side": 64, "intensity_range": [5, 5]}}, "must differ"),
        ({"classifier": {"side": 64, "labels": ["status"]}}, "another column"),
        ({"classifier": {"side": 64, "labels": ["a", "a_flag"]}}, "another column"),
    ],
)
def test_wrong_keys_are_named_with_their_path(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as refused:
        recipe_from_mapping(values(**changes), "x.toml")
    assert message in str(refused.value)
    assert "x.toml" in str(refused.value)


def test_every_fault_is_listed_at_once() -> None:
    with pytest.raises(RecipeError) as refused:
        recipe_from_mapping(values(fit="x", equalise="y"), "x.toml")
    assert "fit" in str(refused.value)
    assert "equalise" in str(refused.value)


def test_bundle_recipe_has_no_file_names() -> None:
    bare = recipe_from_mapping(values(), "x").without_weights()
    assert bare.classifier.weights is None
    assert bare.segmenter is not None
    assert bare.segmenter.weights is None
    assert bare.classifier.labels == ["a", "b"]


def test_unreadable_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read"):
        recipe_from_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(RecipeError, match="is not TOML"):
        recipe_from_toml(tmp_path / "bad.toml")


def test_shipped_recipe_is_valid(demo_recipe: Path) -> None:
    recipe = recipe_from_toml(demo_recipe)
    assert recipe.classifier.labels == ["normal", "pneumonia", "covid"]
