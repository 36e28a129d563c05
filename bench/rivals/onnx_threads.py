"""The rival without PyTorch: OpenCV in threads, ONNX Runtime in several runs side by side.

One core per run, as light convolutions gain little from more; no spinning, as the decoding threads
share the cores. Run it as a program:
    python -m cxrsweep.bench.rivals.onnx_threads BUNDLE FOLDER OUTPUT BATCH RUNS DECODERS FILTER
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from cxrsweep.bench.rivals.outcome import listed, outcome_of
from cxrsweep.bench.rivals.pixels import Preparation
from cxrsweep.engine.bundle import FP32_GRAPH, open_bundle


def opened_session(graph: Path) -> onnxruntime.InferenceSession:
    """A session whose runs take one core each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run_threads(
    session: onnxruntime.InferenceSession,
    preparation: Preparation,
    paths: Sequence[Path],
    batch: int,
    runs: int,
    decoders: int,
) -> list[list[float]]:
    """Score files: decoders ahead of the runs, neither waiting for the other longer than it must.

    Returns:
        scores of each file, in order.
    """

    def score(pixels: Sequence[Future[NDArray[np.uint8]]]) -> list[list[float]]:
        stacked = np.stack([one.result() for one in pixels])
        scores: list[list[float]] = session.run(["scores"], {"radiographs": stacked})[0].tolist()
        return scores

    scores: list[list[float]] = []
    with ThreadPoolExecutor(decoders) as decoding, ThreadPoolExecutor(runs) as running:
        waiting: deque[Future[list[list[float]]]] = deque()
        for start in range(0, len(paths), batch):
            files = [decoding.submit(preparation.fitted, p) for p in paths[start : start + batch]]
            waiting.append(running.submit(score, files))
            while len(waiting) > 2 * runs:
                scores += waiting.popleft().result()
        while waiting:
            scores += waiting.popleft().result()
    return scores


def main() -> None:
    """Read the arguments, run once and write JSON."""
    bundle_folder, folder, output, batch, runs, decoders, resize = sys.argv[1:]
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    bundle = open_bundle(Path(bundle_folder))
    session = opened_session(bundle.path(FP32_GRAPH))
    preparation = Preparation(bundle.recipe, area=resize == "area")
    radiographs, paths = listed(Path(folder))
    side = bundle.recipe.side
    session.run(["scores"], {"radiographs": np.zeros((int(batch), 1, side, side), np.uint8)})
    start = time.perf_counter()
    scores = run_threads(session, preparation, paths, int(batch), int(runs), int(decoders))
    seconds = time.perf_counter() - start
    outcome_of(seconds, radiographs, scores).write(Path(output))


if __name__ == "__main__":
    main()
