"""Synthetic chest radiographs with known lungs, drawn with NumPy and OpenCV, without torch.

The anatomy is a caricature: enough for a lung segmenter to find the lungs and for a codec to find
film noise, not enough to train or judge a classifier.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Uint8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

CANVAS = 512  # anatomy is smooth: it is drawn once at this side and then stretched


@dataclass(frozen=True)
class Phantom:
    """A synthetic radiograph.

    Attributes:
        pixels: (H, W) uint8, bones bright and air dark.
        lung_box: x0, y0, x1, y1 in pixels around both lungs, end exclusive.
    """

    pixels: Uint8
    lung_box: tuple[int, int, int, int]


def phantom(width: int, height: int, generator: np.random.Generator, noise: float = 2.5) -> Phantom:
    """Draw one radiograph.

    Args:
        width: in pixels.
        height: in pixels.
        generator: decides build, position, exposure and noise.
        noise: standard deviation of the film noise in grey levels.
    """
    levels, box = phantom_levels(width, height, generator, noise)
    return Phantom(np.clip(np.rint(levels), 0, 255).astype(np.uint8), box)


def phantom_levels(
    width: int, height: int, generator: np.random.Generator, noise: float
) -> tuple[Float32, tuple[int, int, int, int]]:
    """The same before it is rounded: (H, W) float32 in grey levels of 8 bits, and the lung box."""
    thickness, lungs = _anatomy(generator)
    box = _box_in_pixels(lungs, width, height)
    large = cv2.resize(thickness, (width, height), interpolation=cv2.INTER_CUBIC)
    exposure, contrast = generator.uniform(0.16, 0.22), generator.uniform(0.75, 0.95)
    levels = 255 * contrast * (large - large.min()) / np.ptp(large) + 255 * exposure * 0.2
    if noise:
        levels = levels + _film_noise(width, height, generator, noise)
    return np.asarray(levels, np.float32), box


def _anatomy(generator: np.random.Generator) -> tuple[Float32, Float32]:
    """Absorption of the body and the lungs as (CANVAS, CANVAS) float32 in [0, 1]."""
    y, x = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32) / CANVAS
    x = (x - 0.5) / generator.uniform(0.94, 1.06) + 0.5 + generator.uniform(-0.02, 0.02)
    y = (y - 0.5) / generator.uniform(0.94, 1.06) + 0.5 + generator.uniform(-0.02, 0.02)
    body = _soft(_ellipse(x, y, 0.5, 0.62, 0.47, 0.66), 0.03)
    lungs = np.maximum(_lung(x, y, -1, generator), _lung(x, y, 1, generator))
    spine = np.exp(-(((x - 0.5) / 0.055) ** 2))
    heart = _soft(_ellipse(x, y, 0.555, 0.66, 0.15, 0.15), 0.04)
    shoulders = _soft(_ellipse(x, y, 0.16, 0.1, 0.2, 0.09), 0.08)
    shoulders += _soft(_ellipse(x, y, 0.84, 0.1, 0.2, 0.09), 0.08)
    belly = _soft((y - 0.86 - 0.03 * np.cos(9 * (x - 0.5))) * 4, 0.12)
    air = lungs * (1 - 0.75 * heart) * (1 - 0.55 * spine)
    absorption = 0.62 * body + 0.2 * spine + 0.1 * heart + 0.12 * shoulders + 0.14 * belly
    absorption = absorption - 0.4 * air + _ribs(x, y, generator) * lungs + _vessels(x, y, lungs)
    return absorption.astype(np.float32), lungs.astype(np.float32)


def _ellipse(x: Float32, y: Float32, cx: float, cy: float, rx: float, ry: float) -> Float32:
    """Above 0 inside an ellipse, 0 on its border, about -1 one radius outside."""
    return np.asarray(1 - np.hypot((x - cx) / rx, (y - cy) / ry), np.float32)


def _soft(inside: Float32, width: float) -> Float32:
    return np.asarray(1 / (1 + np.exp(-np.clip(inside / width, -30, 30))), np.float32)


def _lung(x: Float32, y: Float32, side: int, generator: np.random.Generator) -> Float32:
    """One lung: an apex, a full base and a dome of the diaphragm below."""
    cx = 0.5 + side * generator.uniform(0.2, 0.215)
    top, base = generator.uniform(0.1, 0.13), generator.uniform(0.8, 0.84) + 0.015 * side
    middle, half = (top + base) / 2 + 0.06, (base - top) / 2 + 0.06
    widening = 0.115 + 0.055 * np.clip((y - top) / (base - top), 0, 1)
    outline = 1 - np.hypot((x - cx) / widening, ((y - middle) / half) ** 2)
    dome = base - 0.06 * np.exp(-(((x - cx) / 0.13) ** 2)) + 0.02 - y
    return _soft(np.minimum(outline, dome * 8), 0.04)


def _ribs(x: Float32, y: Float32, generator: np.random.Generator) -> Float32:
    """Nine pairs of arcs, falling outwards."""
    phase = y - 0.28 * (np.abs(x - 0.5) - 0.2) ** 2 * 4 - 0.1 * np.abs(x - 0.5)
    wave = np.cos(2 * np.pi * (phase * 11 + generator.uniform(0, 1)))
    return np.asarray(0.055 * np.clip(wave, -0.2, 1), np.float32)


def _vessels(x: Float32, y: Float32, lungs: Float32) -> Float32:
    """Hilar shadows that fade towards the border of the lungs."""
    shade = np.zeros(x.shape)
    for side in (-1, 1):
        distance = np.hypot(x - 0.5 - side * 0.1, (y - 0.48) / 1.5)
        angle = np.arctan2(y - 0.48, side * (x - 0.5 - side * 0.08))
        branches = 0.6 + 0.4 * np.cos(13 * angle)
        shade = shade + 0.16 * np.exp(-distance / 0.07) * branches
    return np.asarray(shade * lungs, np.float32)


def _box_in_pixels(lungs: Float32, width: int, height: int) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(lungs > 0.5)
    x0, x1 = columns.min() / CANVAS * width, (columns.max() + 1) / CANVAS * width
    y0, y1 = rows.min() / CANVAS * height, (rows.max() + 1) / CANVAS * height
    return round(x0), round(y0), round(x1), round(y1)


def _film_noise(width: int, height: int, generator: np.random.Generator, sigma: float) -> Float32:
    """Grain with the short correlation that a detector has: neighbours share half of it."""
    grain = generator.standard_normal((height, width), dtype=np.float32)
    blurred = cv2.GaussianBlur(grain, (0, 0), 0.6)
    return np.asarray(blurred * (sigma / blurred.std()), np.float32)
