"""Trains the classifier of the demonstration on lung crops: cases and a lung U-Net in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cxrsweep.export.demo.augment import affine_grid, warp, with_grey_changes
from cxrsweep.export.demo.cases import LABELS, Case, equalised_radiograph
from cxrsweep.export.demo.fitting import Schedule, fitted
from cxrsweep.export.demo.segmenter_training import MEAN, STD, lung_probability
from cxrsweep.export.fuse import crop_box_of, lung_box_of, opened_mask, sampled

CROP_SIDE = 224
MARGIN = 0.05
SUPERSAMPLE = 2


def crop_boxes(segmenter: nn.Module, radiographs: Tensor) -> Tensor:
    """Boxes that the fused network crops: (N, 1, 512, 512) uint8 to (N, 4) float32 fractions."""
    mask = opened_mask((lung_probability(segmenter, radiographs) > 0.5).float(), 3)
    boxes = lung_box_of(mask)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    found = mask.mean((1, 2, 3)) >= 0.02
    return crop_box_of(torch.where(found[:, None], boxes, whole), MARGIN, square=False)


def radiographs_of(folder: Path, cases: list[Case]) -> Tensor:
    """Load cases as (N, 1, 512, 512) uint8, equalised and stretched."""
    pixels = np.stack([equalised_radiograph(folder / case.image) for case in cases])
    return torch.from_numpy(pixels)[:, None]


def train_classifier(
    network: nn.Module,
    segmenter: nn.Module,
    folder: Path,
    cases: list[Case],
    schedule: Schedule,
    say: Callable[[str], None] = lambda _: None,
) -> nn.Module:
    """Train on the lung crops; classes weigh alike, boxes, pose and grey values vary.

    Args:
        network: maps (N, 1, 224, 224) float32 to logits (N, 3).
        segmenter: finds the lungs.
        folder: where the paths of `cases` start.
        cases: with a label of LABELS each.
        schedule: length and rates.
        say: receives one line per epoch.

    Returns:
        The averaged network in evaluation mode.
    """
    radiographs = radiographs_of(folder, cases)
    boxes = crop_boxes(segmenter, radiographs)
    targets = torch.tensor([LABELS.index(case.label) for case in cases])
    weights = len(cases) / (len(LABELS) * torch.bincount(targets, minlength=len(LABELS)).float())

    def loss_of(index: Tensor, generator: torch.Generator) -> Tensor:
        grid = affine_grid(
            len(index),
            CROP_SIDE * SUPERSAMPLE,
            generator,
            degrees=10,
            scale=(0.88, 1.12),
            shift=0.05,
            boxes=boxes[index],
        )
        crops = warp(radiographs[index].float() / 255, grid, SUPERSAMPLE)
        crops = (with_grey_changes(crops, generator) - MEAN) / STD
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(crops.to(memory_format=torch.channels_last))
        return F.cross_entropy(logits.float(), targets[index], weights, label_smoothing=0.05)

    return fitted(network, len(cases), loss_of, schedule, lambda line: say(f"classifier {line}"))


def classifier_scores(
    network: nn.Module, segmenter: nn.Module, folder: Path, cases: list[Case]
) -> NDArray[np.float64]:
    """Softmax scores (N, 3) of cases, in the order of LABELS."""
    parts = []
    for start in range(0, len(cases), 32):
        radiographs = radiographs_of(folder, cases[start : start + 32])
        boxes = crop_boxes(segmenter, radiographs)
        with torch.inference_mode():
            crops = sampled(radiographs.float() / 255, boxes, CROP_SIDE, SUPERSAMPLE)
            parts.append(network((crops - MEAN) / STD).softmax(1))
    return torch.cat(parts).double().numpy()
