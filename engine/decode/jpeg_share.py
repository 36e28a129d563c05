"""How much of a batch a GPU's JPEG engines should decode: measured once a run, by size of file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from typing import Any

from cxrsweep.engine.archive import Contents, Entry
from cxrsweep.engine.decode.batches import pixels_of
from cxrsweep.engine.decode.fast_lane import is_fast
from cxrsweep.engine.decode.pipelines import DecoderUse
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, checked_from_entry

SHARES = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
# Radiographs of 1 and of 4 megapixels: 1024 x 1024 exports below, detectors' own sizes above.
CLASS_LIMITS_MP = (1.2, 4.0)
NO_LIMIT_MP = 1e6
SAMPLE = 96
ROUNDS = 2


@dataclass(frozen=True)
class SizeClass:
    """Files of similar size and the decoder's best use for them.

    Attributes:
        up_to_mp: megapixels of the largest file; the last class takes all.
        use: share of the JPEG engines and size hints.
        rates: share -> radiographs/s that were measured; empty where nothing was.
    """

    up_to_mp: float
    use: DecoderUse
    rates: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Plain values for run.json."""
        return asdict(self)


def size_class_from_json(values: dict[str, Any]) -> SizeClass:
    """Read one back, so that a run goes on decoding as it began."""
    return SizeClass(float(values["up_to_mp"]), DecoderUse(**values["use"]), values["rates"])


def class_for(classes: Sequence[SizeClass], pixels: Iterable[int]) -> int:
    """Place of the class of a batch, by the median of its radiographs' pixels."""
    middle = statistics.median(pixels) / 1e6
    fitting = [place for place, found in enumerate(classes) if middle <= found.up_to_mp]
    return fitting[0] if fitting else len(classes) - 1


def sampled(
    entries: Iterable[Entry], count: int, limits: Limits, size: int = SAMPLE
) -> list[Checked]:
    """Read evenly spaced files and keep those that the fast lane decodes.

    Args:
        entries: the whole index, in order.
        count: how many these are.
        limits: of the gate.
        size: most files to read.
    """
    step = max(count // size, 1)
    with closing(Contents(limits)) as contents:
        chosen = islice(entries, 0, step * size, step)
        read = [checked_from_entry(entry, contents, limits) for entry in chosen]
    return [file for file in read if isinstance(file, Checked) and _is_fast(file)]


def measured_classes(
    files: Sequence[Checked],
    number: int,
    batch: int,
    seconds_of: Callable[[DecoderUse, Sequence[Sequence[Checked]]], float],
) -> list[SizeClass]:
    """Try every share on a sample and keep the fastest, for each class of size by itself.

    Args:
        files: the sample.
        number: of the GPU as CUDA counts.
        batch: radiographs decoded together.
        seconds_of: decodes the batches with a use and tells how long that took, warmed up.

    Returns:
        one per class, also for classes without a file in the sample.
    """
    limits = (*CLASS_LIMITS_MP, NO_LIMIT_MP)
    lower = (0.0, *CLASS_LIMITS_MP)
    return [
        _measured(
            [f for f in files if low < pixels_of(f) / 1e6 <= up], up, number, batch, seconds_of
        )
        for low, up in zip(lower, limits, strict=True)
    ]


def seconds_to_decode(
    decode: Callable[[Sequence[Checked]], None], batches: Sequence[Sequence[Checked]]
) -> float:
    """Time some batches after the first, which makes the buffers."""
    decode(batches[0])
    start = time.perf_counter()
    for files in batches:
        decode(files)
    return time.perf_counter() - start


def _measured(
    files: Sequence[Checked],
    up_to_mp: float,
    number: int,
    batch: int,
    seconds_of: Callable[[DecoderUse, Sequence[Sequence[Checked]]], float],
) -> SizeClass:
    width = max((file.header.width for file in files), default=0)
    height = max((file.header.height for file in files), default=0)
    use = DecoderUse("mixed", number, width_hint=width, height_hint=height)
    if not any(file.header.kind == "jpeg" for file in files):
        return SizeClass(up_to_mp, use, {})  # the engines decode JPEG alone
    again = cycle(files)
    batches = [list(islice(again, batch)) for _ in range(ROUNDS)]
    rates = {
        share: ROUNDS * batch / seconds_of(replace(use, hardware_share=share), batches)
        for share in SHARES
    }
    best = max(rates, key=lambda share: rates[share])
    shown = {str(share): round(rate, 1) for share, rate in rates.items()}
    return SizeClass(up_to_mp, replace(use, hardware_share=best), shown)


def _is_fast(file: Checked) -> bool:
    return is_fast(file.header)
