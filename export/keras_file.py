"""A sequential Keras model out of its .h5 file: layers and weights in, the same for PyTorch out.

The file is read by h5py alone; nothing that it names is imported or run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.errors import ExportError

Weights = dict[str, NDArray[np.float32]]
REMEDY = "write its network in PyTorch and name it in the recipe"


@dataclass(frozen=True)
class KerasLayer:
    """One layer as the file has it.

    Attributes:
        kind: Keras's class, e.g. "Conv2D".
        name: Keras's name, e.g. "conv2d_1".
        config: its settings.
        weights: "kernel", "bias", "gamma", ... -> values in Keras's layout, float32.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    weights: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class KerasModel:
    """A sequential model: (height, width, channels) of its input, and its layers in order."""

    input_shape: tuple[int, int, int]
    layers: list[KerasLayer]


def keras_model_from_h5(path: Path) -> KerasModel:
    """Read a model that `model.save("....h5")` wrote, by Keras 2 or 3.

    Raises:
        ExportError: no such file, weights without a model, or a model that is not sequential.
    """
    try:
        with h5py.File(path) as file:
            config = _config_of(file, path)
            groups = file["model_weights"]
            layers = [_layer_of(entry, groups, path) for entry in _entries_of(config, path)]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(
            f"{path} is no whole Keras model in HDF5 ({error}); save it with"
            ' model.save("model.h5"), also where it is a .keras file or a folder now'
        ) from error
    return KerasModel(_input_shape(config, layers, path), layers)


def _config_of(file: h5py.File, path: Path) -> Mapping[str, Any]:
    if "model_config" not in file.attrs:
        raise ExportError(
            f'{path} holds weights without a model; save both with model.save("model.h5")'
        )
    config: Mapping[str, Any] = json.loads(file.attrs["model_config"])
    if config["class_name"] != "Sequential":
        raise ExportError(
            f"{path} holds a model of class {config['class_name']!r}; only Sequential ones are"
            f" read: {REMEDY}"
        )
    return config


def _entries_of(config: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    # Keras 2.2 and before wrote the list of layers itself.
    own = config["config"]
    entries: list[Mapping[str, Any]] = own if isinstance(own, list) else own["layers"]
    if not entries:
        raise ExportError(f"{path} holds a model without layers")
    return entries


def _layer_of(entry: Mapping[str, Any], groups: h5py.Group, path: Path) -> KerasLayer:
    config = entry["config"]
    name = str(config["name"])
    weights: Weights = {}
    if name in groups:
        for stored in groups[name].attrs.get("weight_names", []):
            full = stored.decode() if isinstance(stored, bytes) else str(stored)
            values = np.asarray(groups[name][full], np.float32)
            if not np.isfinite(values).all():
                raise ExportError(f"{path}: layer {name!r}: {full} holds values that are no number")
            weights[full.rsplit("/", 1)[-1].split(":")[0]] = values
    return KerasLayer(str(entry["class_name"]), name, config, weights)


def _input_shape(
    config: Mapping[str, Any], layers: list[KerasLayer], path: Path
) -> tuple[int, int, int]:
    """Where the versions of Keras note it: at the first layer, or at the model."""
    own = config["config"]
    places = [layers[0].config, own if isinstance(own, dict) else {}]
    for place in places:
        for key in ("batch_shape", "batch_input_shape", "build_input_shape"):
            shape = place.get(key)
            if shape and len(shape) == 4 and all(isinstance(side, int) for side in shape[1:]):
                return (shape[1], shape[2], shape[3])
    raise ExportError(
        f"{path} has no fixed input of height, width and channels; build the model with"
        " input_shape=(side, side, 1) and save it again"
    )
