"""Layers of Keras as layers of PyTorch: descriptions that fit in a recipe, and the weights.

Keras keeps channels last, PyTorch first: kernels are transposed, and what follows a Flatten is
put into the order in which PyTorch flattens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxrsweep.engine.errors import ExportError
from cxrsweep.export.keras_file import REMEDY, KerasLayer, KerasModel

Description = dict[str, Any]
KINDS = (
    "Conv2d", "BatchNorm2d", "BatchNorm1d", "MaxPool2d", "ZeroPad2d", "ReLU", "Tanh", "Sigmoid",
    "Flatten", "Linear",
)  # fmt: skip
ACTIVATIONS = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}
LAST = ("sigmoid", "softmax")


def sequential(layers: Sequence[Mapping[str, Any]]) -> nn.Module:
    """Build what a recipe describes: the network of an imported Keras model.

    Args:
        layers: {layer = a class of torch.nn among KINDS, and its keyword arguments}, in order.

    Returns:
        network from (N, channels, h, w) to logits (N, L).

    Raises:
        ValueError: a layer that is not among KINDS.
    """
    built: list[nn.Module] = []
    for number, layer in enumerate(layers):
        arguments = dict(layer)
        kind = arguments.pop("layer", None)
        if kind not in KINDS:
            raise ValueError(f"layers[{number}]: {kind!r} is none of {', '.join(KINDS)}")
        built.append(getattr(nn, kind)(**arguments))
    return nn.Sequential(*built)


@dataclass
class Translation:
    """What has been translated so far.

    Attributes:
        shape: of the data here, (height, width, channels) or (features,), as Keras counts.
        layers: descriptions for `sequential`.
        state: its state dict.
        order: after a Flatten, the place in Keras of each of PyTorch's features.
        activation: of the last layer, while it is the last.
    """

    shape: tuple[int, ...]
    layers: list[Description] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    order: NDArray[np.int64] | None = None
    activation: str = "linear"

    def add(self, layer: str, weights: Mapping[str, NDArray[Any]], **arguments: Any) -> None:
        """Append a layer of torch.nn with its weights."""
        for key, values in weights.items():
            self.state[f"{len(self.layers)}.{key}"] = torch.tensor(values.copy())
        self.layers.append({"layer": layer, **arguments})


def translated(model: KerasModel) -> Translation:
    """Translate a model but for its last activation, which the recipe names.

    Raises:
        ExportError: a layer or a setting that is not known, or an end that gives no scores.
    """
    done = Translation(model.input_shape)
    height, width, channels = model.input_shape
    if height != width or not 16 <= height <= 4096 or channels not in (1, 3):
        raise ExportError(
            f"the model takes {width} x {height} pixels of {channels} channels; a recipe gives"
            f" squares of 16 to 4096 pixels with 1 or 3: {REMEDY}"
        )
    for layer in model.layers:
        translate = _TRANSLATORS.get(layer.kind)
        if translate is None:
            known = ", ".join(_TRANSLATORS)
            raise _unknown(layer, f"only {known} are known: {REMEDY}")
        try:
            if done.activation in LAST and translate is not _nothing:
                _apply(done)
            translate(done, layer)
        except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise _unknown(layer, f"its settings make no sense ({error!r})") from error
    if done.activation not in LAST or len(done.shape) != 1:
        raise ExportError(
            f"the model ends in {model.layers[-1].name!r} with activation {done.activation!r}; its"
            f" scores must come from a sigmoid or a softmax after a Dense layer: {REMEDY}"
        )
    return done


def _unknown(layer: KerasLayer, what: str) -> ExportError:
    return ExportError(f"layer {layer.name!r} ({layer.kind}): {what}")


def _require(layer: KerasLayer, **wanted: tuple[Any, ...]) -> None:
    """Refuse settings whose effect is not translated."""
    for key, values in wanted.items():
        found = layer.config.get(key, values[0])
        found = tuple(found) if isinstance(found, list) else found
        if found not in values:
            raise _unknown(
                layer, f"{key} = {found!r}; only {' or '.join(map(repr, values))} is read: {REMEDY}"
            )


def _weights(layer: KerasLayer, **shapes: tuple[int, ...]) -> list[NDArray[np.float32]]:
    """The layer's weights in the order asked.

    Raises:
        ExportError: one is missing, unexpected or of another shape.
    """
    found = {key: values.shape for key, values in layer.weights.items()}
    if found != shapes:
        raise _unknown(
            layer, f"the file has weights {found} where its settings need {shapes}; save it again"
        )
    return [layer.weights[key] for key in shapes]


def _pictures(done: Translation, layer: KerasLayer) -> tuple[int, int, int]:
    if len(done.shape) != 3:
        raise _unknown(layer, f"it comes after a Flatten: {REMEDY}")
    return done.shape[0], done.shape[1], done.shape[2]


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _activate(done: Translation, layer: KerasLayer) -> None:
    """Note an activation; a sigmoid or softmax waits, because at the end it is the recipe's."""
    name = layer.config.get("activation", "linear")
    if not isinstance(name, str) or name not in ("linear", *ACTIVATIONS, *LAST):
        known = ", ".join(("linear", *ACTIVATIONS, "softmax"))
        raise _unknown(layer, f"activation {name!r}; only {known} are known: {REMEDY}")
    done.activation = name
    if name in ACTIVATIONS and name not in LAST:
        _apply(done)


def _apply(done: Translation) -> None:
    """Append the activation that waited."""
    if done.activation not in ACTIVATIONS:
        raise ExportError(f"a {done.activation} before the last layer is not read: {REMEDY}")
    done.add(ACTIVATIONS[done.activation], {})
    done.activation = "linear"


