"""Small statistics of repeated measurements."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """Value below which a share of the values lies, linear between neighbours as in NumPy.

    Args:
        values: at least one.
        share: in [0, 1].
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread_of(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99, least and most of some values, and how many there are."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "least": 0.0, "most": 1.0}
    found = {name: round(percentile(values, share), 4) for name, share in shares.items()}
    return {**found, "count": len(values)}


@dataclass(frozen=True)
class Load:
    """What one pass of some work goes through.

    Attributes:
        radiographs: how many.
        pixels, bytes: of all of them, as stored.
    """

    radiographs: int
    pixels: int
    bytes: int


def rate_of(
    load: Load, work: Callable[[], object], least_s: float, passes: int = 50
) -> dict[str, float]:
    """Time passes of some work after one that warms up, until enough time went by.

    Args:
        load: of one pass.
        work: one pass, which returns when it is done.
        least_s: seconds to measure at least.
        passes: most passes.

    Returns:
        radiographs, megapixels and megabytes per second, over all passes but the first.
    """
    work()
    done, start = 0, time.perf_counter()
    while not done or (done < passes and time.perf_counter() - start < least_s):
        work()
        done += 1
    seconds = time.perf_counter() - start
    return {
        "radiographs_per_s": round(done * load.radiographs / seconds, 2),
        "megapixels_per_s": round(done * load.pixels / seconds / 1e6, 2),
        "megabytes_per_s": round(done * load.bytes / seconds / 1e6, 2),
        "seconds": round(seconds, 3),
        "passes": done,
    }
