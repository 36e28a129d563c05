"""A Keras .h5 in, weights and the recipe's classifier out, compared with Keras where it is."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from cxrsweep.engine.errors import ExportError, ParityError
from cxrsweep.export.fuse import activated
from cxrsweep.export.keras_file import KerasModel, keras_model_from_h5
from cxrsweep.export.keras_layers import sequential, translated

NETWORK = "cxrsweep.export.keras_layers:sequential"
LARGEST_DIFFERENCE = 1e-5
COMPARED = 4  # random pictures
# What decides the answers of a layer; the rest of a configuration is never given to Keras.
SETTINGS = (
    "filters", "kernel_size", "strides", "padding", "use_bias", "activation", "axis", "epsilon",
    "scale", "center", "pool_size", "units", "rate",
)  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """What an import gives.

    Attributes:
        classifier: the recipe's table, with labels that are still to be named.
        parameters: how many numbers the weights are.
        difference: largest difference of a score from Keras; None where Keras is not installed.
    """

    classifier: dict[str, Any]
    parameters: int
    difference: float | None


def imported(path: Path, output: Path) -> Imported:
    """Translate a Keras model and write its weights.

    Args:
        path: the .h5 of a sequential model.
        output: .safetensors to write.

    Raises:
        ExportError: what cannot be read, and what to do.
        ParityError: PyTorch and Keras disagree; nothing is written.
    """
    if output.suffix != ".safetensors":
        raise ExportError(f"-o {output}: the weights become a .safetensors file")
    model = keras_model_from_h5(path)
    done = translated(model)
    network = sequential(done.layers).eval()
    network.load_state_dict(done.state)
    generator = np.random.default_rng(0)
    pictures = generator.random((COMPARED, *model.input_shape), np.float32)
    expected = _answers_of_keras(model, pictures)
    difference = None
    if expected is not None:
        with torch.inference_mode():
            planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
            found = activated(network(planes), done.activation).numpy()
        difference = float(np.abs(found - expected).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise ParityError(
                f"{path}: PyTorch and Keras differ by {difference:.2g} on random pictures"
                f" (limit {LARGEST_DIFFERENCE:g}); nothing was written. Report it with the file"
            )
    save_file(done.state, output)
    count = done.shape[0]
    classifier: dict[str, Any] = {
        "network": NETWORK,
        "weights": output.name,
        "side": model.input_shape[0],
        "channels": model.input_shape[2],
        "activation": done.activation,
        "labels": [f"label_{number}" for number in range(1, count + 1)],
        "kwargs": {"layers": done.layers},
    }
    return Imported(classifier, sum(t.numel() for t in done.state.values()), difference)


def _answers_of_keras(model: KerasModel, pictures: NDArray[np.float32]) -> Any:
    """Build the same layers in Keras with the file's weights and run them."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError:
        return None
    layers: Sequence[Any] = [
        getattr(keras.layers, layer.kind)(
            **{key: layer.config[key] for key in SETTINGS if key in layer.config}
        )
        for layer in model.layers
        if layer.kind != "InputLayer"
    ]
    network = keras.Sequential([keras.Input(model.input_shape), *layers])
    own = [layer for layer in model.layers if layer.kind != "InputLayer"]
    for built, layer in zip(layers, own, strict=True):
        built.set_weights(list(layer.weights.values()))
    return keras.ops.convert_to_numpy(network(pictures, training=False))


def as_toml(classifier: dict[str, Any]) -> str:
    """The recipe's `[classifier]`: a line for each key and each layer."""
    lines = ["[classifier]"]
    lines += [f"{key} = {json.dumps(classifier[key])}" for key in classifier if key != "kwargs"]
    lines.append("kwargs = { layers = [")
    for layer in classifier["kwargs"]["layers"]:
        pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in layer.items())
        lines.append(f"    {{ {pairs} }},")
    return "\n".join([*lines, "] }"])
