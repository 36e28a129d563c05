from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cxrsweep.engine.recipe import Network, Recipe
from cxrsweep.export.fuse import (
    FusedNetwork,
    Normalise,
    crop_box_of,
    lung_box_of,
    opened_mask,
    resized,
    sampled,
)

RecipeWith = Callable[..., Recipe]


class BrightIsLung(nn.Module):
    """A segmenter whose logits are positive where the normalised radiograph is above a level."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, radiographs: Tensor) -> Tensor:
        return 100 * (radiographs - self.level)


class MeanAndCorner(nn.Module):
    """A classifier whose logits are plain statistics of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, radiographs: Tensor) -> Tensor:
        mean = radiographs.mean((1, 2, 3))
        return torch.stack([mean, radiographs[:, 0, 0, 0]], 1) * self.gain


def plain_crop(image: np.ndarray, box: tuple[float, ...], side: int, k: int) -> np.ndarray:
    """Bilinear samples on a k-fold grid, averaged: loops, float64, border repeated."""
    height, width = image.shape
    result = np.zeros((side, side))
    for row in range(side * k):
        for column in range(side * k):
            x = (box[0] + (column + 0.5) / (side * k) * (box[2] - box[0])) * width - 0.5
            y = (box[1] + (row + 0.5) / (side * k) * (box[3] - box[1])) * height - 0.5
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
            fx, fy = x - x0, y - y0
            top = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
            bottom = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
            result[row // k, column // k] += (top * (1 - fy) + bottom * fy) / k**2
    return result


def checkerboard(side: int) -> np.ndarray:
    return np.indices((side, side)).sum(0) % 2 * 1.0


@pytest.mark.parametrize("supersample", [1, 2, 3])
@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.13, 0.27, 0.71, 0.9)])
def test_crop_equals_a_loop_over_pixels(box: tuple[float, ...], supersample: int) -> None:
    image = np.random.default_rng(0).random((32, 32))
    planes = torch.from_numpy(image).float()[None, None]
    found = sampled(planes, torch.tensor([box]), 12, supersample)[0, 0].numpy()
    # float32 against float64.
    np.testing.assert_allclose(found, plain_crop(image, box, 12, supersample), atol=2e-5)


def test_checkerboard_would_show_nearest_neighbour() -> None:
    image = checkerboard(32)
    box = (0.1, 0.1, 0.6, 0.6)
    bilinear = sampled(torch.from_numpy(image).float()[None, None], torch.tensor([box]), 20, 1)
    np.testing.assert_allclose(bilinear[0, 0], plain_crop(image, box, 20, 1), atol=2e-5)
    nearest = np.round(bilinear.numpy())
    assert np.abs(nearest - bilinear.numpy()).mean() > 0.1, "the test could not tell them apart"


def test_supersampling_averages_what_a_shrinking_crop_would_skip() -> None:
    planes = torch.from_numpy(checkerboard(64)).float()[None, None]
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    np.testing.assert_allclose(sampled(planes, whole, 32, 2)[0, 0], 0.5, atol=1e-6)


def plain_box(mask: np.ndarray) -> list[float]:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return [
        columns.min() / width,
        rows.min() / height,
        (columns.max() + 1) / width,
        (rows.max() + 1) / height,
    ]


def test_lung_box_is_the_smallest_around_the_mask() -> None:
    masks = np.random.default_rng(1).random((20, 24, 40)) > 0.97
    boxes = lung_box_of(torch.from_numpy(masks).float()[:, None])
    for mask, box in zip(masks, boxes, strict=True):
        np.testing.assert_allclose(box, plain_box(mask), atol=1e-6)


def test_lung_box_of_a_single_pixel_and_of_the_whole() -> None:
    mask = torch.zeros(2, 1, 10, 20)
    mask[0, 0, 3, 5] = 1
    mask[1] = 1
    expected = torch.tensor([[0.25, 0.3, 0.3, 0.4], [0, 0, 1, 1]])
    torch.testing.assert_close(lung_box_of(mask), expected)


def test_opening_drops_specks_and_keeps_lungs() -> None:
    mask = torch.zeros(1, 1, 20, 20)
    mask[0, 0, 5:12, 6:16] = 1
    with_speck = mask.clone()
    with_speck[0, 0, 1, 1] = 1
    with_speck[0, 0, 18, 2:18] = 1  # a line, one pixel high
    torch.testing.assert_close(opened_mask(with_speck, 3), mask)
    torch.testing.assert_close(opened_mask(with_speck, 1), with_speck)


