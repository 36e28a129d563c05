"""One file of the corpus: its bytes, and what a sweep may say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from dicom_files import smooth
from dicom_reference import between_percentiles
from numpy.typing import NDArray
from PIL import Image

from cxrsweep.engine.failures import FailureCode
from hostile.rows import Row

Uint8 = NDArray[np.uint8]
DAMAGED = frozenset({FailureCode.CORRUPT, FailureCode.TRUNCATED})
ROWS, COLUMNS = 48, 64


@dataclass(frozen=True)
class HostileFile:
    """A file and its right outcomes.

    Attributes:
        name: path in the archive; surrogates stand for bytes that are no UTF-8.
        content: the whole file.
        row: what it stands for.
        picture: (H, W) uint8 as shown, by an independent reader; None if no picture is right.
        codes: failures that are right too, or the only ones.
        has_any_picture: what damage leaves of the picture is not compared.
    """

    name: str
    content: bytes
    row: Row
    picture: Uint8 | None = None
    codes: frozenset[FailureCode] = frozenset()
    has_any_picture: bool = False

    def allows(self, outcome: str) -> bool:
        """Whether a row may say so.

        Args:
            outcome: "ok" or a code.
        """
        if outcome == "ok":
            return self.has_any_picture or self.picture is not None
        return outcome in self.codes


def sound(name: str, content: bytes, row: Row, picture: NDArray[Any]) -> HostileFile:
    """A file whose picture is known."""
    shown = np.asarray(picture, np.uint8)
    assert shown.ndim == 2, name
    return HostileFile(name, content, row, shown)


def refused(
    name: str,
    content: bytes,
    row: Row,
    *codes: FailureCode,
) -> HostileFile:
    """A file without a picture."""
    return HostileFile(name, content, row, codes=frozenset(codes))


def damaged(name: str, content: bytes, row: Row, picture: NDArray[Any] | None) -> HostileFile:
    """A file that is either refused as damaged or shown as another reader shows it."""
    shown = None if picture is None else np.asarray(picture, np.uint8)
    return HostileFile(name, content, row, shown, DAMAGED)


def unknowable(name: str, content: bytes, row: Row, *codes: FailureCode) -> HostileFile:
    """A file whose damage a decoder may or may not notice: it has a row, that is all."""
    kept = frozenset(codes) or DAMAGED | {FailureCode.CONSTANT}
    return HostileFile(name, content, row, codes=kept, has_any_picture=True)


GREY: Uint8 = smooth(8, False, (ROWS, COLUMNS))
DEEP: NDArray[np.uint16] = smooth(16, False, (ROWS, COLUMNS))
TWELVE: NDArray[np.uint16] = smooth(12, False, (ROWS, COLUMNS))
COLOUR: Uint8 = np.stack([GREY, np.roll(GREY, 9, 0), 255 - np.roll(GREY, 5, 1)], -1)
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
BILEVEL: NDArray[np.bool_] = GREY > 127


def luminance(colour: NDArray[Any]) -> NDArray[Any]:
    """Grey of (H, W, 3), in the samples' own range and unrounded."""
    return colour[..., :3] @ LUMINANCE


def windowed(values: NDArray[Any]) -> Uint8:
    """Grey levels of samples of more than 8 bits: between the 0.5th and 99.5th percentile."""
    return between_percentiles(values).astype(np.uint8)


def saved(picture: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    """A file by Pillow."""
    stream = BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, kind, **options)
    return stream.getvalue()


def by_opencv(ending: str, pixels: NDArray[Any], *options: int) -> bytes:
    """A file by OpenCV, which takes colours as blue, green, red."""
    shown = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    done, content = cv2.imencode(ending, np.ascontiguousarray(shown), list(options))
    assert done, ending
    return bytes(content)


def seen_by_pillow(content: bytes) -> Uint8 | None:
    """Grey levels as Pillow shows them, not turned; None where it refuses."""
    try:
        with Image.open(BytesIO(content)) as image:
            image.draft("L", image.size)  # of JPEG the luminance itself, not by way of RGB
            return np.array(image.convert("L"))
    except Exception:  # noqa: BLE001  Pillow raises anything on odd bytes
        return None


def cuts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The first part of a file, of many lengths, with a word for each."""
    for percent in (2, 25, 50, 75, 99):
        yield f"{percent:02d}-percent", content[: max(len(content) * percent // 100, 1)]
    yield "less-one", content[:-1]


def flips(content: bytes, count: int, seed: int, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Files with one flipped bit each, at or after byte `start`."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        flipped = bytearray(content)
        flipped[generator.integers(start, len(content))] ^= 1 << int(generator.integers(8))
        yield f"{number:02d}", bytes(flipped)


def families(*makers: Callable[[], Iterable[HostileFile]]) -> Iterator[HostileFile]:
    """All files of some makers, in their order."""
    for maker in makers:
        yield from maker()
