"""Small networks with random weights, for exports that take a second."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TinySegmenter(nn.Module):
    """Finds dark places after a blur: enough to have a box that moves with the radiograph."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, radiographs: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(radiographs)))) - 2 * radiographs


class TinyClassifier(nn.Module):
    """Two convolutions and a mean."""

    def __init__(self, labels: int = 2, channels: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, stride=2)
        self.head = nn.Linear(8, labels)

    def forward(self, radiographs: Tensor) -> Tensor:
        features = torch.relu(self.norm(self.first(radiographs)))
        return self.head(torch.relu(self.second(features)).mean((2, 3)))


def not_a_network() -> str:
    return "text"


def failing() -> nn.Module:
    raise ValueError("no such width")


class DarkIsLung(nn.Module):
    """Calls everything darker than a third lung."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = nn.Parameter(torch.tensor(0.33))

    def forward(self, intensity: Tensor) -> Tensor:
        return 60 * (self.limit - intensity)


class BorderAndLungs(nn.Module):
    """Two labels: one sees the left and right edge alone, one the inside of the lungs alone."""

    def __init__(self) -> None:
        super().__init__()
        self.middles = nn.Parameter(torch.tensor([0.62, 0.22]))

    def forward(self, view: Tensor) -> Tensor:
        edges = torch.cat([view[..., :3], view[..., -3:]], 3)
        lungs = torch.cat([view[:, :, 20:44, 16:25], view[:, :, 20:44, 40:49]], 3)
        seen = torch.stack([edges.mean((1, 2, 3)), lungs.mean((1, 2, 3))], 1)
        return 30 * (seen - self.middles)
