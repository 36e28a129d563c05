"""The rival: a well-written PyTorch DataLoader loop over the same files with the same weights.

Worker processes decode with OpenCV and resize like DALI; the network runs in channels-last batches
in inference mode. Run it as a program:
    python -m cxrsweep.bench.rivals.pytorch_loop RECIPE FOLDER OUTPUT.json
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from cxrsweep.engine.recipe import Recipe, recipe_from_toml
from cxrsweep.export.bundling import fused_from_recipe


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
        pixels = torch.from_numpy(np.asarray(grey)).float()[None, None]
        fitted = F.interpolate(
            pixels, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False
        )
        return fitted[0].round().clamp(0, 255).byte()


def _prepare_worker(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def run_loop(recipe_path: Path, paths: Sequence[Path], batch: int, workers: int) -> dict[str, object]:
    """Score the files once.

    Args:
        recipe_path: names the weights.
        paths: the radiographs.
        batch: radiographs per network call.
        workers: decoding processes.

    Returns:
        seconds from the start of the loop to the last score, and scores by file name.
    """
    recipe = recipe_from_toml(recipe_path)
    assert recipe.fit == "stretch" and recipe.equalise != "clahe", "this rival knows only stretch"
    network = fused_from_recipe(recipe, recipe_path.parent).to(memory_format=torch.channels_last)
    loader = DataLoader(
        Radiographs(paths, recipe),
        batch_size=batch,
        num_workers=workers,
        worker_init_fn=_prepare_worker,
        prefetch_factor=2 if workers else None,
    )
    scores: list[list[float]] = []
    with torch.inference_mode():
        network(torch.zeros(batch, 1, recipe.side, recipe.side, dtype=torch.uint8))
        start = time.perf_counter()
        for radiographs in loader:
            scores += network(radiographs)[0].tolist()
        seconds = time.perf_counter() - start
    named = {path.name: row for path, row in zip(paths, scores, strict=True)}
    return {"seconds": seconds, "radiographs": len(paths), "scores": named}


def main() -> None:
    """Read the arguments, run once and write JSON."""
    recipe, folder, output, batch, workers = sys.argv[1:]
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    result = run_loop(Path(recipe), paths, int(batch), int(workers))
    Path(output).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
