"""A device to measure: decoders, runners and copies that fit each other, on a CPU or on a GPU.

All steps are written against `Kit`, so that what needs a GPU to be tried is in `GpuKit` alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.bundle import FP32_GRAPH, Bundle
from cxrsweep.engine.decode.batches import CPU_BATCH_PIXELS, GPU_BATCH_PIXELS
from cxrsweep.engine.decode.fast_lane import Decoded, Decoder
from cxrsweep.engine.decode.gpu_lane import GpuDecoder
from cxrsweep.engine.decode.jpeg_share import NO_LIMIT_MP, SizeClass
from cxrsweep.engine.decode.pipelines import DecoderUse
from cxrsweep.engine.errors import DeviceError, PlanMismatchError
from cxrsweep.engine.hardware.cuda import CudaContext, DevicePixels
from cxrsweep.engine.hardware.device import Device
from cxrsweep.engine.hardware.gpu import Gpu, found_gpus
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.ready import build_plan, ready_plan
from cxrsweep.engine.plans.settings import PlanSettings, Target, target_of
from cxrsweep.engine.plans.store import Plan
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.runners import Pending, Runner
from cxrsweep.engine.runners.openvino import OpenVinoRunner
from cxrsweep.engine.stages import AnyDecoder

USUAL_SHARE = 0.65  # of the JPEG engines, DALI's default

Uint8 = NDArray[np.uint8]
Pixels = Uint8 | DevicePixels


class Kit(Protocol):
    """What a step needs of a device.

    Attributes:
        bundle: what scores.
        gpu: which; None is the CPU.
        batch_pixels: most pixels in a batch of files.
        shares: of the JPEG engines that make a difference here.
    """

    bundle: Bundle
    gpu: Gpu | None
    batch_pixels: int
    shares: tuple[float, ...]

    def decoder(self, batch: int, share: float) -> AnyDecoder:
        """A decoder that gives its JPEG engines this share of a batch."""
        ...

    def runner(self, batch: int) -> Runner:
        """A runner for batches of this size."""
        ...

    def on_host(self, pixels: Pixels) -> Uint8:
        """A copy in host memory, (N, 1, S, S), once the pixels are there."""
        ...

    def on_device(self, pixels: Uint8) -> Pixels:
        """The pixels where the runner reads them without a copy."""
        ...

    def wait_for(self, pixels: Pixels) -> None:
        """Wait until decoded pixels are there."""
        ...

    def busy_s(self, pending: Pending) -> float:
        """Seconds that the device was at work on a batch that has ended."""
        ...

    def copy_rate(self, size: int, copies: int) -> float:
        """Bytes per second from pinned host memory to the device."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class CpuKit:
    """The CPU, with which the steps are tested.

    Args:
        bundle: what scores.
        threads: cores to use.
    """

    batch_pixels = CPU_BATCH_PIXELS
    shares: tuple[float, ...] = (0.0,)
    gpu: Gpu | None = None

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.bundle, self._threads = bundle, threads

    def decoder(self, batch: int, share: float) -> AnyDecoder:
        """A decoder; a CPU has no JPEG engines, so the share says nothing."""
        return Decoder(self.bundle.recipe, batch, self._threads)

    def runner(self, batch: int) -> Runner:
        """OpenVINO on the fp32 graph."""
        return OpenVinoRunner(self.bundle.path(FP32_GRAPH), batch, self._threads)

    def on_host(self, pixels: Pixels) -> Uint8:
        """A copy."""
        assert not isinstance(pixels, DevicePixels), "only a GPU decoder gives device memory"
        return pixels.copy()

    def on_device(self, pixels: Uint8) -> Pixels:
        """The same pixels."""
        return pixels

    def wait_for(self, pixels: Pixels) -> None:
        """They are there."""

    def busy_s(self, pending: Pending) -> float:
        """From the submission to the last score."""
        return pending.ended - pending.started

    def copy_rate(self, size: int, copies: int) -> float:
        """Bytes per second within host memory."""
        source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
        start = time.perf_counter()
        for _ in range(copies):
            np.copyto(target, source)
        return size * copies / (time.perf_counter() - start)

    def close(self) -> None:
        """Nothing is held."""


