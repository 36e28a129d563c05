"""Trains the lung U-Net of the demonstration: cases with masks in, network and Dice out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrsweep.export.demo.augment import affine_grid, warp, with_grey_changes
from cxrsweep.export.demo.cases import IGNORE, LUNG, SIDE, Case, equalised_radiograph, lung_mask
from cxrsweep.export.demo.fitting import Schedule, fitted

MEAN, STD = 0.5, 0.25
SEGMENTER_SIDE = 256


def segmentation_loss(logits: Tensor, lung: Tensor, counted: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice over the counted pixels.

    Args:
        logits: (N, 1, h, w) float32.
        lung: (N, 1, h, w) float32, share of lung in [0, 1].
        counted: (N, 1, h, w) float32, weight of the pixel in [0, 1].
    """
    bce = F.binary_cross_entropy_with_logits(logits, lung, weight=counted)
    probability = torch.sigmoid(logits) * counted
    overlap = (probability * lung).sum((1, 2, 3))
    total = probability.sum((1, 2, 3)) + (lung * counted).sum((1, 2, 3))
    return bce + 1 - ((2 * overlap + 1) / (total + 1)).mean()


def segmenter_input(radiographs: Tensor) -> Tensor:
    """(N, 1, 512, 512) uint8 to (N, 1, 256, 256) float32, as the fused network does it."""
    return (F.avg_pool2d(radiographs.float() / 255, 2) - MEAN) / STD


def train_segmenter(
    network: nn.Module,
    folder: Path,
    cases: list[Case],
    schedule: Schedule,
    say: Callable[[str], None] = lambda _: None,
) -> nn.Module:
    """Train on cases with masks; pose and grey values vary.

    Args:
        network: maps (N, 1, 256, 256) float32 to logits of the same shape.
        folder: where the paths of `cases` start.
        cases: the cases to train on; all have a mask.
        schedule: length and rates.
        say: receives one line per epoch.

    Returns:
        The averaged network in evaluation mode.
    """
    images = np.stack([equalised_radiograph(folder / case.image) for case in cases])
    masks = np.stack([np.stack(lung_mask(folder / str(case.mask))) for case in cases])
    radiographs, targets = torch.from_numpy(images)[:, None], torch.from_numpy(masks)

    def loss_of(index: Tensor, generator: torch.Generator) -> Tensor:
        grid = affine_grid(
            len(index), SEGMENTER_SIDE, generator, degrees=12, scale=(0.8, 1.15), shift=0.1
        )
        pixels = warp(F.avg_pool2d(radiographs[index].float() / 255, 2), grid)
        lung, counted = warp(targets[index].float() / 255, grid).split(1, dim=1)
        pixels = (with_grey_changes(pixels, generator) - MEAN) / STD
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(pixels.to(memory_format=torch.channels_last))
        return segmentation_loss(logits.float(), lung, counted)

    return fitted(network, len(cases), loss_of, schedule, lambda line: say(f"segmenter {line}"))


def lung_probability(network: nn.Module, radiographs: Tensor, batch: int = 16) -> Tensor:
    """(N, 1, 512, 512) uint8 to (N, 1, 256, 256) float32 probability of lung."""
    with torch.inference_mode():
        parts = [network(segmenter_input(part)).sigmoid() for part in radiographs.split(batch)]
    return torch.cat(parts)


def dice_of(network: nn.Module, folder: Path, cases: list[Case], threshold: float) -> list[float]:
    """Dice of each case at the mask's own size; pixels marked 127 are left out.

    Returns:
        one value in [0, 1] per case, in the order of `cases`; nan where the mask has no lung.
    """
    values = []
    for case in cases:
        mask = cv2.imread(str(folder / str(case.mask)), cv2.IMREAD_GRAYSCALE)
        assert mask is not None, f"OpenCV cannot decode {case.mask}"
        pixels = torch.from_numpy(equalised_radiograph(folder / case.image, SIDE))[None, None]
        probability = lung_probability(network, pixels)
        resized = F.interpolate(probability, mask.shape, mode="bilinear", align_corners=False)
        lung = np.asarray(mask == LUNG)
        found = (resized[0, 0].numpy() > threshold) & np.asarray(mask != IGNORE)
        total = int(found.sum()) + int(lung.sum())
        values.append(2 * float((found & lung).sum()) / total if total else math.nan)
    return values
