"""Decoding: checked files in, equalised and fitted uint8 radiographs out.

DALI fails a whole batch on one bad radiograph. A batch that raises is therefore decoded again one
by one, and what DALI still refuses goes to the careful lane before it is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from cxrsweep.engine.decode.careful.lane import CarefulLane
from cxrsweep.engine.decode.flat_rest import FLAT_REST, has_flat_rest
from cxrsweep.engine.decode.geometry import content_of
from cxrsweep.engine.decode.grey import Uint8, constant, other_size
from cxrsweep.engine.decode.pipelines import (
    DALI_ERRORS,
    DecoderUse,
    built_encoded_pipeline,
    built_raw_pipeline,
)
from cxrsweep.engine.decode.quality import quality_words
from cxrsweep.engine.decode.turning import as_stored
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import UPRIGHT, Header
from cxrsweep.engine.recipe import Recipe

BITS = 8  # what the network takes; more is windowed, which the careful lane does
FAST_KINDS = frozenset({"jpeg", "png"})


PixelsT = TypeVar("PixelsT", covariant=True)


@dataclass(frozen=True)
class Decoded(Generic[PixelsT]):
    """A decoded batch.

    Attributes:
        pixels: (N, 1, S, S) uint8, equalised and fitted; anything where refused.
        refused: place in the batch -> why it has no pixels.
        refused_late: the same for what is known only after the batch was scored; may wait.
        flagged: place in the batch -> words for the column `flags`.
    """

    pixels: PixelsT
    refused: dict[int, Refused]
    refused_late: Callable[[], dict[int, Refused]] = dict
    flagged: dict[int, str] = field(default_factory=dict)


_Pixels = tuple[Uint8, dict[int, Refused]]


def is_fast(header: Header) -> bool:
    """Whether DALI may decode the file itself: an 8-bit walked JPEG or PNG without an EXIF turn."""
    return header.kind in FAST_KINDS and header.orientation == UPRIGHT and header.bits <= BITS


class Decoder:
    """Turns batches of checked files into network input.

    Args:
        recipe: its equalisation, fit and side.
        batch: most radiographs in one call.
        threads: CPU threads of the decoder.
    """

    def __init__(self, recipe: Recipe, batch: int, threads: int) -> None:
        self._recipe = recipe
        self._batch = batch
        self._threads = threads
        self._careful = CarefulLane(threads)
        self._encoded, self._raw = self._encoded_pipeline(), self._raw_pipeline()

    def decode(
        self, contents: Sequence[bytes], headers: Sequence[Header], *, carefully: bool = False
    ) -> Decoded[Uint8]:
        """Decode one batch whose radiographs are either all fast or all not.

        A radiograph that `check_fit` refuses must not get here.

        Args:
            contents: whole files.
            headers: from the gate, in the same order.
            carefully: not in this process, whatever they are.

        Returns:
            pixels of all of them, and the reason for each that has none.
        """
        if not carefully and all(is_fast(header) for header in headers):
            pixels, refused = self._decoded_fast(contents, headers)
        else:
            pixels, refused = self._decoded_carefully(contents, headers)
        flagged: dict[int, str] = {}
        for place, header in enumerate(headers):
            rows, columns = content_of(self._recipe, *header.shown_size)
            shown = pixels[place, 0, rows, columns]
            if place in refused:
                continue
            if shown.min() == shown.max():
                refused[place] = constant(int(shown.flat[0]))
                continue
            if has_flat_rest(as_stored(shown, header.orientation)):
                flagged[place] = FLAT_REST  # filler says nothing about the rest
            elif words := quality_words(shown):
                flagged[place] = " ".join(words)
        return Decoded(pixels, refused, flagged=flagged)

    def close(self) -> None:
        """Stop the threads and free DALI's buffers."""
        self._careful.close()
        del self._encoded, self._raw

    def _decoded_fast(self, contents: Sequence[bytes], headers: Sequence[Header]) -> _Pixels:
        try:
            pixels, shapes = self._run_encoded(contents)
        except DALI_ERRORS:
            return self._decoded_one_by_one(contents, headers)
        refused = {
            place: other_size(header, shape)
            for place, (header, shape) in enumerate(zip(headers, shapes, strict=True))
            if (header.height, header.width) != shape
        }
        return pixels, refused

    def _run_encoded(self, contents: Sequence[bytes]) -> tuple[Uint8, list[tuple[int, int]]]:
        try:
            self._encoded.feed_input("files", [np.frombuffer(c, np.uint8) for c in contents])
            pixels, shapes = self._encoded.run()
        except DALI_ERRORS:
            # DALI 2.4 calls the pipeline invalid after a failed decode; a new one costs 5 ms.
            self._encoded = self._encoded_pipeline()
            raise
        sizes = [(int(height), int(width)) for height, width, _ in shapes.as_array()]
        return _channels_first(pixels), sizes

    def _decoded_one_by_one(self, contents: Sequence[bytes], headers: Sequence[Header]) -> _Pixels:
        side = self._recipe.side
        pixels = np.zeros((len(contents), 1, side, side), np.uint8)
        refused: dict[int, Refused] = {}
        for place, (content, header) in enumerate(zip(contents, headers, strict=True)):
            try:
                pixels[place] = self._decoded_alone(content, header)
            except Refused as reason:
                refused[place] = reason
        return pixels, refused

    def _decoded_alone(self, content: bytes, header: Header) -> Uint8:
        try:
            (one,), (shape,) = self._run_encoded([content])
        except DALI_ERRORS:
            (grey,) = self._careful.greys([content], [header])
            if isinstance(grey, Refused):
                raise grey from None
            return self._fitted_alone(grey)
        if shape != (header.height, header.width):
            raise other_size(header, shape)
        return np.asarray(one, np.uint8)

    def _decoded_carefully(self, contents: Sequence[bytes], headers: Sequence[Header]) -> _Pixels:
        greys = self._careful.greys(contents, headers)
        kept = [place for place, grey in enumerate(greys) if not isinstance(grey, Refused)]
        side = self._recipe.side
        pixels = np.zeros((len(contents), 1, side, side), np.uint8)
        refused = {place: grey for place, grey in enumerate(greys) if isinstance(grey, Refused)}
        try:
            if kept:
                pixels[kept] = self._run_raw([greys[place] for place in kept])
        except DALI_ERRORS:
            for place in kept:
                try:
                    pixels[place] = self._fitted_alone(greys[place])
                except Refused as reason:
                    refused[place] = reason
        return pixels, refused

    def _fitted_alone(self, grey: Any) -> Uint8:
        try:
            (one,) = self._run_raw([grey])
        except DALI_ERRORS as error:
            raise Refused(
                FailureCode.CORRUPT, "it decodes, but DALI cannot equalise or fit it"
            ) from error
        return np.asarray(one, np.uint8)

    def _run_raw(self, greys: Sequence[Any]) -> Uint8:
        try:
            self._raw.feed_input("greys", list(greys), layout="HWC")
            (pixels,) = self._raw.run()
        except DALI_ERRORS:
            self._raw = self._raw_pipeline()
            raise
        return _channels_first(pixels)

    def _encoded_pipeline(self) -> Any:
        return built_encoded_pipeline(self._recipe, DecoderUse(), self._batch, self._threads)

    def _raw_pipeline(self) -> Any:
        return built_raw_pipeline(self._recipe, self._batch, self._threads)


def _channels_first(pixels: Any) -> Uint8:
    """Copy DALI's (N, S, S, 1) out of its buffer as (N, 1, S, S): the same bytes."""
    array = np.array(pixels.as_array(), np.uint8)
    return array.reshape(array.shape[0], 1, *array.shape[1:3])
