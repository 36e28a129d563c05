"""Cuts a stream of checked files into batches of one lane, bounded in count and in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from cxrsweep.engine.decode.fast_lane import is_fast
from cxrsweep.engine.reader import Checked, Rejected

# One byte each: what a batch may hold decoded at the same time.
CPU_BATCH_PIXELS = 16_000_000
GPU_BATCH_PIXELS = 256_000_000


@dataclass
class Batch:
    """Files that are decoded together: either all fast or all not.

    Attributes:
        is_fast: by DALI in this process; otherwise by the careful lane.
        files: in the order of the archive.
        pixels: of all of them together.
    """

    is_fast: bool
    files: list[Checked] = field(default_factory=list)
    pixels: int = 0

    def add(self, checked: Checked) -> None:
        """Put one more file in."""
        self.files.append(checked)
        self.pixels += pixels_of(checked)


def batches_of(
    stream: Iterable[Checked | Rejected],
    size: int,
    max_pixels: int,
    suspects: frozenset[int] = frozenset(),
) -> Iterator[Batch | Rejected]:
    """Group the files of one shard.

    Args:
        stream: files after the gate.
        size: most files in a batch.
        max_pixels: most pixels in a batch, unless one file alone has more.
        suspects: ordinals of files that were in work when a worker died: never fast.

    Yields:
        batches of one lane each; files the gate refused, alone and at once.
    """
    lanes = {True: Batch(True), False: Batch(False)}
    for checked in stream:
        if isinstance(checked, Rejected):
            yield checked
            continue
        if checked.entry.ordinal in suspects:
            checked = replace(checked, header=replace(checked.header, is_native=False))
            fast = False
        else:
            fast = is_fast(checked.header)
        if lanes[fast].files and lanes[fast].pixels + pixels_of(checked) > max_pixels:
            yield lanes[fast]
            lanes[fast] = Batch(fast)
        lanes[fast].add(checked)
        if len(lanes[fast].files) == size:
            yield lanes[fast]
            lanes[fast] = Batch(fast)
    yield from (batch for batch in lanes.values() if batch.files)


def pixels_of(checked: Checked) -> int:
    """Width times height as stored."""
    return checked.header.width * checked.header.height
