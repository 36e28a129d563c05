"""Archives of synthetic radiographs of one size and codec, as large as wanted, the same each time.

Bytes per pixel and the cost of decoding are those of real radiographs of the same size and codec,
to a fifth; `tests/bench/test_phantom_archive.py` holds them to it where real ones are at hand.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing import active_children, get_context
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrsweep.bench.dicom_files import DICOM_CODECS, dicom_file
from cxrsweep.engine.errors import CxrsweepError
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.supervision.worker import die_with
from cxrsweep.export.synthetic import phantom_levels

PER_FOLDER = 1000
PARTIAL = ".partial"  # of a name that a sweep passes over
DEEP = 16  # grey levels of 12 bits to one of 8

Uint8 = NDArray[np.uint8]
Uint16 = NDArray[np.uint16]


class PhantomError(CxrsweepError):
    """Phantoms cannot be written there."""


@dataclass(frozen=True)
class Codec:
    """How a phantom becomes a file.

    Attributes:
        ending: of the file's name.
        noise: least and greatest standard deviation of the film noise, in grey levels of 8 bits;
            evenly spread in its logarithm. It decides the bytes per pixel.
        encode: (H, W) of 8 bits and of 12 bits in, a file out.
    """

    ending: str
    noise: tuple[float, float]
    encode: Callable[[Uint8, Uint16], bytes]


def _by_opencv(ending: str, *options: int) -> Callable[[Uint8, Uint16], bytes]:
    return partial(_encoded, ending, options)


def _encoded(ending: str, options: tuple[int, ...], grey: Uint8, deep: Uint16) -> bytes:
    done, content = cv2.imencode(ending, grey, options)
    assert done, ending
    return content.tobytes()


def _png(pixels: Uint8 | Uint16) -> bytes:
    """With the effort and the filters that most programs take, which decide what decoding costs."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _png8(grey: Uint8, deep: Uint16) -> bytes:
    return _png(grey)


def _png16(grey: Uint8, deep: Uint16) -> bytes:
    return _png(deep)


def _jpeg_2000(grey: Uint8, deep: Uint16) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(deep, codecformat="jp2", bitspersample=12))


def _dicom(codec: str, grey: Uint8, deep: Uint16) -> bytes:
    return dicom_file(codec, grey, deep)


CODECS = {
    "jpeg": Codec(".jpg", (0.8, 7.0), _by_opencv(".jpg", cv2.IMWRITE_JPEG_QUALITY, 90)),
    "png": Codec(".png", (0.6, 2.4), _png8),
    "png16": Codec(".png", (0.6, 2.4), _png16),
    "jpeg2000": Codec(".jp2", (0.6, 2.4), _jpeg_2000),
    "tiff": Codec(".tiff", (0.6, 2.4), _by_opencv(".tiff")),
    "webp": Codec(".webp", (0.6, 2.4), _by_opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 90)),
    **{
        f"dicom-{codec}": Codec(".dcm", (0.6, 2.4), partial(_dicom, codec))
        for codec in DICOM_CODECS
    },
}


def write_phantoms(
    folder: Path, count: int, size: tuple[int, int], codec: str, seed: int = 0
) -> Generator[int, None, None]:
    """Write phantoms in folders of a thousand, on all cores; each file depends on its number alone.

    They are written aside, below a hidden folder, and moved when all are there. What interrupts it
    leaves none of them.

    Args:
        folder: made where it does not exist.
        count: how many.
        size: width and height in pixels.
        codec: one of CODECS.
        seed: other phantoms.

    Yields:
        bytes of each file, in order.

    Raises:
        PhantomError: the folder holds something already, also of a run that was killed, or cannot
            be written.
    """
    is_ours = not folder.exists()
    begun = folder / PARTIAL
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_empty(folder)
        folders = [f"{start // PER_FOLDER:04d}" for start in range(0, count, PER_FOLDER)]
        for name in folders:
            (begun / name).mkdir(parents=True)
    except OSError as error:
        raise PhantomError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        with _opened_pool() as pool:
            write = partial(write_phantom, begun, size, codec, seed)
            with _signals_waiting():
                sizes = pool.map(write, range(count), chunksize=max(1, min(32, count // 16)))
            yield from sizes
        for name in folders:
            (begun / name).rename(folder / name)
        begun.rmdir()
    except BaseException:
        for name in (PARTIAL, *folders):
            shutil.rmtree(folder / name, ignore_errors=True)
        if is_ours:
            folder.rmdir()
        raise


def _require_empty(folder: Path) -> None:
    if (folder / PARTIAL).exists():
        raise PhantomError(
            f"{folder} holds phantoms that another run is writing, or was killed over; if it is"
            f" gone, remove {folder / PARTIAL} and start again"
        )
    if any(folder.iterdir()):
        raise PhantomError(f"{folder} is not empty; give a new or empty folder")


@contextlib.contextmanager
def _opened_pool() -> Iterator[ProcessPoolExecutor]:
    """Processes that end at once where this one is interrupted, in the midst of their files."""
    before = set(active_children())
    # Spawned: the drawing libraries may have threads here, which a fork would lose.
    pool = ProcessPoolExecutor(cores(), get_context("spawn"), _begin, (os.getpid(),))
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - before:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _signals_waiting() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM back while processes start, which then never see them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    """Begin a drawing process: one thread, and no longer life than its parent's."""
    die_with(parent)
    cv2.setNumThreads(1)


def write_phantom(folder: Path, size: tuple[int, int], codec: str, seed: int, number: int) -> int:
    """Write one phantom and return its bytes.

    Raises:
        PhantomError: it cannot be written.
    """
    content = phantom_file(size, codec, seed, number)
    path = folder / f"{number // PER_FOLDER:04d}" / f"{number:07d}{CODECS[codec].ending}"
    try:
        path.write_bytes(content)
    except OSError as error:
        raise PhantomError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
    return len(content)


def phantom_file(size: tuple[int, int], codec: str, seed: int, number: int) -> bytes:
    """The content of one file.

    Args:
        size: width and height in pixels.
        codec: one of CODECS.
        seed: other phantoms.
        number: which of them.
    """
    made = CODECS[codec]
    generator = np.random.default_rng((seed, number))
    noise = float(np.exp(generator.uniform(*np.log(made.noise))))
    levels, _ = phantom_levels(*size, generator, noise)
    grey = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    deep = np.clip(np.rint(levels * DEEP), 0, 255 * DEEP).astype(np.uint16)
    return made.encode(grey, deep)
