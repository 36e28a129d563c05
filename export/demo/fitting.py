"""The training loop that both demonstration networks share: a loss in, averaged weights out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: passes over the cases.
        batch: radiographs per step.
        peak_rate: highest learning rate of the cycle.
        decay: weight decay of AdamW.
        seed: of order and augmentation.
    """

    epochs: int
    batch: int
    peak_rate: float
    decay: float
    seed: int = 0


def fitted(
    network: nn.Module,
    count: int,
    loss_of: Callable[[Tensor, torch.Generator], Tensor],
    schedule: Schedule,
    say: Callable[[str], None] = lambda _: None,
) -> nn.Module:
    """Train with AdamW, one cycle of the rate, and a moving average of the weights.

    Args:
        network: trained in place.
        count: cases.
        loss_of: indices of a batch and a source of randomness in, loss out.
        schedule: length and rates.
        say: receives one line per epoch.

    Returns:
        The averaged network in evaluation mode.
    """
    generator = torch.Generator().manual_seed(schedule.seed)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # About 100 steps of memory, for the weights and for BatchNorm's statistics.
    moving = torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=moving, use_buffers=True)
    optimiser = torch.optim.AdamW(
        network.parameters(), schedule.peak_rate, weight_decay=schedule.decay
    )
    steps = sum(1 for _ in shuffled_batches(count, schedule.batch, torch.Generator()))
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.peak_rate, total_steps=steps * schedule.epochs, pct_start=0.2
    )
    for epoch in range(schedule.epochs):
        start, losses = time.perf_counter(), []
        for index in shuffled_batches(count, schedule.batch, generator):
            loss = loss_of(index, generator)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
            average.update_parameters(network)
            losses.append(loss.item())
        seconds = time.perf_counter() - start
        say(f"epoch {epoch + 1}/{schedule.epochs} loss {np.mean(losses):.4f} {seconds:.0f} s")
    averaged: nn.Module = average.module
    return averaged.eval()


def shuffled_batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index tensors of one epoch; a last batch under half the size is dropped (BatchNorm)."""
    order = torch.randperm(count, generator=generator)
    return (part for part in order.split(batch) if len(part) * 2 >= batch)
