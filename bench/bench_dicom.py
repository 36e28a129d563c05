"""DICOM by transfer syntax: the careful lane on all cores, and the decoder alone beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxrsweep.bench.dicom_files import DICOM_CODECS, dicom_file, encoded_frame
from cxrsweep.bench.phantom_archive import DEEP
from cxrsweep.bench.spread import Load
from cxrsweep.engine.decode.careful.lane import CarefulLane
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.export.synthetic import phantom_levels

SIZE = (2400, 2000)  # width and height
NOISE = 1.2  # grey levels: the middle of what `bench phantoms` draws
ROUNDS = 4
# Where a frame is not stored as it is, what decodes it in the careful lane, called directly.
DECODERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("jpeg", "jpeg-12", "jpeg-lossless"), imagecodecs.jpeg8_decode),
    "jpeg-ls": imagecodecs.jpegls_decode,
    "jpeg-2000": imagecodecs.jpeg2k_decode,
    "htj2k": imagecodecs.htj2k_decode,
}


@pytest.fixture(scope="module")
def levels() -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A phantom of 8 bits and of 12, each (H, W)."""
    drawn, _ = phantom_levels(*SIZE, np.random.default_rng(0), NOISE)
    grey = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    return grey, np.clip(np.rint(drawn * DEEP), 0, 255 * DEEP).astype(np.uint16)


@pytest.fixture(scope="module")
def lane() -> Iterator[CarefulLane]:
    """One process per core."""
    opened = CarefulLane(cores())
    yield opened
    opened.close()


@pytest.mark.parametrize("codec", DICOM_CODECS)
def test_careful_lane(measure: Any, levels: Any, lane: CarefulLane, codec: str) -> None:
    content = dicom_file(codec, *levels)
    count = 2 * cores()
    contents, headers = [content] * count, [header_of(content, Limits())] * count
    found = measure(
        lambda: lane.greys(contents, headers), _load(content, count), codec, rounds=ROUNDS
    )
    stored = _stored(codec, levels)
    truth = stored if codec == "jpeg" else _windowed(stored)
    for grey in found:
        # Decoders of lossy JPEG may differ by a level, and by two where it is windowed after.
        assert np.abs(grey[..., 0] - truth.astype(np.int16)).max() <= 2


@pytest.mark.parametrize("codec", DICOM_CODECS)
def test_decoder_alone(measure: Any, levels: Any, codec: str) -> None:
    frame, decode, count = _encoded(codec, levels), _decoder(codec), 2 * cores()
    with ThreadPoolExecutor(cores()) as pool:
        found = measure(
            lambda: list(pool.map(decode, [frame] * count)),
            _load(frame, count), codec, rounds=ROUNDS,
        )  # fmt: skip
    truth = _stored(codec, levels).astype(np.int32)
    for stored in found:
        difference = np.abs(stored - truth)
        if codec == "jpeg-12":  # two grey levels of 8 bits, which is what quality 90 loses
            assert difference.mean() <= 2 * DEEP
        else:
            assert difference.max() <= (2 if codec == "jpeg" else 0)


def _stored(codec: str, levels: Any) -> NDArray[Any]:
    """The samples in a file, by another way than its decoder where there is one."""
    grey, deep = levels
    if codec == "jpeg":
        frame = encoded_frame(codec, grey, deep)
        return np.asarray(Image.open(BytesIO(frame or b"")))
    return np.asarray(deep)


def _load(content: bytes, count: int) -> Load:
    return Load(count, count * SIZE[0] * SIZE[1], count * len(content))


def _encoded(codec: str, levels: Any) -> bytes:
    """What the decoder alone is given: the frame, or the file where pydicom decodes."""
    found = encoded_frame(codec, *levels) if codec in DECODERS else None
    return found or dicom_file(codec, *levels)


def _decoder(codec: str) -> Callable[[bytes], Any]:
    return DECODERS.get(codec, _by_pydicom)


def _by_pydicom(content: bytes) -> NDArray[Any]:
    return pydicom.dcmread(BytesIO(content)).pixel_array


def _windowed(stored: NDArray[Any]) -> NDArray[np.int16]:
    """8 bits by the default window of docs/dicom.md, in plain arithmetic."""
    low, high = np.percentile(stored, [0.5, 99.5], method="inverted_cdf").astype(float)
    shares = np.clip((stored - low) / (high - low), 0, 1)
    return np.asarray(np.floor(shares * 255 + 0.5), np.int16)
