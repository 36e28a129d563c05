"""A small archive of synthetic radiographs with known lungs, some of it broken on purpose."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.failures import FailureCode
from cxrsweep.export.synthetic import phantom

Uint8 = NDArray[np.uint8]

# Standard deviations in grey levels that give a PNG 0.33 to 0.45 and a JPEG of quality 90 0.08 to
# 0.14 bytes per pixel: the medians of ChestX-ray14 (PNG) and of the Kermany collection (JPEG).
NOISE = (1.0, 2.5)
JPEG_QUALITY = 90
SIZES = ((480, 560), (1024, 1024), (1600, 1300), (2500, 2048), (3000, 3520))
TRUTH_COLUMNS = ["radiograph", "x0", "y0", "x1", "y1", "error"]


@dataclass(frozen=True)
class Known:
    """What is known about one file of the archive.

    Attributes:
        radiograph: path inside the archive.
        lung_box: x0, y0, x1, y1 in pixels, end exclusive; None where the file is broken.
        error: the failure code that is right for it, or "".
    """

    radiograph: str
    lung_box: tuple[int, int, int, int] | None
    error: str


def write_whole(folder: Path, count: int, generator: np.random.Generator) -> list[Known]:
    """Write radiographs: JPEG and PNG, grey and RGB, 0.3 to 10 megapixels in turn.

    Args:
        folder: made where it does not exist.
        count: how many.
        generator: decides everything that is drawn.

    Returns:
        what is known about each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_one(folder, number, generator) for number in range(count)]


def write_archive(folder: Path, count: int, seed: int = 0) -> list[Known]:
    """Write radiographs and three broken files; the same seed writes the same bytes.

    Args:
        folder: made where it does not exist.
        count: whole radiographs, as `write_whole` draws them.
        seed: of everything that is drawn.

    Returns:
        what is known about each file, also written to `folder`/../truth.csv.
    """
    generator = np.random.default_rng(seed)
    known = write_whole(folder, count, generator) + _write_broken(folder, generator)
    with (folder.parent / "truth.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(TRUTH_COLUMNS)
        for file in known:
            writer.writerow([file.radiograph, *(file.lung_box or [""] * 4), file.error])
    return known


def _write_one(folder: Path, number: int, generator: np.random.Generator) -> Known:
    width, height = SIZES[number % len(SIZES)]
    drawn = phantom(width, height, generator, generator.uniform(*NOISE))
    pixels: Uint8 = drawn.pixels
    if number % 3 == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    ending = ".png" if number % 2 else ".jpg"
    name = f"study-{number // 4:03d}/radiograph-{number:04d}{ending}"
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(_encoded(pixels, ending))
    return Known(name, drawn.lung_box, "")


def _write_broken(folder: Path, generator: np.random.Generator) -> list[Known]:
    pixels = phantom(*SIZES[1], generator).pixels
    jpeg, png = _encoded(pixels, ".jpg"), bytearray(_encoded(pixels, ".png"))
    png[len(png) // 2] ^= 0xFF
    files = [
        ("broken/cut-in-half.jpg", jpeg[: len(jpeg) // 2], FailureCode.TRUNCATED),
        ("broken/flipped-byte.png", bytes(png), FailureCode.CORRUPT),
        ("broken/letter.jpg", b"Dear colleague,\n", FailureCode.NOT_AN_IMAGE),
    ]
    (folder / "broken").mkdir(exist_ok=True)
    for name, content, _ in files:
        (folder / name).write_bytes(content)
    return [Known(name, None, str(code)) for name, _, code in files]


def _encoded(pixels: Uint8, ending: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if ending == ".jpg" else []
    done, content = cv2.imencode(ending, pixels, options)
    assert done, f"OpenCV cannot encode {ending}"
    return content.tobytes()


def box_iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared) if areas > shared else 0.0
