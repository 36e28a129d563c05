"""Where a sweep runs: `auto`, `cpu`, `gpu` or `gpu:N` in, a device and one line of why out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module

from cxrsweep.engine.errors import DeviceError, PlanError
from cxrsweep.engine.hardware.gpu import Gpu, found_gpus
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.plans.flavour import Flavour, open_flavour
from cxrsweep.engine.plans.settings import Target, target_of

HOW_TO_GET_PYCUDA = "pip install '.[gpu]' builds it where a CUDA toolkit is"


@dataclass(frozen=True)
class Device:
    """What was chosen.

    Attributes:
        gpu: None is the CPU.
        flavour: the TensorRT that runs on it; None on the CPU.
        reason: one line: what, and why nothing else.
    """

    gpu: Gpu | None
    flavour: Flavour | None
    reason: str


def chosen_device(asked: str) -> Device:
    """Choose where to run.

    Args:
        asked: "auto" (a usable GPU, else the CPU), "cpu", "gpu" (the first usable), or "gpu:N".

    Raises:
        DeviceError: not one of these words, or the GPU asked for cannot be used, with every
            reason.
    """
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", asked):
        raise DeviceError(f"no device {asked!r}; say auto, cpu, gpu or gpu:N, for example gpu:0")
    on_cpu = f"CPU, {cores()} cores"
    if asked == "cpu":
        return Device(None, None, f"{on_cpu}, as asked")
    try:
        gpu, flavour = _usable_gpu(int(asked[4:]) if ":" in asked else None)
    except (DeviceError, PlanError) as error:
        if asked == "auto":
            return Device(None, None, f"{on_cpu}; no GPU: {error}")
        raise DeviceError(
            f"--device {asked}: {error}. `cxrsweep doctor` says what is missing;"
            " --device cpu runs without a GPU"
        ) from error
    capability = ".".join(map(str, gpu.compute_capability))
    reason = f"GPU {gpu.number}, {gpu.name} ({capability}, {gpu.free_mib} MiB free), {flavour}"
    return Device(gpu, flavour, reason)


def plan_target() -> Target:
    """What a plan built here is for: the first GPU, or any where there is none."""
    try:
        return target_of(found_gpus()[0])
    except DeviceError:
        return Target()


def _usable_gpu(number: int | None) -> tuple[Gpu, Flavour]:
    gpus = found_gpus()
    if number is not None and number >= len(gpus):
        raise DeviceError(f"there is no GPU {number}, only {_listed(gpus)}")
    flavour = open_flavour()
    try:
        import_module("pycuda.driver")
    except (ImportError, OSError) as error:
        raise DeviceError(f"pycuda does not import ({error}); {HOW_TO_GET_PYCUDA}") from error
    return gpus[number or 0], flavour


def _listed(gpus: list[Gpu]) -> str:
    return ", ".join(f"{gpu.number} ({gpu.name})" for gpu in gpus)