class GpuKit:
    """One GPU with a flavour of TensorRT.

    Args:
        bundle: what scores; plans are kept in it.
        threads: CPU cores to use.
        gpu: which.
        flavour: that works on it.
        kernels_for: what plans are prepared for, as in PlanSettings; None is any GPU.

    Raises:
        DeviceError: CUDA does not start.
    """

    batch_pixels = GPU_BATCH_PIXELS
    shares: tuple[float, ...] = (0.0, 0.65, 1.0)

    def __init__(
        self,
        bundle: Bundle,
        threads: int,
        gpu: Gpu,
        flavour: Flavour,
        kernels_for: str | None = "",
    ) -> None:
        self.bundle, self._threads = bundle, threads
        self.gpu: Gpu | None = gpu
        self._target, self._flavour, self._kernels_for = target_of(gpu), flavour, kernels_for
        self._cuda = CudaContext(gpu)
        self._stream = self._cuda.stream()

    def decoder(self, batch: int, share: float) -> AnyDecoder:
        """DALI on the GPU, one class of size for all."""
        use = DecoderUse("mixed", self._cuda.number, share)
        classes = [SizeClass(NO_LIMIT_MP, use, {})]
        return GpuDecoder(self.bundle.recipe, batch, self._threads, self._cuda, classes)

    def runner(self, batch: int) -> Runner:
        """TensorRT with the plan of this batch, built where there is none."""
        from cxrsweep.engine.runners.tensorrt import TensorRtRunner

        return TensorRtRunner(self._plan(batch), self._flavour, self._cuda, self.bundle.recipe.side)

    def _plan(self, batch: int) -> Plan:
        """The plan of a batch, built in the way that was found to work."""
        try:
            return ready_plan(self.bundle, self._flavour, self._target, batch, may_build=False)
        except PlanMismatchError:
            settings = PlanSettings(batch=batch, kernels_for=self._kernels_for or "")
            wanted = Target() if self._kernels_for is None else self._target
            return build_plan(self.bundle, self._flavour, wanted, settings)

    def on_host(self, pixels: Pixels) -> Uint8:
        """Copied after the decoder's stream has come to its end."""
        if not isinstance(pixels, DevicePixels):
            return pixels.copy()
        self.wait_for(pixels)
        side = self.bundle.recipe.side
        host = np.empty((pixels.count, 1, side, side), np.uint8)
        with self._cuda.current() as driver:
            driver.memcpy_dtoh(host, pixels.address)
        return host

    def on_device(self, pixels: Uint8) -> Pixels:
        """In memory of its own, which lives as long as the result."""
        with self._cuda.current() as driver:
            memory = driver.mem_alloc(pixels.nbytes)
            driver.memcpy_htod(memory, np.ascontiguousarray(pixels))
            return DevicePixels(int(memory), len(pixels), self._stream, memory)

    def wait_for(self, pixels: Pixels) -> None:
        """Until the decoder's stream has come to its end."""
        if isinstance(pixels, DevicePixels):
            with self._cuda.current():
                pixels.ready.synchronize()

    def busy_s(self, pending: Any) -> float:
        """Between the CUDA events before the execution and after the copy of its scores."""
        with self._cuda.current():
            return float(pending.begun.time_till(pending.done)) / 1e3

    def copy_rate(self, size: int, copies: int) -> float:
        """Timed with CUDA events on one stream."""
        with self._cuda.current() as driver:
            source = driver.pagelocked_empty(size, np.uint8)
            source[:] = 1
            target = driver.mem_alloc(size)
            driver.memcpy_htod_async(target, source, self._stream)
            begun, done = driver.Event(), driver.Event()
            begun.record(self._stream)
            for _ in range(copies):
                driver.memcpy_htod_async(target, source, self._stream)
            done.record(self._stream)
            done.synchronize()
            return size * copies / (float(begun.time_till(done)) / 1e3)

    def close(self) -> None:
        """Let go of the context."""
        with self._cuda.current():
            del self._stream
        self._cuda.close()


def number_of(device: str) -> int:
    """The GPU of "gpu" or "gpu:N"."""
    return int(device[4:]) if ":" in device else 0


def asked_gpu(device: str) -> Gpu:
    """The GPU that was asked for.

    Raises:
        DeviceError: it is not there.
    """
    gpus = found_gpus()
    if number_of(device) >= len(gpus):
        raise DeviceError(f"there is no GPU {number_of(device)}, only {len(gpus)}")
    return gpus[number_of(device)]


@contextlib.contextmanager
def kit_on(device: Device, bundle: Bundle, threads: int) -> Iterator[Kit]:
    """The kit of a device that `chosen_device` gave.

    Args:
        device: the CPU, or a GPU with its flavour.
        bundle: what scores.
        threads: CPU cores to use.
    """
    kit: Kit
    if device.gpu is None or device.flavour is None:
        kit = CpuKit(bundle, threads)
    else:
        kit = GpuKit(bundle, threads, device.gpu, device.flavour)
    try:
        yield kit
    finally:
        kit.close()


@contextlib.contextmanager
def opened_decoder(kit: Kit, batch: int, share: float) -> Iterator[AnyDecoder]:
    """A decoder that is closed at the end."""
    decoder = kit.decoder(batch, share)
    try:
        yield decoder
    finally:
        decoder.close()


@contextlib.contextmanager
def opened_runner(kit: Kit, batch: int) -> Iterator[Runner]:
    """A runner that is closed at the end."""
    runner = kit.runner(batch)
    try:
        yield runner
    finally:
        runner.close()


def decoded(decoder: AnyDecoder, files: Sequence[Checked]) -> Decoded[Pixels]:
    """Decode checked files as one batch."""
    return decoder.decode([file.content for file in files], [file.header for file in files])
