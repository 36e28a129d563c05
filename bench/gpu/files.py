"""The radiographs that are measured on: a folder that was given, and phantoms of one codec each."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.phantoms import JPEG_QUALITY, NOISE, Uint8, write_whole
from cxrsweep.bench.spread import Load
from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.decode.batches import pixels_of
from cxrsweep.engine.decode.fast_lane import is_fast
from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, Reader
from cxrsweep.export.synthetic import phantom

CODECS = ("jpeg-grey", "jpeg-colour", "jpeg-progressive", "png")
ARCHIVES = ("given", "jpeg-1024", "png-1024")
EXPORT_SIDE, EXPORTS = 1024, 64
CODEC_SIZES, CODEC_FILES = ((1024, 1024), (1600, 1300), (2500, 2048)), 12
GIVEN = 40


def prepare(setting: Setting, note: Note) -> None:
    """Draw what is not given and tell what there is.

    Raises:
        ArchiveError: no file of the given folder can be measured on.
    """
    exports, per_codec, given = (4, 2, 6) if setting.quick else (EXPORTS, CODEC_FILES, GIVEN)
    if setting.radiographs is None:
        write_whole(setting.scratch / "given", given, np.random.default_rng(0))
    square = [(EXPORT_SIDE, EXPORT_SIDE)]
    for name, codec in (("jpeg-1024", "jpeg-grey"), ("png-1024", "png")):
        _draw(setting.scratch / name, codec, square, exports)
    for codec in CODECS:
        _draw(setting.scratch / "codecs" / codec, codec, CODEC_SIZES, per_codec)
    for name in ARCHIVES:
        note(name, described_files(files_of(setting, name)))
    note("source", "synthetic" if setting.radiographs is None else "given")


def files_of(setting: Setting, archive: str) -> list[Checked]:
    """Read an archive, leaving out what the fast lane does not decode.

    Args:
        setting: where it lies.
        archive: one of ARCHIVES, or "codecs/" and one of CODECS.

    Raises:
        ArchiveError: nothing is left.
    """
    folder = setting.scratch / archive
    if archive == "given" and setting.radiographs is not None:
        folder = setting.radiographs
    reader = Reader(Limits(), setting.threads + 1, 256)
    try:
        read = list(reader.read(open_archives([folder], Selection())))
    finally:
        reader.close()
    kept = [file for file in read if isinstance(file, Checked) and is_fast(file.header)]
    if not kept:
        raise ArchiveError(f"{folder.name} holds no JPEG or PNG that can be decoded")
    return kept


def load_of(files: Sequence[Checked]) -> Load:
    """How many radiographs, pixels and bytes."""
    return Load(len(files), sum(map(pixels_of, files)), sum(file.cost.size for file in files))


def described_files(files: Sequence[Checked]) -> dict[str, Any]:
    """Count, mean size and kinds, for the evidence."""
    load = load_of(files)
    return {
        "radiographs": load.radiographs,
        "mean_megapixels": round(load.pixels / load.radiographs / 1e6, 3),
        "mean_kilobytes": round(load.bytes / load.radiographs / 1e3, 1),
        "median_megapixels": round(statistics.median(map(pixels_of, files)) / 1e6, 3),
        "kinds": dict(Counter(file.header.kind for file in files)),
    }


def batches_of_files(files: Sequence[Checked], batch: int, most_pixels: int) -> list[list[Checked]]:
    """Cut files into batches, bounded in count and in pixels; each holds at least one."""
    batches: list[list[Checked]] = [[]]
    pixels = 0
    for file in files:
        full = len(batches[-1]) == batch or pixels + pixels_of(file) > most_pixels
        if full and batches[-1]:
            batches.append([])
            pixels = 0
        batches[-1].append(file)
        pixels += pixels_of(file)
    return batches


def repeated(files: Sequence[Checked], count: int) -> list[Checked]:
    """The files over and over, so many."""
    return list(islice(cycle(files), count))


def linked(folder: Path, files: Sequence[Checked], count: int) -> Path:
    """Fill a new folder with links to the files, over and over."""
    folder.mkdir(parents=True)
    for number, file in enumerate(repeated(files, count)):
        target = Path(file.entry.location).resolve()
        (folder / f"{number:06d}{target.suffix}").symlink_to(target)
    return folder


def _draw(folder: Path, codec: str, sizes: Sequence[tuple[int, int]], count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:  # NumPy and OpenCV release the interpreter
        list(pool.map(lambda n: _draw_one(folder, codec, sizes[n % len(sizes)], n), range(count)))


def _draw_one(folder: Path, codec: str, size: tuple[int, int], number: int) -> None:
    generator = np.random.default_rng(number)
    pixels: Uint8 = phantom(*size, generator, generator.uniform(*NOISE)).pixels
    options = []
    if codec.startswith("jpeg"):
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    if codec == "jpeg-progressive":
        options += [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    if codec == "jpeg-colour":  # truly coloured: a scan or a photograph of a film
        pixels = np.stack([pixels, (pixels * 0.95).astype(np.uint8), pixels // 10 * 9], axis=2)
    ending = ".png" if codec == "png" else ".jpg"
    done, content = cv2.imencode(ending, pixels, options)
    assert done, f"OpenCV cannot encode {codec}"
    (folder / f"{number:03d}{ending}").write_bytes(content.tobytes())
