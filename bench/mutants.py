"""Damaged radiographs by the thousand: whole files in, random mutants of them out."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrsweep.bench.dicom_files import DICOM_CODECS, dicom_file
from cxrsweep.export.synthetic import phantom

SIDES = (64, 180)
ENDINGS = (".jpg", ".png", ".tiff", ".webp", ".bmp", ".jp2", ".avif", ".pgm")
MUTATIONS = ("flip bits", "set bytes", "cut", "zero a run", "swap runs", "insert", "repeat a run")


def originals(generator: np.random.Generator) -> dict[str, bytes]:
    """Small whole files of every format, images and DICOM: name -> content."""
    found = {}
    for side in SIDES:
        grey = phantom(side, side + 20, generator).pixels
        for ending in ENDINGS:
            done, content = cv2.imencode(ending, grey)
            assert done, ending
            found[f"{side}{ending}"] = bytes(content)
        colour = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        progressive = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
        found[f"{side}-progressive.jpg"] = bytes(progressive)
        found[f"{side}.gif"] = _by_pillow(grey, "GIF")
        deep = grey.astype(np.uint16) * 16 + 7
        found |= {f"{side}{ending}": content for ending, content in _deep_originals(deep).items()}
        found |= {f"{side}-{name}.dcm": dicom_file(name, grey, deep) for name in DICOM_CODECS}
    return found


def _by_pillow(pixels: NDArray[Any], name: str, **options: Any) -> bytes:
    """Where OpenCV writes no such file, or imagecodecs not the same bytes each time."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, name, **options)
    return stream.getvalue()


def _deep_originals(deep: NDArray[np.uint16]) -> dict[str, bytes]:
    """Formats of 12-bit pixels: ending -> content."""
    encoded = {
        "-codestream.j2k": imagecodecs.jpeg2k_encode(deep, codecformat="j2k", bitspersample=12),
        ".jls": imagecodecs.jpegls_encode(deep),
        ".jxl": imagecodecs.jpegxl_encode(deep, lossless=True, bitspersample=12),
        "-lossless.jpg": imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=12),
        "-extended.jpg": imagecodecs.jpeg8_encode(deep, level=90, bitspersample=12),
        "-big.tiff": _by_pillow(deep, "TIFF", big_tiff=True),
    }
    return {ending: bytes(content) for ending, content in encoded.items()}


def mutant(content: bytes, generator: np.random.Generator) -> bytes:
    """Damage a file in one to three ways; the early bytes, which parsers read, more often.

    Args:
        content: a whole file.
        generator: decides everything.
    """
    damaged = bytearray(content)
    for _ in range(int(generator.integers(1, 4))):
        size = len(damaged)
        if size < 2:
            break
        reach = size if generator.random() < 0.5 else min(size, 400)
        at = int(generator.integers(0, reach))
        run = int(generator.integers(1, min(64, size)))
        _damage(damaged, MUTATIONS[generator.integers(len(MUTATIONS))], at, run, generator)
    return bytes(damaged)


def _damage(
    content: bytearray, kind: str, at: int, run: int, generator: np.random.Generator
) -> None:
    if kind == "flip bits":
        for place in generator.integers(0, len(content), 4):
            content[place] ^= 1 << int(generator.integers(8))
    elif kind == "set bytes":
        content[at : at + 2] = bytes(generator.choice([0, 1, 0x7F, 0x80, 0xFF], 2).tolist())
    elif kind == "cut":
        del content[at:]
    elif kind == "zero a run":
        content[at : at + run] = bytes(run)
    elif kind == "swap runs":
        other = int(generator.integers(0, len(content)))
        one, two = content[at : at + run], content[other : other + run]
        content[at : at + run], content[other : other + run] = two, one
    elif kind == "insert":
        content[at:at] = generator.bytes(run)
    else:
        content[at:at] = content[at : at + run]


def mutants(
    files: Mapping[str, bytes], count: int, generator: np.random.Generator
) -> Iterator[tuple[str, bytes]]:
    """Mutants of all files in turn, with names that keep the ending."""
    names = sorted(files)
    for number in range(count):
        name = names[number % len(names)]
        yield f"{number:06d}-{name}", mutant(files[name], generator)


def write_mutants(folder: Path, count: int, seed: int) -> int:
    """Write an archive of mutants, a thousand a folder, among whole files.

    Args:
        folder: made.
        count: of mutants.
        seed: the same one makes the same bytes.

    Returns:
        how many files were written.
    """
    generator = np.random.default_rng(seed)
    files = originals(generator)
    written = 0
    for name, content in [*files.items(), *mutants(files, count, generator)]:
        path = folder / f"{written // 1000:03d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written += 1
    return written
