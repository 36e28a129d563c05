"""Networks that recipes can name: small, with BatchNorm and a cheap stem.

MONAI's defaults are others: its U-Net normalises by instance, and its ResNet has a stride-1 stem,
four times the work at 224 px.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from monai.networks.nets import ResNet
from torch import Tensor, nn
from torch.nn import functional as F


def lung_unet(features: Sequence[int] = (16, 32, 64, 128, 192)) -> nn.Module:
    """U-Net for lung masks, of depthwise separable convolutions.

    Args:
        features: channels of each level, the finest first.

    Returns:
        network from (N, 1, h, w) to logits (N, 1, h, w); h and w divisible by
        2 ** (len(features) - 1).
    """
    return SeparableUNet(tuple(features))


class SeparableUNet(nn.Module):
    """U-Net whose convolutions, but the first, are depthwise 3 x 3 and then pointwise.

    Args:
        features: channels of each level, the finest first.

    Source: U-Net, Ronneberger et al. 2015; separable convolutions, Howard et al. 2017 (MobileNets).
    """

    def __init__(self, features: tuple[int, ...]) -> None:
        super().__init__()
        first = nn.Sequential(_normalised(nn.Conv2d(1, features[0], 3, padding=1, bias=False)))
        self.down = nn.ModuleList([nn.Sequential(first, _separable(features[0], features[0]))])
        for above, own in itertools.pairwise(features):
            self.down.append(nn.Sequential(_separable(above, own), _separable(own, own)))
        self.up = nn.ModuleList()
        for below, own in zip(features[:0:-1], features[-2::-1], strict=True):
            self.up.append(nn.Sequential(_separable(below + own, own), _separable(own, own)))
        self.head = nn.Conv2d(features[0], 1, 1)

    def forward(self, radiographs: Tensor) -> Tensor:
        """(N, 1, h, w) float to logits (N, 1, h, w)."""
        levels: list[Tensor] = []
        planes = radiographs
        for number, block in enumerate(self.down):
            planes = block(F.max_pool2d(planes, 2) if number else planes)
            levels.append(planes)
        for block, skipped in zip(self.up, levels[-2::-1], strict=True):
            planes = block(torch.cat([F.interpolate(planes, scale_factor=2.0), skipped], 1))
        logits: Tensor = self.head(planes)
        return logits


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return nn.Sequential(depthwise, _normalised(nn.Conv2d(inputs, outputs, 1, bias=False)))


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(True))


def compact_resnet(
    labels: int = 3,
    planes: Sequence[int] = (24, 48, 80, 112),
    layers: Sequence[int] = (2, 2, 2, 2),
) -> nn.Module:
    """Residual network of basic blocks with a stride-2 stem.

    Args:
        labels: outputs.
        planes: channels of the four stages.
        layers: blocks of the four stages.

    Returns:
        network from (N, 1, h, w) to logits (N, labels).
    """
    network: nn.Module = ResNet(
        "basic",
        list(layers),
        list(planes),
        spatial_dims=2,
        n_input_channels=1,
        conv1_t_stride=2,
        num_classes=labels,
    )
    return network


def covid_resnet(depth: Literal[18, 50] = 18) -> nn.Module:
    """The classifier of Tartaglione et al. 2020, with the keys of its published checkpoints.

    Args:
        depth: 18 or 50 layers.

    Returns:
        network from (N, 1, h, w) to logits (N, 1); the sigmoid that ends the published one has no
        weights and is the recipe's `activation`.

    Raises:
        ValueError: another depth.
    """
    if depth not in (18, 50):
        raise ValueError(f"depth {depth}; 18 and 50 were published")
    return EncodedClassifier(depth)


class EncodedClassifier(nn.Module):
    """A ResNet of one input channel without its last layer, then two linear layers.

    The children of the encoder are numbered as those of the published network: 0 convolution, 1
    norm, 2 ReLU, 3 pooling, 4 to 7 stages, 8 average.

    Args:
        depth: 18 (basic blocks) or 50 (bottlenecks).

    Source: Tartaglione et al. 2020, doi:10.3390/ijerph17186933.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        encoder = ResNet(
            "basic" if depth == 18 else "bottleneck",
            [2, 2, 2, 2] if depth == 18 else [3, 4, 6, 3],
            [64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        self.encoder = nn.Sequential(*encoder.children())
        features, hidden = (512, 256) if depth == 18 else (2048, 512)
        self.classifier = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, radiographs: Tensor) -> Tensor:
        """(N, 1, h, w) float to logits (N, 1)."""
        logits: Tensor = self.classifier(self.encoder(radiographs).flatten(1))
        return logits
