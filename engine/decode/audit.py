"""A second opinion on the fast lane: some radiographs are decoded another way and compared."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from cxrsweep.engine.archive import Entry
from cxrsweep.engine.decode.batches import Batch
from cxrsweep.engine.decode.fast_lane import Decoded, Decoder
from cxrsweep.engine.decode.grey import Uint8
from cxrsweep.engine.hardware.cuda import DevicePixels
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.recipe import Recipe

# Grey levels, mean over the S x S input. Rounding in a JPEG decoder makes less than one, also after
# equalisation; a scrambled, shifted or half-grey picture makes tens.
TOLERANCE = 2.0
BATCH = 8
AHEAD = 2


@dataclass(frozen=True)
class Disagreement:
    """A radiograph that two decoders see differently.

    Attributes:
        entry: it.
        difference: mean over its pixels, in grey levels after equalisation and fit.
    """

    entry: Entry
    difference: float


class Audit:
    """Decodes a sample a second time, in the careful lane and beside the sweep.

    Args:
        recipe: of the sweep's bundle.
        fraction: of the radiographs of the fast lane that are compared, in [0, 1].
    """

    def __init__(self, recipe: Recipe, fraction: float) -> None:
        self._recipe = recipe
        self._fraction = fraction
        self._decoder: Decoder | None = None
        self._thread = ThreadPoolExecutor(1, "cxrsweep-audit")
        self._waiting: deque[Future[None]] = deque()
        self._compared, self._largest = 0, 0.0
        self._disagreements: list[Disagreement] = []

    def compare(self, batch: Batch, decoded: Decoded[Uint8 | DevicePixels]) -> None:
        """Compare the chosen ones of a batch that the fast lane decoded."""
        chosen = [
            place
            for place, file in enumerate(batch.files)
            if place not in decoded.refused and is_chosen(file.entry.ordinal, self._fraction)
        ]
        if not chosen or not batch.is_fast:
            return
        files = [batch.files[place] for place in chosen]
        first = on_host(decoded.pixels)[chosen]
        # Files and pixels of what waits are kept: where all is audited, the sweep waits instead.
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= AHEAD):
            self._waiting.popleft().result()  # raises what went wrong
        self._waiting.append(self._thread.submit(self._compare, files, first))

    def close(self) -> None:
        """Finish what was begun and free everything."""
        self._thread.shutdown()
        if self._decoder:
            self._decoder.close()
            self._decoder = None

    def _compare(self, files: Sequence[Checked], first: Uint8) -> None:
        self._decoder = self._decoder or Decoder(self._recipe, BATCH, threads=1)
        for start in range(0, len(files), BATCH):
            self._compare_some(files[start : start + BATCH], first[start : start + BATCH])

    def _compare_some(self, files: Sequence[Checked], first: Uint8) -> None:
        assert self._decoder
        again = self._decoder.decode(
            [file.content for file in files], [file.header for file in files], carefully=True
        )
        second = again.pixels
        for number, file in enumerate(files):
            if number not in again.refused:
                difference = np.abs(first[number].astype(np.int16) - second[number]).mean()
                self._note(file.entry, float(difference))

    def taken(self) -> list[Disagreement]:
        """The disagreements since the last call, once everything begun is compared."""
        while self._waiting:
            self._waiting.popleft().result()
        found, self._disagreements = self._disagreements, []
        return found

    def described(self) -> str:
        """One line for the end of the sweep; empty where nothing was compared."""
        if not self._compared:
            return ""
        return (
            f"audit: {self._compared} radiographs were decoded a second way; the largest mean"
            f" difference is {self._largest:.2f} grey levels"
        )

    def _note(self, entry: Entry, difference: float) -> None:
        self._compared += 1
        self._largest = max(self._largest, difference)
        if difference > TOLERANCE:
            self._disagreements.append(Disagreement(entry, difference))


def is_chosen(ordinal: int, fraction: float) -> bool:
    """Whether a radiograph is in the sample: by its place alone, so that restarts choose alike."""
    return zlib.crc32(b"%d" % ordinal) < fraction * 2**32


def on_host(pixels: Uint8 | DevicePixels) -> Uint8:
    """(N, 1, S, S) uint8 in host memory, copied from the GPU if it is there."""
    if not isinstance(pixels, DevicePixels):
        return pixels
    array = np.asarray(pixels.listed.as_cpu().as_array(), np.uint8)
    return array.reshape(array.shape[0], 1, *array.shape[1:3])
