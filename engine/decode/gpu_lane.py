"""Decoding on a GPU: the pixels stay there; what the GPU refuses, the CPU decodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cxrsweep.engine.decode.fast_lane import Decoded, Decoder, is_fast
from cxrsweep.engine.decode.grey import Uint8, constant, other_size
from cxrsweep.engine.decode.jpeg_share import SizeClass, class_for
from cxrsweep.engine.decode.pipelines import DALI_ERRORS, built_encoded_pipeline
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.header import Header
from cxrsweep.engine.hardware.cuda import CudaContext, DevicePixels
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.recipe import Recipe

STREAMS = 4  # a batch decoding, one waiting for the network, two in it


class GpuDecoder:
    """Turns batches of checked files into network input on a GPU.

    Args:
        recipe: its equalisation, fit and side.
        batch: most radiographs in one call.
        threads: CPU threads, for the half of the work that stays there.
        context: of the GPU.
        classes: how radiographs of each size are decoded best.
        say: told when the CPU has to decode what the GPU should.
    """

    def __init__(
        self,
        recipe: Recipe,
        batch: int,
        threads: int,
        context: CudaContext,
        classes: Sequence[SizeClass],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._recipe, self._batch, self._threads = recipe, batch, threads
        self._context = context
        self._classes = classes
        # One for each batch on its way, so that none waits for the decoding of a later one.
        self._streams = [context.stream() for _ in range(STREAMS)]
        self._turn = 0
        self._say = say
        self._on_cpu_alone = 0
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
        except DALI_ERRORS as error:  # one bad file, or too little memory
            self._pipelines.pop(place, None)
            return self._decoded_without_the_bad(place, contents, headers, error)

    def decode_and_wait(self, files: Sequence[Checked]) -> None:
        """Decode a batch and wait until the GPU has done it, to time it."""
        self.decode([file.content for file in files], [file.header for file in files])
        with self._context.current():
            for stream in self._streams:
                stream.synchronize()

    def close(self) -> None:
        """Free DALI's buffers."""
        self._on_cpu.close()
        self._pipelines.clear()
        with self._context.current():
            self._streams.clear()
        if self._on_cpu_alone > 1:
            self._say(f"{self._on_cpu_alone} batches were decoded by the CPU instead of the GPU")

    def _decoded(
        self, pipeline: Any, contents: Sequence[bytes], headers: Sequence[Header]
    ) -> Decoded[Uint8 | DevicePixels]:
        pipeline.feed_input("files", [np.frombuffer(c, np.uint8) for c in contents])
        # Bound to our stream: whoever uses them there waits on the GPU, and the host does not.
        stream = self._streams[self._turn]
        self._turn = (self._turn + 1) % len(self._streams)
        pixels, shapes, lowest, highest = pipeline.run(stream.handle)
        refused = {
            place: other_size(header, (int(height), int(width)))
            for place, (header, (height, width, _)) in enumerate(
                zip(headers, shapes.as_array(), strict=True)
            )
            if (header.height, header.width) != (int(height), int(width))
        }
        dense = pixels.as_tensor()
        given: Uint8 | DevicePixels = DevicePixels(
            dense.data_ptr(), len(contents), stream, (pixels, dense), pixels
        )
        return Decoded(given, refused, lambda: _constants(lowest, highest))

    def _decoded_without_the_bad(
        self, place: int, contents: Sequence[bytes], headers: Sequence[Header], error: Exception
    ) -> Decoded[Uint8 | DevicePixels]:
        """The CPU finds the bad files; the GPU decodes the others, as it would without them."""
        found = self._on_cpu.decode(contents, headers)
        good = [number for number in range(len(contents)) if number not in found.refused]
        if not good or not found.refused:
            return self._noted(found, error)
        # A good file stands in, so that the others keep their places in the batch.
        chosen = [number if number in good else good[0] for number in range(len(contents))]
        try:
            again = self._decoded(
                self._pipeline(place), [contents[n] for n in chosen], [headers[n] for n in chosen]
            )
        except DALI_ERRORS as again_error:
            self._pipelines.pop(place, None)
            return self._noted(found, again_error)
        return replace(again, refused=again.refused | found.refused)

    def _noted(self, found: Decoded[Uint8], error: Exception) -> Decoded[Uint8 | DevicePixels]:
        self._on_cpu_alone += 1
        if self._on_cpu_alone == 1:
            reason = str(error).strip().splitlines()
            self._say(f"a batch is decoded by the CPU instead of the GPU: {reason[0][:200]}")
        return found

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
