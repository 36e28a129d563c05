"""In which precision a parsed network computes, read layer by layer from TensorRT."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cxrsweep.engine.plans.flavour import Flavour

HEAVY = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")


def precision_counts(network: Any, flavour: Flavour) -> dict[str, dict[str, int]]:
    """Count the layers of a strongly typed network by kind and by type of their first input.

    Strongly typed networks compute in the types of their tensors, so this is what the plan does.

    Args:
        network: a parsed INetworkDefinition.
        flavour: the TensorRT that parsed it.

    Returns:
        kind of layer -> type -> layers, for example {"CONVOLUTION": {"HALF": 56}}; only the kinds
        that decide speed and exactness: convolutions, matrix products, GridSample and softmax.
    """
    kinds = (*HEAVY, "GRID_SAMPLE", "SOFTMAX")
    counts: dict[str, Counter[str]] = {}
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        if layer.type.name in kinds:
            counts.setdefault(layer.type.name, Counter())[layer.get_input(0).dtype.name] += 1
    return {kind: dict(sorted(found.items())) for kind, found in sorted(counts.items())}


def described_precision(counts: dict[str, dict[str, int]]) -> str:
    """In words: how many of the heavy layers are fp16, and how GridSample samples."""
    heavy: Counter[str] = Counter()
    for kind in HEAVY:
        heavy.update(counts.get(kind, {}))
    words = f"{heavy['HALF']} of {heavy.total()} convolutions and matrix products in fp16"
    grid = counts.get("GRID_SAMPLE", {})
    return words + (f", GridSample in {', '.join(map(_plain, grid))}" if grid else "")


def _plain(name: str) -> str:
    return {"HALF": "fp16", "FLOAT": "fp32"}.get(name, name.lower())
