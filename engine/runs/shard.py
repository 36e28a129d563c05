"""A shard: a fixed slice of the index and the unit of restart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """A contiguous slice of a sweep.

    Attributes:
        number: from 0.
        start: ordinal of its first radiograph.
        count: radiographs in it.
    """

    number: int
    start: int
    count: int

    @property
    def part_name(self) -> str:
        """File name of its rows."""
        return f"{self.number:06d}.csv"


def shards_of(indexed: int, size: int) -> list[Shard]:
    """Cut `indexed` radiographs into shards of `size`; the last may be shorter."""
    return [
        Shard(number, start, min(size, indexed - start))
        for number, start in enumerate(range(0, indexed, size))
    ]
