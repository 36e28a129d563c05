"""The state of a GPU that can make two measurements differ: clocks, heat, power, throttling."""

from __future__ import annotations

from collections.abc import Callable

import pynvml

from cxrsweep.engine.hardware.gpu import Gpu

_THROTTLING = {
    "power cap": pynvml.nvmlClocksEventReasonSwPowerCap,
    "hardware slowdown": pynvml.nvmlClocksEventReasonHwSlowdown,
    "heat, by the driver": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    "heat, by the hardware": pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    "power brake": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
}


def gpu_state(gpu: Gpu | None) -> dict[str, str | float]:
    """Clocks in MHz, temperature in degrees Celsius, power in watts, what holds the clocks down.

    Args:
        gpu: None is the CPU, of which nothing is known.

    Returns:
        what the driver tells; where it does not, its reason.
    """
    if gpu is None:
        return {}
    pynvml.nvmlInit()
    try:
        device = pynvml.nvmlDeviceGetHandleByIndex(gpu.number)
        asked: dict[str, Callable[[], str | float]] = {
            "sm_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(device, pynvml.NVML_CLOCK_SM),
            "most_sm_clock_mhz": lambda: pynvml.nvmlDeviceGetMaxClockInfo(
                device, pynvml.NVML_CLOCK_SM
            ),
            "power_w": lambda: pynvml.nvmlDeviceGetPowerUsage(device) / 1e3,
            "power_limit_w": lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(device) / 1e3,
            "temperature_c": lambda: pynvml.nvmlDeviceGetTemperature(
                device, pynvml.NVML_TEMPERATURE_GPU
            ),
            "throttled_by": lambda: _throttling(
                pynvml.nvmlDeviceGetCurrentClocksEventReasons(device)
            ),
            "mig": lambda: pynvml.nvmlDeviceGetMigMode(device)[0],
            "pcie_generation": lambda: pynvml.nvmlDeviceGetCurrPcieLinkGeneration(device),
            "pcie_width": lambda: pynvml.nvmlDeviceGetCurrPcieLinkWidth(device),
        }
        return {name: _answer(ask) for name, ask in asked.items()}
    finally:
        pynvml.nvmlShutdown()


def busy_share(gpu: Gpu) -> float | None:
    """Share of the last moment, up to a second, in which the GPU ran a kernel.

    Args:
        gpu: which.

    Returns:
        in [0, 1]; None where the driver does not tell, as of a part of a GPU (MIG).
    """
    pynvml.nvmlInit()
    try:
        device = pynvml.nvmlDeviceGetHandleByIndex(gpu.number)
        return float(pynvml.nvmlDeviceGetUtilizationRates(device).gpu) / 100
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _throttling(reasons: int) -> str:
    held = [name for name, bit in _THROTTLING.items() if reasons & bit]
    return ", ".join(held) or "nothing"


def _answer(ask: Callable[[], str | float]) -> str | float:
    try:
        return ask()
    except pynvml.NVMLError as error:
        return str(error)
