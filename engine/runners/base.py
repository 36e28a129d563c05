"""What the sweep asks of a runner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.hardware.cuda import DevicePixels

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """What the fused network says about a batch.

    Attributes:
        scores: (N, L) float32 in [0, 1], in the order of the bundle's labels.
        lung_box: (N, 4) float32 x0, y0, x1, y1 as fractions of the S-sized radiograph, end
            exclusive; the whole radiograph where no lung was found.
        lung_fraction: (N,) float32, share of the radiograph that is lung; nan without a segmenter.
        probe_scores: (N, L) float32 with the lungs removed, or None without a probe.
    """

    scores: Float32
    lung_box: Float32
    lung_fraction: Float32
    probe_scores: Float32 | None


def scores_from(outputs: dict[str, Float32]) -> Scores:
    """Name the outputs of a fused network; without a segmenter the whole radiograph is the box."""
    count = len(outputs["scores"])
    whole = np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1))
    return Scores(
        outputs["scores"],
        outputs.get("lung_box", whole),
        outputs.get("lung_fraction", np.full(count, np.nan, np.float32)),
        outputs.get("probe_scores"),
    )


class Pending(Protocol):
    """A batch on its way."""

    @property
    def started(self) -> float:
        """When it was submitted, on the clock of time.perf_counter."""
        ...

    @property
    def ended(self) -> float:
        """When its last score came, on the same clock; 0 before."""
        ...

    def is_done(self) -> bool:
        """Whether `result` would return at once."""
        ...

    def result(self) -> Scores:
        """Wait for the scores."""
        ...


class Runner(Protocol):
    """Executes the fused network.

    Attributes:
        name: what executes on what, for people.
        depth: batches that should be in flight.
    """

    name: str
    depth: int

    def submit(self, pixels: NDArray[np.uint8] | DevicePixels) -> Pending:
        """Start on (N, 1, S, S) uint8 and return at once."""
        ...

    def close(self) -> None:
        """Wait for what is in flight and free everything."""
        ...
