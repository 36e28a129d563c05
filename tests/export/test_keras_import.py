"""Keras models become PyTorch networks with the same answers, or are refused with a reason."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import ExportError
from cxrsweep.engine.recipe import Classifier
from cxrsweep.export.checkpoint import trained_network
from cxrsweep.export.fuse import activated
from cxrsweep.export.keras_import import imported

os.environ.setdefault("KERAS_BACKEND", "torch")
SIDE = 32
# Keras 3.15 has not caught up with NumPy 2 where it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def layers() -> Any:
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    return keras.layers


def saved(path: Path, parts: list[Any], side: int = SIDE, channels: int = 1) -> Any:
    """Make a model whose every weight has been moved, and save it in the old format."""
    import keras

    model = keras.Sequential([keras.Input((side, side, channels)), *parts])
    generator = np.random.default_rng(3)
    for weight in model.weights:
        low, high = (0.5, 1.5) if "variance" in weight.path else (-0.5, 0.5)
        weight.assign(generator.uniform(low, high, weight.shape))
    model.save(path)
    return model


def scores_of(folder: Path, table: dict[str, Any], pictures: NDArray[np.float32]) -> Any:
    """The way of an export: the recipe's table, the callable, the weights file."""
    recipe = Classifier.model_validate(table)
    network = trained_network(recipe, "classifier", folder)
    with torch.inference_mode():
        planes = torch.from_numpy(pictures).permute(0, 3, 1, 2)
        return activated(network(planes), recipe.activation).numpy()


MODELS: dict[str, Callable[[Any], list[Any]]] = {
    "as published: valid, pooled, flattened": lambda k: [
        k.Conv2D(8, 3, activation="relu"),
        k.MaxPooling2D(2),
        k.Conv2D(6, (5, 3), activation="relu"),
        k.MaxPooling2D((2, 3)),
        k.Dropout(0.4),
        k.Flatten(),
        k.Dense(12, activation="relu"),
        k.Dropout(0.5),
        k.Dense(1, activation="sigmoid"),
    ],
    "same, norms, activations apart": lambda k: [
        k.Conv2D(5, 3, padding="same", use_bias=False),
        k.BatchNormalization(),
        k.Activation("relu"),
        k.Conv2D(4, (4, 3), strides=(2, 3), padding="same", activation="tanh"),
        k.BatchNormalization(scale=False, epsilon=0.01),
        k.MaxPooling2D(3, strides=2, padding="same"),
        k.Flatten(),
        k.BatchNormalization(center=False),
        k.Dense(7, use_bias=False),
        k.BatchNormalization(),
        k.Activation("sigmoid"),
        k.Dense(3),
        k.Activation("softmax"),
    ],
    "pooled over the end, one padded to the even": lambda k: [
        k.Conv2D(4, 4, activation="relu"),
        k.MaxPooling2D(2, padding="same"),
        k.MaxPooling2D(3, strides=1, padding="same"),
        k.Flatten(),
        k.Dense(2, activation="sigmoid"),
        k.Dropout(0.1),
    ],
}


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_keras(tmp_path: Path, layers: Any, name: str) -> None:
    model = saved(tmp_path / "model.h5", MODELS[name](layers))
    found = imported(tmp_path / "model.h5", tmp_path / "w.safetensors")
    pictures = np.random.default_rng(1).random((5, SIDE, SIDE, 1)).astype(np.float32)
    pictures *= np.array([0.1, 0.3, 1, 2, 4], np.float32)[:, None, None, None]
    expected = np.asarray(model(pictures, training=False).detach())
    assert np.ptp(expected, 0).max() > 1e-3, "a constant could not be told apart"
    scores = scores_of(tmp_path, found.classifier, pictures)
    # float32 sums in another order.
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert found.difference is not None
    assert found.difference <= 1e-5
    assert found.parameters >= model.count_params()


