from __future__ import annotations

from collections.abc import Callable

import pytest

from cxrsweep.engine.decode.geometry import check_fit, content_of, source_box
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.recipe import Recipe

RecipeWith = Callable[..., Recipe]


def test_stretch_scales_each_side(recipe_with: RecipeWith) -> None:
    box = source_box(recipe_with(), (0.1, 0.2, 0.5, 1.0), 1000, 500)
    assert box == (100, 100, 500, 500)


def test_letterbox_takes_the_padding_off(recipe_with: RecipeWith) -> None:
    # 400 x 200 in 64 px: scale 0.16, so 16 px of black above and below.
    whole = source_box(recipe_with(fit="letterbox"), (0.0, 0.25, 1.0, 0.75), 400, 200)
    assert whole == (0, 0, 400, 200)
    inner = source_box(recipe_with(fit="letterbox"), (0.25, 0.5, 0.5, 0.625), 400, 200)
    assert inner == (100, 100, 200, 150)


def test_boxes_never_leave_the_radiograph(recipe_with: RecipeWith) -> None:
    box = source_box(recipe_with(fit="letterbox"), (0.0, 0.0, 1.0, 1.0), 400, 200)
    assert box == (0, 0, 400, 200)


def test_centre_crop_starts_in_the_middle(recipe_with: RecipeWith) -> None:
    recipe = recipe_with(fit="centre-crop", shortest_side=128)
    # 512 x 256: shortest side to 128 is scale 0.5; the 64 px crop shows 128 source pixels.
    assert source_box(recipe, (0.0, 0.0, 1.0, 1.0), 512, 256) == (192, 64, 320, 192)


def test_content_leaves_the_padding_out(recipe_with: RecipeWith) -> None:
    assert content_of(recipe_with(), 400, 200) == (slice(0, 64), slice(0, 64))
    rows, columns = content_of(recipe_with(fit="letterbox"), 400, 200)
    assert columns == slice(0, 64)
    assert (rows.start, rows.stop) == (18, 46)  # 16 to 48, less two pixels
    rows, _ = content_of(recipe_with(fit="letterbox"), 5000, 3)
    assert rows.stop == rows.start + 1
    assert content_of(recipe_with(fit="centre-crop"), 90, 7) == (slice(0, 64), slice(0, 64))


def test_long_and_thin_radiographs_are_refused_where_the_fit_blows_them_up(
    recipe_with: RecipeWith,
) -> None:
    with pytest.raises(Refused) as refused:
        check_fit(recipe_with(fit="centre-crop"), 60_000, 1)
    assert refused.value.code == FailureCode.TOO_LARGE
    check_fit(recipe_with(fit="centre-crop"), 3000, 2000)
    check_fit(recipe_with(fit="letterbox"), 60_000, 1)
    check_fit(recipe_with(), 60_000, 1)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 5000)])
def test_odd_sizes_work(recipe_with: RecipeWith, width: int, height: int) -> None:
    assert source_box(recipe_with(), (0, 0, 1, 1), width, height) == (0, 0, width, height)
