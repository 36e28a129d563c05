"""Cuts a stream of checked files into batches of one lane, bounded in count and in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cxrsweep.engine.decode import is_fast
from cxrsweep.engine.reader import Checked, Rejected

# One byte each: what a batch may hold decoded at the same time.
CPU_BATCH_PIXELS = 16_000_000
GPU_BATCH_PIXELS = 256_000_000


@dataclass
class Batch:
    """Files that are decoded together: either all fast or all not.

    Attributes:
        files: in the order of the archive.
        pixels: of all of them together.
    """

    files: list[Checked] = field(default_factory=list)
    pixels: int = 0

    def add(self, checked: Checked) -> None:
        """Put one more file in."""
        self.files.append(checked)
        self.pixels += pixels_of(checked)


def batches_of(
    stream: Iterable[Checked | Rejected], size: int, max_pixels: int
) -> Iterator[Batch | Rejected]:
    """Group the files of one shard.

    Args:
        stream: files after the gate.
        size: most files in a batch.
        max_pixels: most pixels in a batch, unless one file alone has more.

    Yields:
        batches of one lane each; files the gate refused, alone and at once.
    """
    lanes = {True: Batch(), False: Batch()}
    for checked in stream:
        if isinstance(checked, Rejected):
            yield checked
            continue
        fast = is_fast(checked.header)
        if lanes[fast].files and lanes[fast].pixels + pixels_of(checked) > max_pixels:
            yield lanes[fast]
            lanes[fast] = Batch()
        lanes[fast].add(checked)
        if len(lanes[fast].files) == size:
            yield lanes[fast]
            lanes[fast] = Batch()
    yield from (batch for batch in lanes.values() if batch.files)


def pixels_of(checked: Checked) -> int:
    """Width times height as stored."""
    return checked.header.width * checked.header.height
