"""A sample of an archive: all entries in, the same few of them each time out."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cxrsweep.engine.archive import Entry

SEED = 0


def sampled_entries(entries: Iterable[Entry], count: int) -> Iterator[Entry]:
    """Choose entries as by lot: those whose hashes, of seed and id, are the lowest.

    So the choice depends on neither order nor chance, and a larger sample holds every smaller one.

    Args:
        entries: in the order of the archive.
        count: how many; all where there are fewer.

    Yields:
        the chosen ones in the order of the archive, with new ordinals.
    """
    lowest: list[tuple[int, int, Entry]] = []  # a heap whose first has the highest hash
    for entry in entries:
        lot = (-_hash(entry.radiograph), entry.ordinal, entry)
        if len(lowest) < count:
            heapq.heappush(lowest, lot)
        else:
            heapq.heappushpop(lowest, lot)
    chosen = sorted((entry for *_, entry in lowest), key=lambda entry: entry.ordinal)
    for ordinal, entry in enumerate(chosen):
        yield replace(entry, ordinal=ordinal)


def _hash(radiograph: str) -> int:
    text = f"{SEED}:{radiograph}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8])
