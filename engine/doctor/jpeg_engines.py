"""How many JPEG engines the GPU shows: hardware that decodes beside everything else."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from cxrsweep.engine.decode.jpeg_share import SizeClass
from cxrsweep.engine.doctor.checks import CAPABILITIES, GPU_CONTAINER, Check, one_line
from cxrsweep.engine.doctor.libraries import open_nvjpeg
from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.gpu import Gpu

NAME = "JPEG engines"
SAME_RATE = 0.03  # two settings that do the same differ by about this much from noise
SHOW_ENGINES = f"{GPU_CONTAINER} -e NVIDIA_DRIVER_CAPABILITIES={CAPABILITIES}"


def jpeg_engine_check(gpu: Gpu | None) -> Check:
    """Ask nvJPEG for its hardware decoder.

    Args:
        gpu: the first GPU; None without one, and nothing is asked then.
    """
    if gpu is None:
        return Check(NAME, "absent", "need a GPU that has them, for example an H100")
    try:
        engines, cores = hardware_decoder()
    except (OSError, DeviceError) as error:
        return judged(gpu, one_line(error))
    return judged(gpu, "0 shown") if not engines else _found(engines, cores)


def judged(gpu: Gpu, facts: str) -> Check:
    """What it means that no engine is to be had: on some GPUs they are hidden, others have none."""
    if has_engines(gpu.compute_capability):
        facts = f"{facts}, but {gpu.name} has them; JPEG decodes slower"
        return Check(NAME, "warn", facts, SHOW_ENGINES)
    return Check(NAME, "ok", f"{facts}; {gpu.name} decodes JPEG on its cores")


def has_engines(compute_capability: tuple[int, int]) -> bool:
    """Whether GPUs of this kind are built with JPEG engines: A100, Hopper, large Blackwells."""
    return compute_capability in ((8, 0), (9, 0)) or compute_capability[0] == 10


def engine_notes(check: Check, classes: Sequence[SizeClass]) -> list[str]:
    """What a sweep should say about the JPEG engines: hidden, or shown and yet not used.

    Args:
        check: from `jpeg_engine_check`.
        classes: measured; where engines decode, all of a batch on them is not as fast as none.
    """
    if check.state == "warn":
        return [f"JPEG engines: {check.facts}. {check.remedy}"]
    unused = [
        found
        for found in classes
        if found.rates and abs(found.rates["1.0"] / found.rates["0.0"] - 1) < SAME_RATE
    ]
    if "with" not in check.facts or not unused:
        return []
    return [
        f"JPEG engines: {check.facts}, but files of up to {unused[0].up_to_mp:g} megapixels decode"
        " as fast without them, so DALI may have fallen back; see `cxrsweep doctor` and"
        f" {SHOW_ENGINES}"
    ]


def _found(engines: int, cores: int) -> Check:
    return Check(NAME, "ok", f"{engines}, with {cores} cores each")


def hardware_decoder() -> tuple[int, int]:
    """Engines, and cores of each engine, of the first GPU. Needs a GPU: never run without one.

    Raises:
        OSError: nvJPEG does not load.
        DeviceError: nvJPEG does not answer.
    """
    library = open_nvjpeg()
    opened = ctypes.c_void_p()
    _must(library.nvjpegCreateSimple(ctypes.byref(opened)), "nvjpegCreateSimple")
    try:
        engines, cores = ctypes.c_uint(), ctypes.c_uint()
        status = library.nvjpegGetHardwareDecoderInfo(
            opened, ctypes.byref(engines), ctypes.byref(cores)
        )
        _must(status, "nvjpegGetHardwareDecoderInfo")
        return engines.value, cores.value
    finally:
        library.nvjpegDestroy(opened)


def _must(status: int, function: str) -> None:
    if status:
        raise DeviceError(f"{function} answers {status} (nvjpegStatus_t)")
