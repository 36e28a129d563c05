"""A recipe and its weights in, the fused PyTorch network out; needs no ONNX."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from cxrsweep.engine.errors import ExportError
from cxrsweep.engine.recipe import Recipe
from cxrsweep.export.checkpoint import trained_network
from cxrsweep.export.fuse import FusedNetwork


def fused_from_recipe(recipe: Recipe, folder: Path) -> FusedNetwork:
    """Load the trained parts and fuse them in fp32.

    Args:
        recipe: names networks and weights.
        folder: of the recipe file.

    Returns:
        the network in evaluation mode.

    Raises:
        ExportError: a part cannot be loaded, or does not give what the recipe says.
    """
    classifier = trained_network(recipe.classifier, "classifier", folder)
    segmenter = trained_network(recipe.segmenter, "segmenter", folder) if recipe.segmenter else None
    network = FusedNetwork(recipe, classifier, segmenter).eval()
    _require_outputs(network)
    return network


def half_of(network: FusedNetwork) -> FusedNetwork:
    """A copy whose networks compute in fp16; box, grid and activation stay in fp32."""
    segmenter = copy.deepcopy(network.segmenter) if network.recipe.segmenter else None
    classifier = copy.deepcopy(network.classifier)
    return FusedNetwork(network.recipe, classifier, segmenter, torch.float16).eval()


def _require_outputs(network: FusedNetwork) -> None:
    """Run one black radiograph through, so that a wrong shape is named before the export.

    Raises:
        ExportError: a network fails on its input, or the classifier has another number of outputs.
    """
    recipe = network.recipe
    try:
        with torch.inference_mode():
            scores = network(torch.zeros(2, 1, recipe.side, recipe.side, dtype=torch.uint8))[0]
    except Exception as error:
        raise ExportError(
            "the networks do not run on the shapes that the recipe gives them"
            f" (segmenter.side, classifier.side, channels): {error}"
        ) from error
    labels = recipe.classifier.labels
    if tuple(scores.shape) != (2, len(labels)):
        raise ExportError(
            f"classifier: gives scores of shape {tuple(scores.shape)} for 2 radiographs, but"
            f" classifier.labels names {len(labels)}: {', '.join(labels)}"
        )
