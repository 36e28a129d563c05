"""Loads what a team has trained: "module:callable" plus weights in, a checked torch module out."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cxrsweep.engine.errors import ExportError
from cxrsweep.engine.recipe import Network

# Where training scripts commonly nest the state dict.
NESTED_KEYS = ("state_dict", "model_state_dict", "model")
LISTED_KEYS = 8
# Checkpoints of Tartaglione et al. 2020 hold the last epoch's figures as objects of these classes.
PUBLISHED_FIGURES = tuple(f"utils.metrics.{name}" for name in ("Accuracy", "RocAuc", "FScore"))


class _StandIn:
    """Takes the place of a published class when a checkpoint is read: it has no code to run."""


def trained_network(recipe: Network, part: str, folder: Path) -> nn.Module:
    """Build a network and load its weights.

    Args:
        recipe: names the network and the weights.
        part: "segmenter" or "classifier", for messages.
        folder: of the recipe; weights and modules are looked up there first.

    Returns:
        the module in evaluation mode, float32, on the CPU.

    Raises:
        ExportError: no such module or weights, a callable that fails, or keys that do not fit.
    """
    if recipe.weights is None:
        raise ExportError(f"{part}.weights: missing; name the trained weights, beside the recipe")
    path = folder / recipe.weights
    if not path.is_file():
        raise ExportError(f"{part}.weights: {path} does not exist")
    if path.suffix == ".pt2":
        if recipe.network:
            raise ExportError(f"{part}: a .pt2 holds its network; remove {part}.network")
        return _network_from_program(path, part)
    if not recipe.network:
        raise ExportError(f'{part}.network: missing; give "module:callable" for {path.name}')
    network = _built_network(recipe, part, folder)
    _load(network, _state_dict_from_file(path, part), part, path)
    return network.float().eval()


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))


def _built_network(recipe: Network, part: str, folder: Path) -> nn.Module:
    module_name, callable_name = str(recipe.network).split(":")
    with _importable(folder):
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            missing = (error.name or module_name).split(".")[0]
            raise ExportError(
                f"{part}.network: cannot import {module_name!r} ({error}); install its package"
                f" (pip install {missing}) or put the module beside the recipe in {folder}"
            ) from error
        build = getattr(module, callable_name, None)
        if not callable(build):
            raise ExportError(
                f"{part}.network: {module_name} has no callable {callable_name!r}; it has"
                f" {[name for name in dir(module) if not name.startswith('_')][:LISTED_KEYS]}"
            )
        try:
            network = build(**recipe.kwargs)
        except Exception as error:
            raise ExportError(
                f"{part}.network: {recipe.network}(**{recipe.kwargs}) fails:"
                f" {type(error).__name__}: {error}"
            ) from error
    if not isinstance(network, nn.Module):
        raise ExportError(f"{part}.network: {recipe.network} gives a {type(network).__name__}")
    return network


def _network_from_program(path: Path, part: str) -> nn.Module:
    try:
        with _tensors_only():
            module: nn.Module = torch.export.load(path).module()
    except Exception as error:
        raise ExportError(f"{part}.weights: {path} is no torch.export program: {error}") from error
    return module


@contextlib.contextmanager
def _tensors_only() -> Iterator[None]:
    """Hold torch.export.load (2.13) to tensors: by itself it falls back to unpickling anything."""
    load, load_object = torch.load, pickle.loads

    def restricted(*arguments: Any, **options: Any) -> Any:
        return load(*arguments, **{**options, "weights_only": True})

    def _refused(*_: Any, **__: Any) -> Any:
        raise UnpicklingError("a pickled object inside a .pt2 is refused")

    torch.load, pickle.loads = restricted, _refused
    try:
        yield
    finally:
        torch.load, pickle.loads = load, load_object


def _state_dict_from_file(path: Path, part: str) -> dict[str, Tensor]:
    """Read tensors by name; nothing but tensors and plain containers is ever unpickled."""
    try:
        if path.suffix == ".safetensors":
            tensors: dict[str, Tensor] = load_file(path)
            return tensors
        if path.suffix in (".pt", ".pth"):
            with torch.serialization.safe_globals([(_StandIn, name) for name in PUBLISHED_FIGURES]):
                loaded = torch.load(path, map_location="cpu", weights_only=True)
            return _unnested(loaded, path, part)
    except ExportError:
        raise
    except UnpicklingError as error:
        raise ExportError(
            f"{part}.weights: {path} is damaged or holds more than tensors, and running code out"
            " of a weights file is refused; save network.state_dict(), best as .safetensors"
        ) from error
    except Exception as error:  # torch's restricted unpickler raises anything on odd bytes
        raise ExportError(f"{part}.weights: {path} is damaged: {error!r}") from error
    raise ExportError(
        f"{part}.weights: {path.name} ends in {path.suffix!r}; use .safetensors, .pt, .pth or .pt2"
    )


def _unnested(loaded: Any, path: Path, part: str) -> dict[str, Tensor]:
    for key in NESTED_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise ExportError(
            f"{part}.weights: {path} holds no state dict; save network.state_dict(), alone or"
            f" under one of {', '.join(NESTED_KEYS)}"
        )
    # DataParallel puts "module." before every key.
    if loaded and all(key.startswith("module.") for key in loaded):
        return {key.removeprefix("module."): tensor for key, tensor in loaded.items()}
    return dict(loaded)


def _load(network: nn.Module, state: Mapping[str, Tensor], part: str, path: Path) -> None:
    wanted = network.state_dict()
    faults = {
        "missing": sorted(set(wanted) - set(state)),
        "unexpected": sorted(set(state) - set(wanted)),
        "wrongly shaped": [
            f"{key} {tuple(state[key].shape)} for {tuple(wanted[key].shape)}"
            for key in sorted(set(wanted) & set(state))
            if state[key].shape != wanted[key].shape
        ],
    }
    if any(faults.values()):
        lines = [
            f"  {len(keys)} {fault}: {', '.join(keys[:LISTED_KEYS])}"
            + (", ..." if len(keys) > LISTED_KEYS else "")
            for fault, keys in faults.items()
            if keys
        ]
        raise ExportError(
            "\n".join([f"{part}.weights: the keys of {path.name} do not fit the network:", *lines])
        )
    network.load_state_dict(dict(state))
