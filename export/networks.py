"""Networks that recipes can name, built from MONAI's blocks.

Source of the defaults: MONAI's BasicUNet normalises by instance and its ResNet has a stride-1 stem,
four times the work at 224 px; both are set here to what inference engines run fast.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import BasicUNet, ResNet
from torch import nn


def lung_unet(features: Sequence[int] = (16, 16, 32, 64, 128, 16)) -> nn.Module:
    """U-Net for lung masks.

    Args:
        features: channels of the five levels and of the last block.

    Returns:
        network from (N, 1, h, w) to logits (N, 1, h, w); h and w divisible by 16.
    """
    network: nn.Module = BasicUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        features=tuple(features),
        norm="batch",
        act=("relu", {"inplace": True}),
    )
    return network


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
