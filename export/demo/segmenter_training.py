"""Trains the lung U-Net of the demonstration: cases with masks in, state dict and Dice out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrsweep.export.demo.augment import affine_grid, warp, with_grey_changes
from cxrsweep.export.demo.cases import (
    IGNORE,
    LUNG,
    SIDE,
    Case,
    equalised_radiograph,
    lung_mask,
)

MEAN, STD = 0.5, 0.25


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


def shuffled_batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index tensors of one epoch; a last batch under half the size is dropped (BatchNorm)."""
    order = torch.randperm(count, generator=generator)
    return (part for part in order.split(batch) if len(part) * 2 >= batch)


def averaged_copy(network: nn.Module) -> torch.optim.swa_utils.AveragedModel:
    """Exponential moving average of weights and BatchNorm statistics over about 100 steps."""
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    return torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def one_cycle(
    network: nn.Module, count: int, batch: int, epochs: int, peak_rate: float, *, decay: float
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.OneCycleLR]:
    """AdamW whose rate rises for a fifth of the steps and falls for the rest."""
    optimiser = torch.optim.AdamW(network.parameters(), peak_rate, weight_decay=decay)
    steps = epochs * sum(1 for _ in shuffled_batches(count, batch, torch.Generator()))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak_rate, total_steps=steps, pct_start=0.2
    )
    return optimiser, schedule


def train_segmenter(
    network: nn.Module,
    folder: Path,
    cases: list[Case],
    *,
    epochs: int,
    batch: int = 12,
    peak_rate: float = 4e-3,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> nn.Module:
    """Train on every case that has a mask; AdamW, one cycle, moving average of the weights.

    Args:
        network: maps (N, 1, 256, 256) float32 to logits of the same shape.
        folder: where the paths of `cases` start.
        cases: the cases to train on.
        epochs: passes over the cases.
        batch: radiographs per step.
        peak_rate: highest learning rate of the cycle.
        seed: of order and augmentation.
        say: receives one line per epoch.

    Returns:
        The averaged network in evaluation mode.
    """
    images = np.stack([equalised_radiograph(folder / case.image) for case in cases])
    masks = np.stack([np.stack(lung_mask(folder / str(case.mask))) for case in cases])
    radiographs, targets = torch.from_numpy(images)[:, None], torch.from_numpy(masks)
    generator = torch.Generator().manual_seed(seed)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = averaged_copy(network)
    optimiser, schedule = one_cycle(network, len(cases), batch, epochs, peak_rate, decay=1e-2)
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        for index in shuffled_batches(len(cases), batch, generator):
            grid = affine_grid(len(index), 256, generator, degrees=12, scale=(0.8, 1.15), shift=0.1)
            pixels = warp(F.avg_pool2d(radiographs[index].float() / 255, 2), grid)
            lung, counted = warp(targets[index].float() / 255, grid).split(1, dim=1)
            pixels = (with_grey_changes(pixels, generator) - MEAN) / STD
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(pixels.to(memory_format=torch.channels_last))
            loss = segmentation_loss(logits.float(), lung, counted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            losses.append(loss.item())
        say(
            f"segmenter epoch {epoch + 1}/{epochs} loss {np.mean(losses):.4f}"
            f" {time.perf_counter() - start:.0f} s"
        )
    averaged: nn.Module = average.module
    return averaged.eval()


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
