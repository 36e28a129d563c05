"""Runs the fp32 graph on the CPU with OpenVINO: one radiograph per request, one stream per core.

A request holds exactly one radiograph, so no score can depend on its neighbours in the batch.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from cxrsweep.engine.errors import BundleError
from cxrsweep.engine.hardware.cuda import DevicePixels
from cxrsweep.engine.runners.base import Scores, scores_from

DEPTH = 2
STALL_S = 30.0


class PendingBatch:
    """Scores of one batch as they come in, in any order."""

    def __init__(
        self, count: int, outputs: dict[str, tuple[int, ...]], queue: ov.AsyncInferQueue
    ) -> None:
        self._queue = queue
        self._arrays = {
            name: np.empty((count, *shape), np.float32) for name, shape in outputs.items()
        }
        self._missing = count
        self._lock = threading.Lock()
        self._complete = threading.Event()
        self.started = time.perf_counter()
        self.ended = 0.0

    def store(self, place: int, results: dict[str, Any]) -> None:
        """Keep the outputs of one radiograph; called by the runtime's threads."""
        for name, array in self._arrays.items():
            array[place] = results[name][0]
        with self._lock:
            self._missing -= 1
            if not self._missing:
                self.ended = time.perf_counter()
                self._complete.set()

    def is_done(self) -> bool:
        """Whether every radiograph of the batch has its scores."""
        return self._complete.is_set()

    def result(self) -> Scores:
        """Wait for every radiograph of the batch.

        Raises:
            RuntimeError: a request failed in the runtime.
        """
        while not self._complete.wait(STALL_S):
            # A request that throws calls nobody back; waiting for the queue raises its error.
            self._queue.wait_all()
        return scores_from(self._arrays)


class OpenVinoRunner:
    """Executes a fused fp32 graph on CPU cores.

    Args:
        graph: ONNX file with input `radiographs` (N, 1, S, S) uint8.
        batch: radiographs per submit, at most.
        threads: cores to use; one stream each.

    Raises:
        BundleError: OpenVINO cannot read or compile the graph.
    """

    def __init__(self, graph: Path, batch: int, threads: int) -> None:
        core = ov.Core()
        try:
            model = core.read_model(graph)
            side = model.input("radiographs").partial_shape[3].get_length()
            model.reshape({"radiographs": [1, 1, side, side]})
            self._compiled = core.compile_model(model, "CPU", _settings(threads))
        except RuntimeError as error:
            raise BundleError(
                f"OpenVINO {ov.__version__} cannot compile {graph}: {error}"
            ) from error
        self.name = f"OpenVINO {ov.__version__.split('-')[0]}, CPU, {threads} streams"
        self.depth = DEPTH
        self._outputs = {
            output.get_any_name(): tuple(output.shape)[1:] for output in self._compiled.outputs
        }
        # As many requests as radiographs in flight: submit must not wait, or decoding would.
        self._queue = ov.AsyncInferQueue(self._compiled, (DEPTH + 1) * batch)
        self._queue.set_callback(self._store)

    def submit(self, pixels: NDArray[np.uint8] | DevicePixels) -> PendingBatch:
        """Start on a batch.

        Args:
            pixels: (N, 1, S, S) uint8.

        Returns:
            the scores to come.
        """
        assert not isinstance(pixels, DevicePixels), "only a GPU decoder gives device memory"
        pending = PendingBatch(len(pixels), self._outputs, self._queue)
        for place in range(len(pixels)):
            self._queue.start_async({0: pixels[place : place + 1]}, (pending, place))
        return pending

    def close(self) -> None:
        """Wait for what is in flight and free the network."""
        self._queue.wait_all()
        del self._queue, self._compiled

    def _store(self, request: Any, token: tuple[PendingBatch, int]) -> None:
        pending, place = token
        results = {name: request.get_tensor(name).data for name in self._outputs}
        pending.store(place, results)


def _settings(threads: int) -> dict[str, str]:
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": str(threads),
        "INFERENCE_NUM_THREADS": str(threads),
        # The decoder's threads share these cores: pinned streams would wait for one while another
        # stands idle.
        "ENABLE_CPU_PINNING": "NO",
        # On CPUs with bfloat16 the default is bfloat16, which moves scores by more than 1e-4.
        "INFERENCE_PRECISION_HINT": "f32",
    }
