"""Recipes of the tiny networks: bundles that open and sweep in half the time of a real one."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_networks import TinyClassifier, TinySegmenter

SEGMENTER = """
[segmenter]
network = "tiny_networks:TinySegmenter"
weights = "segmenter.safetensors"
side = 32
mean = 0.5
std = 0.25
"""
CLASSIFIER = """
[classifier]
network = "tiny_networks:TinyClassifier"
weights = "classifier.safetensors"
side = 32
labels = ["one", "two"]
activation = "{activation}"
"""


def write_recipe(
    folder: Path, top: str = "", segmenter: str = SEGMENTER, activation: str = "softmax"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    save_file(TinySegmenter().state_dict(), folder / "segmenter.safetensors")
    save_file(TinyClassifier().state_dict(), folder / "classifier.safetensors")
    path = folder / "recipe.toml"
    head = f'name = "tiny"\nside = 64\n{top}\n'
    path.write_text(head + segmenter + CLASSIFIER.format(activation=activation))
    return path
