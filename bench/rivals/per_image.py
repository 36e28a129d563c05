"""The rival that most people begin with: one radiograph after the other through PyTorch.

No workers and no batches; the network in inference mode with all cores. Run it as a program:
    python -m cxrsweep.bench.rivals.per_image RECIPE FOLDER OUTPUT CORES
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from cxrsweep.bench.rivals.outcome import listed, outcome_of
from cxrsweep.bench.rivals.pixels import Preparation
from cxrsweep.engine.recipe import recipe_from_toml
from cxrsweep.export.trained import fused_from_recipe


def main() -> None:
    """Read the arguments, run once and write JSON."""
    recipe_path, folder, output, cores = sys.argv[1:]
    torch.set_num_threads(int(cores))
    recipe = recipe_from_toml(Path(recipe_path))
    network = fused_from_recipe(recipe, Path(recipe_path).parent).eval()
    preparation = Preparation(recipe)
    radiographs, paths = listed(Path(folder))
    scores: list[list[float]] = []
    with torch.inference_mode():
        network(torch.zeros(1, 1, recipe.side, recipe.side, dtype=torch.uint8))
        start = time.perf_counter()
        for path in paths:
            pixels = torch.from_numpy(preparation.fitted(path))[None]
            scores += network(pixels)[0].tolist()
        seconds = time.perf_counter() - start
    outcome_of(seconds, radiographs, scores).write(Path(output))


if __name__ == "__main__":
    main()
