"""What the NVIDIA driver says about its GPUs; nothing is run on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

from cxrsweep.engine.doctor.checks import GET_DRIVER, Check, one_line
from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.gpu import Gpu, found_gpus

OLDEST_CUDA = (13, 0)  # what DALI and pycuda are built for
OLDEST_CAPABILITY = (7, 5)  # CUDA 13 dropped everything before Turing

# Reason of NVML -> words, and whether work is slower than this GPU can do it.
THROTTLES = {
    pynvml.nvmlClocksEventReasonGpuIdle: ("idle", False),
    pynvml.nvmlClocksEventReasonApplicationsClocksSetting: ("clocks set by hand", True),
    pynvml.nvmlClocksEventReasonSwPowerCap: ("held by the power limit", True),
    pynvml.nvmlClocksEventReasonHwSlowdown: ("slowed by the hardware: heat or power", True),
    pynvml.nvmlClocksEventReasonSyncBoost: ("held to the clocks of other GPUs", True),
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: ("slowed by heat", True),
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: ("slowed hard by heat", True),
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: ("braked by the power supply", True),
    pynvml.nvmlClocksEventReasonDisplayClockSetting: ("held by a display", False),
}
LOOK_CLOSER = "nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER,CLOCK"


def gpu_checks() -> list[Check]:
    """Two lines for each GPU: what it is, and how fast it may run now."""
    try:
        gpus = found_gpus()
    except DeviceError as error:
        return [_no_gpu(error)]
    try:
        pynvml.nvmlInit()
        return [check for gpu in gpus for check in (_identity(gpu), _clocks(gpu.number))]
    except pynvml.NVMLError as error:
        return [Check("GPU", "bad", one_line(error), "nvidia-smi", "gpu")]
    finally:
        pynvml.nvmlShutdown()


def first_gpu() -> Gpu | None:
    """The first GPU that the driver shows, or None."""
    try:
        return found_gpus()[0]
    except DeviceError:
        return None


def _no_gpu(error: DeviceError) -> Check:
    if isinstance(error.__cause__, pynvml.NVMLError_LibraryNotFound):
        return Check("GPU", "absent", str(error), GET_DRIVER, "gpu")
    # A driver that was updated under a running kernel answers again after that.
    return Check("GPU", "bad", one_line(error), "sudo reboot, then nvidia-smi", "gpu")


def throttles_in_words(reasons: int) -> tuple[str, bool]:
    """NVML's reasons for the clocks as they are.

    Args:
        reasons: bits, as nvmlDeviceGetCurrentClocksEventReasons gives them.

    Returns:
        the reasons in words, and whether one of them costs speed.
    """
    told = [words for bit, words in THROTTLES.items() if reasons & bit]
    unknown = reasons & ~sum(THROTTLES)
    if unknown:
        told.append((f"another reason ({unknown:#x})", True))
    slows = any(slow for _, slow in told)
    return ", ".join(words for words, _ in told) or "not throttled", slows


def _identity(gpu: Gpu) -> Check:
    name = f"GPU {gpu.number}"
    capability = ".".join(map(str, gpu.compute_capability))
    facts = (
        f"{gpu.name}, compute capability {capability},"
        f" {gpu.free_mib / 1024:.1f} of {gpu.memory_mib / 1024:.1f} GiB free,"
        f" driver {gpu.driver} for CUDA {gpu.cuda}"
    )
    if tuple(map(int, gpu.cuda.split("."))) < OLDEST_CUDA:
        return Check(name, "bad", f"{facts}; CUDA 13 needs driver 580", GET_DRIVER, "gpu")
    if tuple(gpu.compute_capability) < OLDEST_CAPABILITY:
        remedy = "export CUDA_VISIBLE_DEVICES= to sweep on the CPU"
        return Check(name, "bad", f"{facts}; CUDA 13 needs 7.5 (Turing)", remedy, "gpu")
    return Check(name, "ok", facts, needed_for="gpu")


def _clocks(number: int) -> Check:
    device = pynvml.nvmlDeviceGetHandleByIndex(number)
    now = _told(pynvml.nvmlDeviceGetClockInfo, device, pynvml.NVML_CLOCK_SM)
    most = _told(pynvml.nvmlDeviceGetMaxClockInfo, device, pynvml.NVML_CLOCK_SM)
    degrees = _told(pynvml.nvmlDeviceGetTemperature, device, pynvml.NVML_TEMPERATURE_GPU)
    reasons = _told(pynvml.nvmlDeviceGetCurrentClocksEventReasons, device)
    words, slows = throttles_in_words(reasons) if isinstance(reasons, int) else (reasons, False)
    facts = f"{now} of {most} MHz, {degrees} degrees C, {words}"
    name = f"GPU {number} clocks"
    return Check(name, "warn", facts, LOOK_CLOSER) if slows else Check(name, "ok", facts)


def _told(ask: Callable[..., Any], *what: Any) -> Any:
    """One answer of the driver; virtual and sliced GPUs do not tell everything."""
    try:
        return ask(*what)
    except pynvml.NVMLError:
        return "unknown"
