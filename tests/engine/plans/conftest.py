"""fp16 graphs of the published shapes, with random weights: precision does not depend on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.networks.nets import BasicUNet, DenseNet121, resnet18
from torch import nn

from cxrsweep.engine import Bundle
from cxrsweep.engine.bundle import FP16_GRAPH
from cxrsweep.engine.plans.flavour import Flavour, open_flavour
from cxrsweep.engine.recipe import recipe_from_mapping
from cxrsweep.export.fuse import FusedNetwork
from cxrsweep.export.onnx_from_torch import onnx_from_torch

GRAPHS = ("demonstration", "unet-resnet18", "unet-densenet121", "resnet18-alone")


def _resnet(channels: int) -> nn.Module:
    stem = {"conv1_t_stride": 2, "spatial_dims": 2, "n_input_channels": channels}
    return resnet18(num_classes=3, **stem)


def _densenet(channels: int) -> nn.Module:
    return DenseNet121(spatial_dims=2, in_channels=channels, out_channels=3)


def _unet() -> nn.Module:
    return BasicUNet(2, 1, 1, features=(16, 16, 32, 64, 128, 16), norm="batch")


def _fused(classifier: Callable[[int], nn.Module], segmenter: nn.Module | None) -> FusedNetwork:
    channels = 3 if segmenter else 1
    keys = {"side": 224, "channels": channels, "labels": ["a", "b", "c"], "activation": "sigmoid"}
    values: dict[str, object] = {"name": "test", "side": 256, "classifier": keys}
    if segmenter:
        values |= {"segmenter": {"side": 128}, "crop": {"blackout": True}, "probe": "background"}
    recipe = recipe_from_mapping(values, "test recipe")
    return FusedNetwork(recipe, classifier(channels), segmenter, torch.float16).eval()


@pytest.fixture(scope="session", params=GRAPHS)
def fp16_graph(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, demo_bundle: Bundle
) -> bytes:
    """ONNX of one fused network in fp16."""
    if request.param == "demonstration":
        return demo_bundle.path(FP16_GRAPH).read_bytes()
    torch.manual_seed(0)
    networks: dict[str, Callable[[], FusedNetwork]] = {
        "unet-resnet18": lambda: _fused(_resnet, _unet()),
        "unet-densenet121": lambda: _fused(_densenet, _unet()),
        "resnet18-alone": lambda: _fused(_resnet, None),
    }
    path: Path = tmp_path_factory.mktemp("graph") / "fused.fp16.onnx"
    onnx_from_torch(networks[request.param](), path)
    return path.read_bytes()


@pytest.fixture(scope="session")
def rtx() -> Flavour:
    """TensorRT for RTX, which builds without a GPU."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    return open_flavour("tensorrt_rtx")