@pytest.mark.parametrize(
    ("box", "margin", "square", "expected"),
    [
        ((0.2, 0.3, 0.6, 0.7), 0.05, False, (0.18, 0.28, 0.62, 0.72)),
        ((0.0, 0.3, 0.6, 1.0), 0.1, False, (0.0, 0.23, 0.66, 1.0)),
        ((0.0, 0.02, 0.98, 0.95), 0.05, False, (0.0, 0.0, 1.0, 0.9965)),
        ((0.2, 0.4, 0.6, 0.6), 0.0, True, (0.2, 0.3, 0.6, 0.7)),
        ((0.0, 0.4, 0.2, 0.8), 0.0, True, (0.0, 0.4, 0.4, 0.8)),
        ((0.0, 0.0, 1.0, 0.5), 0.5, True, (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_crop_box_grows_and_stays_inside(
    box: tuple[float, ...], margin: float, square: bool, expected: tuple[float, ...]
) -> None:
    found = crop_box_of(torch.tensor([box]), margin, square=square)
    torch.testing.assert_close(found, torch.tensor([expected]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("side", [64, 32, 16])
def test_resize_by_a_whole_factor_is_a_block_average(side: int) -> None:
    image = np.random.default_rng(2).random((64, 64)).astype(np.float32)
    k = 64 // side
    expected = image.reshape(side, k, side, k).mean((1, 3))
    found = resized(torch.from_numpy(image)[None, None], side)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)


def test_resize_by_another_factor_keeps_the_mean_of_a_checkerboard() -> None:
    found = resized(torch.from_numpy(checkerboard(64)).float()[None, None], 24)
    # Without supersampling single samples would swing between 0 and 1.
    assert (found - 0.5).abs().max() < 0.25


@pytest.mark.parametrize(
    ("network", "black", "white"),
    [
        ({"mean": 0.5, "std": 0.25}, [-2.0], [2.0]),
        ({"intensity_range": (-1024, 1024)}, [-1024.0], [1024.0]),
        ({}, [0.0], [1.0]),
        (
            {"channels": 3, "mean": [0.5, 0.4, 0.2], "std": [0.5, 0.2, 0.1]},
            [-1.0, -2.0, -2.0],
            [1.0, 3.0, 8.0],
        ),
    ],
)
def test_normalise_maps_black_and_white(
    network: dict[str, object], black: list[float], white: list[float]
) -> None:
    normalise = Normalise(Network.model_validate({"side": 16, **network}))
    for intensity, expected in ((0.0, black), (1.0, white)):
        found = normalise(torch.full((1, 1, 1, 1), intensity)).flatten()
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=1e-5)


def square_radiograph() -> np.ndarray:
    """Dark, with a bright square at rows 16 to 47, columns 24 to 55 of 64."""
    pixels = np.full((64, 64), 20, np.uint8)
    pixels[16:48, 24:56] = 220
    return pixels


def fused(recipe_with: RecipeWith, **changes: object) -> FusedNetwork:
    recipe = recipe_with(
        classifier={"side": 16, "labels": ["mean", "corner"]}, segmenter={"side": 64}, **changes
    )
    return FusedNetwork(recipe, MeanAndCorner(), BrightIsLung()).eval()


def outputs(network: FusedNetwork, pixels: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        values = network(torch.from_numpy(pixels)[None, None])
    return dict(zip(network.output_names, [value[0].numpy() for value in values], strict=True))


def logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


def test_box_fraction_and_crop_follow_the_lung(recipe_with: RecipeWith) -> None:
    found = outputs(fused(recipe_with, crop={"margin": 0.0}), square_radiograph())
    np.testing.assert_allclose(found["lung_box"], [24 / 64, 16 / 64, 56 / 64, 48 / 64], atol=1e-6)
    assert found["lung_fraction"] == pytest.approx(32 * 32 / 64**2)
    # The crop is the bright square; its outermost samples lie half inside a dark neighbour.
    assert logit(found["scores"][0]) == pytest.approx(220 / 255, abs=0.03)


def test_margin_brings_the_surroundings_in(recipe_with: RecipeWith) -> None:
    found = outputs(fused(recipe_with, crop={"margin": 0.5}), square_radiograph())
    # The crop is twice as wide as the square; its corner is dark.
    assert logit(found["scores"][1]) == pytest.approx(20 / 255, abs=1e-3)


def test_blackout_leaves_the_lungs_alone(recipe_with: RecipeWith) -> None:
    crop = {"margin": 0.25, "blackout": True}
    found = outputs(fused(recipe_with, crop=crop), square_radiograph())
    assert logit(found["scores"][1]) == pytest.approx(0, abs=1e-6)
    box = (0.25, 0.125, 1.0, 0.875)
    image = square_radiograph() / 255
    lungs = (image > 0.5) * 1.0
    expected = (plain_crop(image, box, 16, 2) * plain_crop(lungs, box, 16, 2)).mean()
    assert logit(found["scores"][0]) == pytest.approx(expected, abs=1e-4)


def test_whole_region_is_blacked_out_and_not_cropped(recipe_with: RecipeWith) -> None:
    crop = {"region": "whole", "margin": 0.0, "blackout": True}
    found = outputs(fused(recipe_with, crop=crop), square_radiograph())
    np.testing.assert_allclose(found["lung_box"], [24 / 64, 16 / 64, 56 / 64, 48 / 64], atol=1e-6)
    # A quarter of the radiograph is the bright square; the dark rest is black.
    assert logit(found["scores"][0]) == pytest.approx(220 / 255 / 4, abs=1e-5)
    assert logit(found["scores"][1]) == pytest.approx(0, abs=1e-6)


def test_background_probe_sees_the_radiograph_without_lungs(recipe_with: RecipeWith) -> None:
    network = fused(recipe_with, crop={"margin": 0.25}, probe="background")
    found = outputs(network, square_radiograph())
    box = (0.25, 0.125, 1.0, 0.875)
    image = square_radiograph() / 255
    lungs = (image > 0.5) * 1.0
    expected = (plain_crop(image, box, 16, 2) * (1 - plain_crop(lungs, box, 16, 2))).mean()
    assert logit(found["probe_scores"][0]) == pytest.approx(expected, abs=1e-4)
    assert logit(found["probe_scores"][1]) == pytest.approx(20 / 255, abs=1e-3)


@pytest.mark.parametrize("blackout", [False, True])
def test_no_lung_takes_the_whole_radiograph(recipe_with: RecipeWith, blackout: bool) -> None:
    pixels = np.full((64, 64), 20, np.uint8)
    pixels[30:32, 30:40] = 220  # removed by the opening
    found = outputs(fused(recipe_with, crop={"blackout": blackout}), pixels)
    np.testing.assert_array_equal(found["lung_box"], [0, 0, 1, 1])
    assert found["lung_fraction"] == 0
    assert logit(found["scores"][1]) == pytest.approx(20 / 255, abs=1e-5)


def test_too_little_lung_counts_as_none(recipe_with: RecipeWith) -> None:
    crop = {"minimum_lung_fraction": 0.3}
    found = outputs(fused(recipe_with, crop=crop), square_radiograph())
    np.testing.assert_array_equal(found["lung_box"], [0, 0, 1, 1])
    assert found["lung_fraction"] == pytest.approx(0.25)


def test_without_segmenter_there_are_only_scores(recipe_with: RecipeWith) -> None:
    recipe = recipe_with(
        classifier={"side": 32, "labels": ["mean", "corner"], "activation": "softmax"}
    )
    network = FusedNetwork(recipe, MeanAndCorner(), None).eval()
    assert network.output_names == ["scores"]
    found = outputs(network, square_radiograph())["scores"]
    mean, corner = square_radiograph().mean() / 255, 20 / 255
    expected = np.exp([mean, corner]) / np.exp([mean, corner]).sum()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_lung_classes_of_a_softmax_segmenter_are_added(recipe_with: RecipeWith) -> None:
    class ThreeClasses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.tensor(1.0))

        def forward(self, radiographs: Tensor) -> Tensor:
            bright = (radiographs > 0.5).float() * self.one
            # Bright pixels: 0.4 left lung, 0.4 right lung, 0.2 background: lung only if added.
            lung = torch.log(0.4 * bright + 1e-6)
            return torch.cat([torch.log(1 - 0.8 * bright), lung, lung], 1)

    recipe = recipe_with(
        classifier={"side": 16, "labels": ["mean", "corner"]},
        segmenter={"side": 64, "activation": "softmax", "lung_classes": [1, 2]},
    )
    network = FusedNetwork(recipe, MeanAndCorner(), ThreeClasses()).eval()
    assert outputs(network, square_radiograph())["lung_fraction"] == pytest.approx(0.25)
