"""The rival: a well-written PyTorch DataLoader loop over the same files with the same weights.

Worker processes decode with OpenCV and resize like DALI; the network runs in channels-last batches
in inference mode; on a GPU in fp16 through torch.compile, from pinned memory. Run it as a program:
    python -m cxrsweep.bench.rivals.pytorch_loop RECIPE FOLDER OUTPUT BATCH WORKERS CORES [DEVICE]
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.recipe import Recipe, recipe_from_toml
from cxrsweep.export.trained import fused_from_recipe, half_of


class Radiographs(Dataset[Tensor]):
    """Files as (1, S, S) uint8, decoded, equalised and stretched in the worker.

    Args:
        paths: files that OpenCV can decode.
        recipe: its side and equalisation; only the fit "stretch" is known here.
    """

    def __init__(self, paths: Sequence[Path], recipe: Recipe) -> None:
        self.paths = paths
        self.side = recipe.side
        self.equalise = recipe.equalise == "histogram"

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Tensor:
        grey = cv2.imread(str(self.paths[place]), cv2.IMREAD_GRAYSCALE)
        assert grey is not None, f"OpenCV cannot decode {self.paths[place]}"
        if self.equalise:
            grey = cv2.equalizeHist(grey)
        columns = shrunk_rows(torch.from_numpy(np.asarray(grey)).float(), self.side)
        fitted = shrunk_rows(columns.T, self.side).T
        return fitted.round().clamp(0, 255).byte()[None]


def shrunk_rows(plane: Tensor, side: int) -> Tensor:
    """Resize the rows of a plane with the antialiased triangle filter, as DALI does.

    torch and DALI differ in the first and last row alone: where the filter reaches over the border,
    torch leaves its taps out and DALI repeats the border. Same scores need the same pixels.

    Args:
        plane: (h, w) float32.
        side: rows of the result.

    Returns:
        (side, w) float32.
    """
    wide = (side, plane.shape[1])
    rows = F.interpolate(plane[None, None], wide, mode="bilinear", antialias=True)[0, 0]
    weights = _border_weights(plane.shape[0] / side)
    rows[0] = weights @ plane[: len(weights)]
    rows[-1] = weights.flip(0) @ plane[-len(weights) :]
    return rows


def _border_weights(scale: float) -> Tensor:
    """Weights of the first source rows in the first row of the result."""
    centre, radius = scale / 2 - 0.5, max(scale, 1.0)
    taps = np.arange(math.floor(centre - radius), math.ceil(centre + radius) + 1)
    shares = np.clip(1 - np.abs(taps - centre) / radius, 0, None)
    weights = np.zeros(taps.max() + 1, np.float32)
    np.add.at(weights, np.clip(taps, 0, None), shares / shares.sum())
    return torch.from_numpy(weights)


def _prepare_worker(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def run_loop(
    recipe_path: Path, paths: Sequence[Path], batch: int, workers: int, device: str = "cpu"
) -> dict[str, Any]:
    """Score the files once.

    Args:
        recipe_path: names the weights.
        paths: the radiographs.
        batch: radiographs per network call.
        workers: decoding processes.
        device: as PyTorch names it; on a GPU let the paths fill the last batch, or it is
            compiled anew.

    Returns:
        seconds from the start of the loop to the last score, and scores in the order of the paths.
    """
    recipe = recipe_from_toml(recipe_path)
    assert recipe.fit == "stretch", "this rival knows no other fit"
    assert recipe.equalise != "clahe", "this rival knows no CLAHE"
    on_gpu = device != "cpu"
    fused = fused_from_recipe(recipe, recipe_path.parent)
    network: nn.Module = (half_of(fused) if on_gpu else fused).to(  # type: ignore[call-overload]
        device, memory_format=torch.channels_last
    )
    run = torch.compile(network, dynamic=False) if on_gpu else network
    loader = DataLoader(
        Radiographs(paths, recipe),
        batch_size=batch,
        num_workers=workers,
        worker_init_fn=_prepare_worker,
        prefetch_factor=2 if workers else None,
        pin_memory=on_gpu,
    )
    scores: list[list[float]] = []
    with torch.inference_mode():
        run(torch.zeros(batch, 1, recipe.side, recipe.side, dtype=torch.uint8, device=device))
        start = time.perf_counter()
        for radiographs in loader:
            scores += run(radiographs.to(device, non_blocking=True))[0].tolist()
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "radiographs": len(paths), "scores": scores}


def main() -> None:
    """Read the arguments, run once and write JSON."""
    recipe, folder, output, batch, workers, cores, *device = sys.argv[1:]
    torch.set_num_threads(int(cores))
    entries = list(open_archives([Path(folder)], Selection()))
    paths = [Path(entry.location) for entry in entries]
    result = run_loop(Path(recipe), paths, int(batch), int(workers), *device)
    names = [entry.radiograph for entry in entries]
    result["scores"] = dict(zip(names, result["scores"], strict=True))
    Path(output).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
