"""Seeded augmentation on tensors: radiographs and their masks warped alike, grey values changed."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(count,) float32 drawn evenly from [low, high)."""
    return torch.rand(count, generator=generator) * (high - low) + low


def affine_grid(
    count: int,
    side: int,
    generator: torch.Generator,
    *,
    degrees: float,
    scale: tuple[float, float],
    shift: float,
    boxes: Tensor | None = None,
) -> Tensor:
    """Random mirror, turn, scale and shift of each radiograph as a sampling grid.

    Args:
        count: radiographs.
        side: side of the result in pixels.
        generator: source of the randomness.
        degrees: largest turn, either way.
        scale: smallest and largest magnification of the content.
        shift: largest shift as a fraction of the side.
        boxes: (count, 4) float32 x0, y0, x1, y1 as fractions: sample inside these, else all of it.

    Returns:
        (count, side, side, 2) float32 for grid_sample.
    """
    angle = uniform(count, -degrees, degrees, generator) * math.pi / 180
    zoom = 1 / uniform(count, *scale, generator)
    aspect = uniform(count, 0.93, 1.07, generator)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    move = [uniform(count, -2 * shift, 2 * shift, generator) for _ in range(2)]
    if boxes is None:
        boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    first = torch.stack(
        [cos * mirror * width, -sin * width, boxes[:, 0] + boxes[:, 2] - 1 + move[0] * width], 1
    )
    second = torch.stack(
        [
            sin * mirror * height * aspect,
            cos * height * aspect,
            boxes[:, 1] + boxes[:, 3] - 1 + move[1] * height,
        ],
        1,
    )
    theta = torch.stack([first, second], 1)
    return F.affine_grid(theta, [count, 1, side, side], align_corners=False)


def warp(planes: Tensor, grid: Tensor, supersample: int = 1) -> Tensor:
    """Sample (N, C, H, W) float32 at `grid`, zeros outside; average blocks of `supersample`."""
    return F.avg_pool2d(F.grid_sample(planes, grid, align_corners=False), supersample)


def with_grey_changes(radiographs: Tensor, generator: torch.Generator) -> Tensor:
    """Random gamma, contrast, brightness, blur and grain of (N, 1, h, w) float32 in [0, 1]."""
    count = len(radiographs)
    gamma = uniform(count, -0.35, 0.35, generator).exp().view(-1, 1, 1, 1)
    contrast = uniform(count, 0.75, 1.25, generator).view(-1, 1, 1, 1)
    brightness = uniform(count, -0.12, 0.12, generator).view(-1, 1, 1, 1)
    pixels = radiographs.clamp(1e-4, 1) ** gamma
    pixels = (pixels - 0.5) * contrast + 0.5 + brightness
    blurred = F.avg_pool2d(pixels, 3, stride=1, padding=1, count_include_pad=False)
    pixels = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.25, blurred, pixels)
    grain = torch.randn(pixels.shape, generator=generator)
    amount = uniform(count, 0, 0.06, generator).view(-1, 1, 1, 1)
    return (pixels + grain * amount).clamp(0, 1)