def test_colour_model_takes_three_channels(tmp_path: Path, layers: Any) -> None:
    parts = [layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    saved(tmp_path / "model.h5", parts, channels=3)
    found = imported(tmp_path / "model.h5", tmp_path / "w.safetensors")
    assert found.classifier["channels"] == 3


def tensorflow_file(path: Path, **changes: Any) -> tuple[Any, ...]:
    """A model as TensorFlow 2.2 wrote it, byte strings and all: 16 x 16, convolution, dense."""
    generator = np.random.default_rng(2)
    kernel = generator.normal(size=(3, 3, 1, 2)).astype(np.float32)
    dense = generator.normal(size=(14 * 14 * 2, 1)).astype(np.float32) / 10
    bias = np.array([0.2], np.float32)
    convolution = {
        "name": "conv2d", "trainable": True, "batch_input_shape": [None, 16, 16, 1],
        "dtype": "float32", "filters": 2, "kernel_size": [3, 3], "strides": [1, 1],
        "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1,
        "activation": "relu", "use_bias": False,
        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
        **changes.get("conv2d", {}),
    }  # fmt: skip
    last = {"name": "dense", "units": 1, "activation": "sigmoid", **changes.get("dense", {})}
    entries = [
        {"class_name": changes.get("kind", "Conv2D"), "config": convolution},
        {"class_name": "Flatten", "config": {"name": "flatten", "data_format": "channels_last"}},
        {"class_name": "Dense", "config": last},
    ]
    model = {"class_name": changes.get("model", "Sequential"), "config": {"layers": entries}}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.3.0-tf"
        file.attrs["model_config"] = json.dumps(model).encode()
        groups = file.create_group("model_weights")
        stored = {"conv2d": {"kernel": kernel}, "dense": {"kernel": dense, "bias": bias}}
        for layer, weights in stored.items():
            group = groups.create_group(layer)
            names = [f"{layer}/{key}:0".encode() for key in weights]
            group.attrs["weight_names"] = names
            for name, values in zip(names, weights.values(), strict=True):
                group[name.decode()] = changes.get("values", {}).get(layer, values)
        groups.create_group("flatten").attrs["weight_names"] = []
    return kernel, dense, bias


def test_file_of_tensorflow_2_is_read_without_its_library(tmp_path: Path) -> None:
    kernel, dense, bias = tensorflow_file(tmp_path / "model.h5")
    found = imported(tmp_path / "model.h5", tmp_path / "w.safetensors")
    picture = np.random.default_rng(4).random((16, 16)).astype(np.float64)
    # Loops over what Keras means: a window, channels last, rows of channels flattened.
    plane = np.zeros((14, 14, 2))
    for row in range(14):
        for column in range(14):
            window = picture[row : row + 3, column : column + 3]
            plane[row, column] = np.maximum((window[..., None] * kernel[:, :, 0]).sum((0, 1)), 0)
    expected = 1 / (1 + np.exp(-(plane.ravel() @ dense + bias)))
    scores = scores_of(tmp_path, found.classifier, picture[None, ..., None].astype(np.float32))
    np.testing.assert_allclose(scores[0], expected, atol=1e-5)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown layer": (
        {"kind": "SeparableConv2D"},
        r"'conv2d' \(SeparableConv2D\): only Inp",
    ),
    "code": ({"kind": "Lambda"}, r"\(Lambda\): only .* write its network in PyTorch"),
    "padding": ({"conv2d": {"padding": "causal"}}, "padding = 'causal'; only 'valid' or 'same'"),
    "channels first": ({"conv2d": {"data_format": "channels_first"}}, "'channels_first'; only"),
    "dilated": ({"conv2d": {"dilation_rate": [2, 2]}}, r"dilation_rate = \(2, 2\)"),
    "activation": ({"conv2d": {"activation": "swish"}}, "activation 'swish'; only linear, relu"),
    "uneven pooling": (
        {"kind": "MaxPooling2D", "conv2d": {"pool_size": 4, "strides": 1, "padding": "same"}},
        "adds more after",
    ),
    "custom": ({"conv2d": {"activation": {"class_name": "X"}}}, "activation {'class_name'"),
    "softmax within": ({"conv2d": {"activation": "softmax"}}, "softmax before the last layer"),
    "no scores": ({"dense": {"activation": "linear"}}, "must come from a sigmoid or a softmax"),
    "functional": ({"model": "Functional"}, "class 'Functional'; only Sequential"),
    "shape": ({"conv2d": {"filters": 3}}, r"weights {'kernel': \(3, 3, 1, 2\)} where .* need"),
    "no sense": ({"conv2d": {"filters": "many"}}, "settings make no sense"),
    "no input": ({"conv2d": {"batch_input_shape": None}}, "no fixed input"),
    "oblong": ({"conv2d": {"batch_input_shape": [None, 16, 20, 1]}}, "takes 20 x 16 pixels"),
    "too small": ({"conv2d": {"kernel_size": [30, 30]}}, "window of 30 is larger than the 16"),
    "not a number": ({"values": {"dense": np.full((392, 1), np.nan)}}, "values that are no number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_translated_is_named(tmp_path: Path, name: str) -> None:
    changes, message = REFUSED[name]
    tensorflow_file(tmp_path / "model.h5", **changes)
    with pytest.raises(ExportError, match=message):
        imported(tmp_path / "model.h5", tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_files_that_hold_no_model_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"PK\x03\x04 a .keras file")
    with pytest.raises(ExportError, match=r"model\.h5 is no whole Keras model.*model\.save"):
        imported(path, tmp_path / "w.safetensors")
    with h5py.File(path, "w") as file:
        file.create_group("dense")
    with pytest.raises(ExportError, match="weights without a model"):
        imported(path, tmp_path / "w.safetensors")
    tensorflow_file(path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(ExportError, match="no whole Keras model"):
        imported(path, tmp_path / "w.safetensors")
    tensorflow_file(path)
    with pytest.raises(ExportError, match=r"become a \.safetensors"):
        imported(path, tmp_path / "w.pt")


def test_command_prints_a_classifier_that_a_recipe_takes(tmp_path: Path) -> None:
    tensorflow_file(tmp_path / "model.h5")
    words = ["export", "import-keras", str(tmp_path / "model.h5")]
    words += ["-o", str(tmp_path / "w.safetensors"), "--json", str(tmp_path / "found.json")]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    table = tomllib.loads(done.stdout)["classifier"]
    assert json.loads((tmp_path / "found.json").read_text())["classifier"] == table
    assert (table["side"], table["activation"]) == (16, "sigmoid")
    assert scores_of(tmp_path, table, np.zeros((1, 16, 16, 1), np.float32)).shape == (1, 1)
    assert "411 numbers" in done.stderr


def test_recipe_names_no_layer_but_the_known(tmp_path: Path) -> None:
    tensorflow_file(tmp_path / "model.h5")
    table = imported(tmp_path / "model.h5", tmp_path / "w.safetensors").classifier
    table["kwargs"]["layers"][0]["layer"] = "Identity"
    with pytest.raises(ExportError, match=r"layers\[0\]: 'Identity' is none of Conv2d"):
        scores_of(tmp_path, table, np.zeros((1, 16, 16, 1), np.float32))