def _padding(layer: KerasLayer, size: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """Pixels that "same" adds before and after, and the length of the result."""
    _require(layer, padding=("valid", "same"))
    if layer.config.get("padding", "valid") == "valid":
        before = after = 0
    else:
        whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = whole // 2, whole - whole // 2
    length = (size + before + after - kernel) // stride + 1
    if length < 1:
        raise _unknown(layer, f"its window of {kernel} is larger than the {size} pixels it gets")
    return before, after, length


def _nothing(done: Translation, layer: KerasLayer) -> None:
    """An input, whose shape has been read already, or a Dropout, which does nothing here."""


def _convolution(done: Translation, layer: KerasLayer) -> None:
    height, width, inputs = _pictures(done, layer)
    _require(layer, data_format=("channels_last", None), dilation_rate=((1, 1),), groups=(1,))
    outputs, bias = int(layer.config["filters"]), bool(layer.config.get("use_bias", True))
    kernel, stride = _pair(layer.config["kernel_size"]), _pair(layer.config.get("strides", 1))
    top, bottom, rows = _padding(layer, height, kernel[0], stride[0])
    left, right, columns = _padding(layer, width, kernel[1], stride[1])
    shapes: dict[str, tuple[int, ...]] = {"kernel": (kernel[0], kernel[1], inputs, outputs)}
    values = _weights(layer, **shapes, **({"bias": (outputs,)} if bias else {}))
    arguments = {"in_channels": inputs, "out_channels": outputs, "kernel_size": kernel}
    if stride != [1, 1]:
        arguments["stride"] = stride
    if (top, left) != (bottom, right):
        done.add("ZeroPad2d", {}, padding=[left, right, top, bottom])
    elif top or left:
        arguments["padding"] = [top, left]
    weights = {"weight": values[0].transpose(3, 2, 0, 1)}
    if bias:
        weights["bias"] = values[1]
    else:
        arguments["bias"] = False
    done.add("Conv2d", weights, **arguments)
    done.shape = (rows, columns, outputs)
    _activate(done, layer)


def _pooling(done: Translation, layer: KerasLayer) -> None:
    height, width, channels = _pictures(done, layer)
    _require(layer, data_format=("channels_last", None))
    kernel = _pair(layer.config["pool_size"])
    stride = _pair(layer.config.get("strides") or kernel)
    top, bottom, rows = _padding(layer, height, kernel[0], stride[0])
    left, right, columns = _padding(layer, width, kernel[1], stride[1])
    if any(before not in (0, after) for before, after in ((top, bottom), (left, right))):
        raise _unknown(layer, f'padding = "same" adds more after than before: {REMEDY}')
    arguments: Description = {"kernel_size": kernel, "stride": stride}
    if top or left:
        arguments["padding"] = [top, left]
    if (top, left) != (bottom, right):
        arguments["ceil_mode"] = True  # windows that reach over the end, and only there
    done.add("MaxPool2d", {}, **arguments)
    done.shape = (rows, columns, channels)


def _norm(done: Translation, layer: KerasLayer) -> None:
    rank, features = len(done.shape), done.shape[-1]
    _require(layer, axis=(-1, rank, (rank,)))
    names = ["gamma"] * layer.config.get("scale", True) + ["beta"] * layer.config.get("center", 1)
    shape = (features,)
    _weights(layer, **dict.fromkeys([*names, "moving_mean", "moving_variance"], shape))
    order = slice(None) if done.order is None else done.order
    found = {
        "weight": layer.weights.get("gamma", np.ones(shape, np.float32))[order],
        "bias": layer.weights.get("beta", np.zeros(shape, np.float32))[order],
        "running_mean": layer.weights["moving_mean"][order],
        "running_var": layer.weights["moving_variance"][order],
        "num_batches_tracked": np.array(0),
    }
    kind = "BatchNorm2d" if rank == 3 else "BatchNorm1d"
    done.add(kind, found, num_features=features, eps=float(layer.config.get("epsilon", 1e-3)))


def _flatten(done: Translation, layer: KerasLayer) -> None:
    _require(layer, data_format=("channels_last", None))
    if len(done.shape) == 1:
        return
    count = int(np.prod(done.shape))
    done.order = np.arange(count).reshape(done.shape).transpose(2, 0, 1).ravel()
    done.add("Flatten", {})
    done.shape = (count,)


def _dense(done: Translation, layer: KerasLayer) -> None:
    if len(done.shape) != 1:
        raise _unknown(layer, f"it comes before a Flatten: {REMEDY}")
    inputs, outputs = done.shape[0], int(layer.config["units"])
    bias = bool(layer.config.get("use_bias", True))
    values = _weights(layer, kernel=(inputs, outputs), **({"bias": (outputs,)} if bias else {}))
    kernel = values[0] if done.order is None else values[0][done.order]
    weights = {"weight": kernel.T}
    arguments: Description = {"in_features": inputs, "out_features": outputs}
    if bias:
        weights["bias"] = values[1]
    else:
        arguments["bias"] = False
    done.add("Linear", weights, **arguments)
    done.shape, done.order = (outputs,), None
    _activate(done, layer)


_TRANSLATORS: dict[str, Callable[[Translation, KerasLayer], None]] = {
    "InputLayer": _nothing,
    "Conv2D": _convolution,
    "BatchNormalization": _norm,
    "MaxPooling2D": _pooling,
    "Flatten": _flatten,
    "Dense": _dense,
    "Dropout": _nothing,
    "Activation": _activate,
}
