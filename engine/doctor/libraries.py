"""Which shared libraries of CUDA load."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files

from cxrsweep.engine.doctor.checks import (
    GET_DRIVER,
    GPU_CONTAINER,
    REINSTALL,
    Check,
    Need,
    one_line,
    without,
)

NVJPEG = "libnvjpeg.so.13"


@dataclass(frozen=True)
class Library:
    """A library of the driver.

    Attributes:
        name: as the loader knows it.
        purpose: what works with it.
        remedy: how to get it.
        needed_for: which sweeps cannot do without it.
    """

    name: str
    purpose: str
    remedy: str
    needed_for: Need


DRIVER_LIBRARIES = (
    Library("libcuda.so.1", "everything on the GPU", GET_DRIVER, "gpu"),
    Library("libnvidia-ml.so.1", "clocks and memory of the GPU", GET_DRIVER, "gpu"),
    # Not called, but it comes into a container with the same capability as the JPEG engines.
    Library("libnvcuvid.so.1", "the `video` capability", GPU_CONTAINER, "nothing"),
)


def library_checks(*, has_gpu: bool) -> list[Check]:
    """One line for each library of the driver, and one for nvJPEG, which pip brings."""
    driver = [driver_library_check(library, has_gpu=has_gpu) for library in DRIVER_LIBRARIES]
    return [*driver, nvjpeg_check(has_gpu=has_gpu)]


def driver_library_check(library: Library, *, has_gpu: bool) -> Check:
    """Whether a library of the driver loads."""
    try:
        ctypes.CDLL(library.name)
    except OSError as error:
        reason = one_line(error).removeprefix(f"{library.name}: ")
        facts = f"for {library.purpose}: {reason}"
        if library.needed_for == "gpu":
            return without(library.name, facts, library.remedy, has_gpu=has_gpu)
        return Check(library.name, "warn" if has_gpu else "absent", facts, library.remedy)
    return Check(library.name, "ok", f"for {library.purpose}", needed_for=library.needed_for)


def nvjpeg_check(*, has_gpu: bool) -> Check:
    """Whether nvJPEG loads; it does without a GPU too."""
    try:
        version = _nvjpeg_version(open_nvjpeg())
    except OSError as error:
        return without(NVJPEG, one_line(error), REINSTALL, has_gpu=has_gpu)
    return Check(NVJPEG, "ok", f"{version}, for JPEG on the GPU", needed_for="gpu")


def open_nvjpeg() -> ctypes.CDLL:
    """Load the nvJPEG that DALI uses: that of the package nvidia-nvjpeg, else the system's.

    Raises:
        OSError: there is none, or it does not load.
    """
    try:
        shipped = [file for file in files("nvidia-nvjpeg") or () if file.name == NVJPEG]
    except PackageNotFoundError:
        shipped = []
    return ctypes.CDLL(str(shipped[0].locate()) if shipped else NVJPEG)


def _nvjpeg_version(library: ctypes.CDLL) -> str:
    # libraryPropertyType of library_types.h: 0 major, 1 minor, 2 patch.
    numbers = []
    for kind in range(3):
        number = ctypes.c_int(-1)
        library.nvjpegGetProperty(kind, ctypes.byref(number))
        numbers.append(str(number.value))
    return ".".join(numbers)
