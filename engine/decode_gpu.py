"""Decoding on a GPU: the pixels stay there; what the GPU refuses, the CPU decodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cxrsweep.engine.cuda import CudaContext, DevicePixels
from cxrsweep.engine.decode import Decoded, Decoder, is_fast
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.grey import Uint8, constant, other_size
from cxrsweep.engine.header import Header
from cxrsweep.engine.jpeg_share import SizeClass, class_for
from cxrsweep.engine.pipelines import built_encoded_pipeline
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.recipe import Recipe


class GpuDecoder:
    """Turns batches of checked files into network input on a GPU.

    Args:
        recipe: its equalisation, fit and side.
        batch: most radiographs in one call.
        threads: CPU threads, for the half of the work that stays there.
        context: of the GPU.
        classes: how radiographs of each size are decoded best.
    """

    def __init__(
        self,
        recipe: Recipe,
        batch: int,
        threads: int,
        context: CudaContext,
        classes: Sequence[SizeClass],
    ) -> None:
        self._recipe, self._batch, self._threads = recipe, batch, threads
        self._context = context
        self._classes = classes
        self._stream = context.stream()
        self._on_cpu = Decoder(recipe, batch, threads)
        self._pipelines: dict[int, Any] = {}

    def decode(
        self, contents: Sequence[bytes], headers: Sequence[Header], *, carefully: bool = False
    ) -> Decoded[Uint8 | DevicePixels]:
        """Decode one batch whose radiographs are either all fast or all not.

        Args:
            contents: whole files.
            headers: from the gate, in the same order.
            carefully: not in this process, whatever they are.

        Returns:
            pixels on the GPU, or in host memory where the CPU had to decode; and refusals.
        """
        if carefully or not all(is_fast(header) for header in headers):
            return self._on_cpu.decode(contents, headers, carefully=carefully)
        place = class_for(self._classes, (header.width * header.height for header in headers))
        try:
            return self._decoded(self._pipeline(place), contents, headers)
        except RuntimeError:  # one bad file, or too little memory
            del self._pipelines[place]
            return self._decoded_without_the_bad(place, contents, headers)

    def decode_and_wait(self, files: Sequence[Checked]) -> None:
        """Decode a batch and wait until the GPU has done it, to time it."""
        self.decode([file.content for file in files], [file.header for file in files])
        with self._context.current():
            self._stream.synchronize()

    def close(self) -> None:
        """Free DALI's buffers."""
        self._on_cpu.close()
        self._pipelines.clear()
        with self._context.current():
            del self._stream

    def _decoded(
        self, pipeline: Any, contents: Sequence[bytes], headers: Sequence[Header]
    ) -> Decoded[Uint8 | DevicePixels]:
        pipeline.feed_input("files", [np.frombuffer(c, np.uint8) for c in contents])
        # Bound to our stream: whoever uses them there waits on the GPU, and the host does not.
        pixels, shapes, lowest, highest = pipeline.run(self._stream.handle)
        refused = {
            place: other_size(header, (int(height), int(width)))
            for place, (header, (height, width, _)) in enumerate(
                zip(headers, shapes.as_array(), strict=True)
            )
            if (header.height, header.width) != (int(height), int(width))
        }
        dense = pixels.as_tensor()
        given: Uint8 | DevicePixels = DevicePixels(
            dense.data_ptr(), len(contents), self._stream, (pixels, dense)
        )
        return Decoded(given, refused, lambda: _constants(lowest, highest))

    def _decoded_without_the_bad(
        self, place: int, contents: Sequence[bytes], headers: Sequence[Header]
    ) -> Decoded[Uint8 | DevicePixels]:
        """The CPU finds the bad files; the GPU decodes the others, as it would without them."""
        found = self._on_cpu.decode(contents, headers)
        good = [number for number in range(len(contents)) if number not in found.refused]
        if not good or not found.refused:
            return found
        # A good file stands in, so that the others keep their places in the batch.
        chosen = [number if number in good else good[0] for number in range(len(contents))]
        try:
            again = self._decoded(
                self._pipeline(place), [contents[n] for n in chosen], [headers[n] for n in chosen]
            )
        except RuntimeError:
            del self._pipelines[place]
            return found
        return replace(again, refused=again.refused | found.refused)

    def _pipeline(self, place: int) -> Any:
        """The pipeline of a class of size, made when the first of its batches comes."""
        if place not in self._pipelines:
            self._pipelines[place] = built_encoded_pipeline(
                self._recipe, self._classes[place].use, self._batch, self._threads
            )
        return self._pipelines[place]


def _constants(lowest: Any, highest: Any) -> dict[int, Refused]:
    """Which radiographs are one grey value; copies two numbers each to the host and waits."""
    low, high = (np.ravel(found.as_cpu().as_array()) for found in (lowest, highest))
    return {place: constant(low[place]) for place in np.flatnonzero(low == high).tolist()}
