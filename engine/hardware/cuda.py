"""The primary CUDA context of one GPU, which DALI, TensorRT and pycuda share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.gpu import Gpu

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: pycuda names no constant, and 0 waits for stream 0


@dataclass(frozen=True)
class DevicePixels:
    """A decoded batch in the memory of a GPU.

    Attributes:
        address: of (N, 1, S, S) uint8, dense.
        count: N.
        ready: stream in whose order the pixels are there.
        owner: keeps the memory; hold it until what reads the pixels has ended.
        listed: the same as DALI's list of tensors, to copy it to the host; None from elsewhere.
    """

    address: int
    count: int
    ready: Any
    owner: object
    listed: Any = None


class CudaContext:
    """Retains the primary context. Everything on it is closed before it, in one thread.

    Attributes:
        driver: the module pycuda.driver.
        number: of the GPU as CUDA counts, which DALI wants; the driver's own list may differ.

    Args:
        gpu: from the driver's list.

    Raises:
        DeviceError: CUDA does not start or does not show this GPU.
    """

    def __init__(self, gpu: Gpu) -> None:
        # Not pycuda.autoinit: it makes a context of its own, in which the others' memory is wrong.
        import pycuda.driver as driver

        self.driver = driver
        try:
            driver.init()
            addresses = [
                driver.Device(number).pci_bus_id().lower()
                for number in range(driver.Device.count())
            ]
            if gpu.pci_address not in addresses:
                raise DeviceError(
                    f"CUDA does not show GPU {gpu.number} ({gpu.name}, {gpu.pci_address}), only"
                    f" {addresses}; see CUDA_VISIBLE_DEVICES"
                )
            self.number = addresses.index(gpu.pci_address)
            self._context = driver.Device(self.number).retain_primary_context()
        except driver.Error as error:
            raise DeviceError(f"CUDA does not start on GPU {gpu.number}: {error}") from error

    @contextlib.contextmanager
    def current(self) -> Iterator[Any]:
        """Make the context this thread's for a while; yields pycuda.driver."""
        self._context.push()
        try:
            yield self.driver
        finally:
            self.driver.Context.pop()

    def stream(self) -> Any:
        """A new stream that does not wait for others."""
        with self.current():
            return self.driver.Stream(NON_BLOCKING)

    def close(self) -> None:
        """Let go of the context."""
        self._context.detach()
