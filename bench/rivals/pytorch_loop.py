"""The rival: a well-written PyTorch DataLoader loop over the same files with the same weights.

Worker processes decode with OpenCV and resize like DALI; the network runs in channels-last batches
in inference mode; on a GPU in fp16 through torch.compile, from pinned memory. Run it as a program:
    python -m cxrsweep.bench.rivals.pytorch_loop RECIPE FOLDER OUTPUT BATCH WORKERS CORES [DEVICE]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cxrsweep.bench.rivals.outcome import listed, outcome_of
from cxrsweep.bench.rivals.pixels import Preparation
from cxrsweep.engine.recipe import Recipe, recipe_from_toml
from cxrsweep.export.trained import fused_from_recipe, half_of


class Radiographs(Dataset[Tensor]):
    """Files as (1, S, S) uint8, decoded, equalised and stretched in the worker.

    Args:
        paths: files that OpenCV can decode.
        recipe: how.
    """

    def __init__(self, paths: Sequence[Path], recipe: Recipe) -> None:
        self.paths = paths
        self.preparation = Preparation(recipe)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Tensor:
        return torch.from_numpy(self.preparation.fitted(self.paths[place]))


def _prepare_worker(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def run_loop(
    recipe_path: Path, paths: Sequence[Path], batch: int, workers: int, device: str = "cpu"
) -> tuple[float, list[list[float]]]:
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
    return seconds, scores


def main() -> None:
    """Read the arguments, run once and write JSON."""
    recipe, folder, output, batch, workers, cores, *device = sys.argv[1:]
    torch.set_num_threads(int(cores))
    radiographs, paths = listed(Path(folder))
    seconds, scores = run_loop(Path(recipe), paths, int(batch), int(workers), *device)
    outcome_of(seconds, radiographs, scores).write(Path(output))


if __name__ == "__main__":
    main()
