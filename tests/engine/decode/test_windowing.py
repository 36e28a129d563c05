from __future__ import annotations

import math

import numpy as np
import pytest
from dicom_reference import between_percentiles, windowed

from cxrsweep.engine.decode import windowing
from cxrsweep.engine.decode.windowing import (
    Window,
    default_window,
    eight_bits,
    grey_levels,
    looked_up,
    window_between,
)

SHAPES = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("centre", "width"), [(2048, 4096), (40, 400), (0, 100), (10.5, 2), (7, 1)]
)
def test_levels_equal_the_formulas_of_the_standard(shape: str, centre: float, width: float) -> None:
    values = np.arange(-1100, 5000, 7, dtype=np.float64)
    found = grey_levels(values, Window(centre, width, shape))  # type: ignore[arg-type]
    expected = [windowed(value, centre, width, SHAPES[shape]) for value in values.tolist()]
    np.testing.assert_array_equal(found, expected)


def test_far_values_of_a_sigmoid_do_not_overflow() -> None:
    found = grey_levels(np.array([-1e9, 0, 1e9]), Window(0, 1e-3, "sigmoid"))
    assert found.tolist() == [0, 128, 255]


def test_legal_windows_are_those_of_the_standard() -> None:
    assert Window(0, 1).is_legal
    assert not Window(0, 0.5).is_legal
    assert Window(0, 0.5, "linear-exact").is_legal
    assert not Window(0, 0, "sigmoid").is_legal
    assert not Window(0, math.nan).is_legal
    assert not Window(math.inf, 10).is_legal


@pytest.mark.parametrize("kind", ["u2", "i2", ">u2", ">i2", "i4", "u4", "f4", "f8"])
def test_default_window_goes_from_percentile_to_percentile(kind: str) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.normal(1000, 200, (91, 83))
    pixels[0, :20] = 30_000  # a lead letter: under half a per cent
    pixels = pixels.astype(kind)
    # Exactly equal: both sides round the same float64.
    np.testing.assert_array_equal(eight_bits(pixels), between_percentiles(pixels))


@pytest.mark.parametrize("kind", ["u2", "i4"])
def test_padding_is_not_counted_and_is_black(kind: str) -> None:
    pixels = np.random.default_rng(4).integers(100, 4000, (60, 50)).astype(kind)
    pixels[:30] = 65_000
    found = eight_bits(pixels, padding=65_000)
    assert not found[:30].any()
    np.testing.assert_array_equal(found[30:], between_percentiles(pixels[30:]))


@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
def test_mostly_one_value_keeps_the_rest(kind: str) -> None:
    pixels = np.zeros((100, 100), kind)
    pixels[0, 0] = 4000
    found = eight_bits(pixels)
    assert found[0, 0] == 255
    assert found.sum() == 255


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "f4"])
def test_constant_stays_constant(kind: str) -> None:
    assert np.unique(eight_bits(np.full((5, 4), 77, kind))).size == 1


def test_eight_bits_are_left_alone() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert eight_bits(pixels) is pixels


def test_not_a_number_is_black_and_not_counted() -> None:
    pixels = np.array([[np.nan, 0, 1], [2, 3, np.inf]], np.float32)
    assert eight_bits(pixels).tolist() == [[0, 0, 85], [170, 255, 255]]
    assert not eight_bits(np.full((2, 2), np.nan, np.float32)).any()


@pytest.mark.parametrize("takes_words", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_look_up_is_the_same_with_numpy_and_opencv(
    monkeypatch: pytest.MonkeyPatch, kind: str, takes_words: bool
) -> None:
    if takes_words and not windowing._OPENCV_TAKES_WORDS:
        pytest.skip("this OpenCV looks up bytes alone")
    monkeypatch.setattr(windowing, "_OPENCV_TAKES_WORDS", takes_words)
    rng = np.random.default_rng(5)
    size = 1 << 8 * np.dtype(kind).itemsize
    table = rng.integers(0, 256, size, np.uint8)
    words = rng.integers(0, size, (700, 31)).astype(kind)
    np.testing.assert_array_equal(looked_up(table, words), table[words])


def test_window_between_is_black_and_white_at_its_ends() -> None:
    levels = grey_levels(np.array([9.0, 10, 15, 20, 21]), window_between(10, 20))
    assert levels.tolist() == [0, 0, 128, 255, 255]


def test_default_window_does_not_depend_on_the_order_of_values() -> None:
    values, counts = np.array([5.0, 1, 3]), np.array([10, 1, 1000])
    order = [2, 0, 1]
    assert default_window(values, counts) == default_window(values[order], counts[order])
