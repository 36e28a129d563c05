"""The rival on a GPU: the same networks in PyTorch, fp16, eager and compiled, input on the device.

Every mode is on the disk before the next begins. Run it as a program:
    python -m cxrsweep.bench.rivals.torch_gpu RECIPE REFERENCE.npz OUTPUT.json BATCH DEVICE
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cxrsweep.engine.recipe import recipe_from_toml
from cxrsweep.export.fuse import FusedNetwork
from cxrsweep.export.trained import fused_from_recipe, half_of

MEASURE_S = 2.0
WARM = 5

Run = Callable[[Tensor], tuple[Tensor, ...]]


def modes_of(network: FusedNetwork, device: str) -> dict[str, Callable[[], Run]]:
    """Ways to run the network, each made when it is called."""

    def on_device(module: nn.Module) -> nn.Module:
        placed: nn.Module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed.eval()

    modes: dict[str, Callable[[], Run]] = {"fp32 eager": lambda: on_device(network)}
    if device != "cpu":  # PyTorch has no fast fp16 there
        modes["fp16 eager"] = lambda: on_device(half_of(network))
        modes["fp16 compiled"] = lambda: compiled(on_device(half_of(network)))
    return modes


def compiled(network: nn.Module) -> Run:
    """The network through torch.compile, for one shape."""
    made: Run = torch.compile(network, dynamic=False)
    return made


def outputs_of(network: Run, pixels: Tensor, batch: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Scores, boxes and fractions of all pixels, the last batch padded to its full length."""
    parts = []
    for start in range(0, len(pixels), batch):
        places = torch.arange(start, start + batch, device=pixels.device) % len(pixels)
        parts.append([column.float().cpu() for column in network(pixels[places])])
    columns = [torch.cat(column)[: len(pixels)].numpy() for column in zip(*parts, strict=True)]
    found = dict(zip(names, columns, strict=True))
    count = len(pixels)
    whole = np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1))
    return {
        "scores": found["scores"].tolist(),
        "boxes": found.get("lung_box", whole).tolist(),
        "fractions": found.get("lung_fraction", np.full(count, np.nan)).tolist(),
    }


def rate(network: Run, pixels: Tensor, seconds: float) -> dict[str, float]:
    """Radiographs/s with the input on the device, and milliseconds per batch."""
    wait = torch.cuda.synchronize if pixels.is_cuda else (lambda: None)
    for _ in range(WARM if pixels.is_cuda else 1):
        network(pixels)
    wait()
    done, start = 0, time.perf_counter()
    while not done or time.perf_counter() - start < seconds:
        network(pixels)
        wait()
        done += 1
    took = time.perf_counter() - start
    return {
        "radiographs_per_s": round(done * len(pixels) / took, 1),
        "ms_per_batch": round(took / done * 1e3, 3),
    }


def measured(
    make: Callable[[], Run], pixels: Tensor, batch: int, names: tuple[str, ...]
) -> dict[str, Any]:
    """One mode: outputs, rate, and seconds until its first batch was done."""
    start = time.perf_counter()
    network = make()
    outputs = outputs_of(network, pixels, batch, names)
    first_s = round(time.perf_counter() - start, 2)
    places = torch.arange(batch, device=pixels.device) % len(pixels)
    return {**outputs, "first_pass_s": first_s, **rate(network, pixels[places], MEASURE_S)}


def main() -> None:
    """Read the arguments, run every mode and write JSON."""
    recipe_path, reference, output, batch, device = sys.argv[1:]
    recipe = recipe_from_toml(Path(recipe_path))
    network = fused_from_recipe(recipe, Path(recipe_path).parent)
    with np.load(reference) as held:
        pixels = torch.from_numpy(held["pixels"]).to(device)
    names = tuple(network.output_names)
    found: dict[str, Any] = {"torch": torch.__version__, "batch": int(batch)}
    with torch.inference_mode():
        for mode, make in modes_of(network, device).items():
            try:
                found[mode] = measured(make, pixels, int(batch), names)
            except Exception as error:  # noqa: BLE001 (torch.compile raises anything; keep the rest)
                found[mode] = {"error": f"{type(error).__name__}: {str(error)[:600]}"}
            Path(output).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
