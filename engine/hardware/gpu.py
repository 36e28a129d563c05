"""Which NVIDIA GPUs this machine has, as its driver tells: nothing is run on them."""

from __future__ import annotations

from dataclasses import dataclass

import pynvml

from cxrsweep.engine.errors import DeviceError


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        number: place in the driver's list, by PCI address.
        name: as the driver gives it.
        compute_capability: major and minor.
        memory_mib, free_mib: of its own memory.
        driver: version of the kernel driver.
        cuda: newest CUDA version that the driver runs.
        pci_address: domain:bus:device.function, which CUDA knows too.
    """

    number: int
    name: str
    compute_capability: tuple[int, int]
    memory_mib: int
    free_mib: int
    driver: str
    cuda: str
    pci_address: str


def found_gpus() -> list[Gpu]:
    """Every GPU that the driver shows.

    Raises:
        DeviceError: no driver, a driver that does not answer, or no GPU behind it.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound as error:
        raise DeviceError("no NVIDIA driver here (libnvidia-ml.so.1 is missing)") from error
    except pynvml.NVMLError as error:
        raise DeviceError(f"the NVIDIA driver does not answer: {error}") from error
    try:
        found = [_gpu(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        raise DeviceError(f"the NVIDIA driver does not tell about its GPUs: {error}") from error
    finally:
        pynvml.nvmlShutdown()
    if not found:
        raise DeviceError("the NVIDIA driver shows no GPU")
    return found


def _gpu(number: int) -> Gpu:
    device = pynvml.nvmlDeviceGetHandleByIndex(number)
    memory = pynvml.nvmlDeviceGetMemoryInfo(device)
    cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()
    return Gpu(
        number,
        pynvml.nvmlDeviceGetName(device),
        pynvml.nvmlDeviceGetCudaComputeCapability(device),
        memory.total // 2**20,
        memory.free // 2**20,
        pynvml.nvmlSystemGetDriverVersion(),
        f"{cuda // 1000}.{cuda % 1000 // 10}",
        pynvml.nvmlDeviceGetPciInfo(device).busIdLegacy.lower(),
    )
