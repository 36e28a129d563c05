"""The two stages that depend on the device: a decoder and a runner that fit each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cxrsweep.engine.bundle import FP32_GRAPH, Bundle
from cxrsweep.engine.decode.batches import CPU_BATCH_PIXELS, GPU_BATCH_PIXELS
from cxrsweep.engine.decode.fast_lane import Decoded, Decoder
from cxrsweep.engine.decode.gpu_lane import GpuDecoder
from cxrsweep.engine.decode.grey import Uint8
from cxrsweep.engine.decode.jpeg_share import (
    NO_LIMIT_MP,
    SizeClass,
    measured_classes,
    seconds_to_decode,
    size_class_from_json,
)
from cxrsweep.engine.decode.pipelines import DecoderUse
from cxrsweep.engine.errors import DeviceMemoryError, PlanError, PlanMismatchError
from cxrsweep.engine.gate.header import Header
from cxrsweep.engine.hardware.cuda import CudaContext, DevicePixels
from cxrsweep.engine.hardware.device import Device
from cxrsweep.engine.hardware.gpu import Gpu
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.ready import build_plan, ready_plan
from cxrsweep.engine.plans.settings import DEFAULT_BATCH, PlanSettings, target_of
from cxrsweep.engine.plans.store import Plan
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.runners import Runner

CPU_BATCH = 16


class AnyDecoder(Protocol):
    """Turns checked files into pixels, in host memory or on a GPU."""

    def decode(
        self, contents: Sequence[bytes], headers: Sequence[Header], *, carefully: bool = False
    ) -> Decoded[Uint8 | DevicePixels]:
        """Decode one batch whose radiographs are either all fast or all not."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


@dataclass(frozen=True)
class Stages:
    """What a sweep decodes and runs with.

    Attributes:
        decoder, runner: made for each other.
        batch: most radiographs in a batch.
        batch_pixels: most pixels in a batch.
        facts: plain values for run.json; given to the next start, which then decodes alike.
        closers: called in this order.
    """

    decoder: AnyDecoder
    runner: Runner
    batch: int
    batch_pixels: int
    facts: dict[str, Any]
    closers: tuple[Callable[[], None], ...]

    def close(self) -> None:
        """Free everything, what was opened last first."""
        for closer in self.closers:
            closer()


@dataclass(frozen=True)
class StageRequest:
    """What the stages are opened for.

    Attributes:
        bundle: what scores.
        batch: most radiographs in a batch; None for the device's default.
        threads: CPU threads.
        may_build: a plan that fits may be built if there is none.
        earlier: facts of an earlier start of the same run, or empty.
        sample: reads some files of the archive, to measure decoding on a GPU.
        say: receives a line per step.
    """

    bundle: Bundle
    batch: int | None
    threads: int
    may_build: bool = True
    earlier: dict[str, Any] | None = None
    sample: Callable[[], list[Checked]] = list
    say: Callable[[str], None] = lambda _: None


def opened_stages(request: StageRequest, device: Device) -> Stages:
    """Open decoder and runner.

    Raises:
        BundleError, PlanError, DeviceError: what the device cannot do, and why.
    """
    if device.gpu is None or device.flavour is None:
        return _on_cpu(request)
    return _on_gpu(request, device.gpu, device.flavour)


def _on_cpu(request: StageRequest) -> Stages:
    from cxrsweep.engine.runners.openvino import OpenVinoRunner

    batch = request.batch or CPU_BATCH
    decoder = Decoder(request.bundle.recipe, batch, request.threads)
    runner = OpenVinoRunner(request.bundle.path(FP32_GRAPH), batch, request.threads)
    closers = (runner.close, decoder.close)
    return Stages(decoder, runner, batch, CPU_BATCH_PIXELS, {}, closers)


def _on_gpu(request: StageRequest, gpu: Gpu, flavour: Flavour) -> Stages:
    context = CudaContext(gpu)
    recipe, batch = request.bundle.recipe, request.batch
    while True:
        try:
            plan, runner = _running_plan(request, gpu, flavour, context, batch)
            break
        except DeviceMemoryError as error:
            batch = (batch or DEFAULT_BATCH) // 2
            if batch == 0:
                raise
            request.say(f"{error}; trying a batch of {batch}")
    batch = plan.sidecar.settings.batch
    classes = _classes(request, gpu, context, batch)
    decoder = GpuDecoder(recipe, batch, request.threads, context, classes, request.say)
    closers = (runner.close, decoder.close, context.close)
    facts = {"jpeg_share": [found.as_json() for found in classes], "plan": plan.path.stem}
    return Stages(decoder, runner, batch, GPU_BATCH_PIXELS, facts, closers)


def _running_plan(
    request: StageRequest, gpu: Gpu, flavour: Flavour, context: CudaContext, batch: int | None
) -> tuple[Plan, Runner]:
    """A plan that loads and runs here: for TensorRT for RTX, the first of several ways."""
    from cxrsweep.engine.runners.tensorrt import TensorRtRunner

    bundle, target, side = request.bundle, target_of(gpu), request.bundle.recipe.side
    may_build, say = request.may_build, request.say
    try:
        plan = ready_plan(bundle, flavour, target, batch, may_build=may_build, say=say)
        return plan, TensorRtRunner(plan, flavour, context, side)
    except (DeviceMemoryError, PlanMismatchError):
        raise
    except PlanError as error:
        if flavour.name != "tensorrt_rtx" or not may_build:
            raise
        reason = error
    size = batch or DEFAULT_BATCH
    for settings in (
        PlanSettings(size, hardware_compatible=True),
        PlanSettings(size, kernels_for="SM80"),
    ):
        say(f"{reason}; trying {'SM80' if settings.kernels_for else 'a plan for any GPU'}")
        try:
            plan = build_plan(bundle, flavour, target, settings, say)
            return plan, TensorRtRunner(plan, flavour, context, side)
        except PlanError as error:
            reason = error
    raise reason


def _classes(request: StageRequest, gpu: Gpu, context: CudaContext, batch: int) -> list[SizeClass]:
    """The decoder's use per class of size: as this run began, or measured now."""
    if request.earlier and "jpeg_share" in request.earlier:
        return [size_class_from_json(values) for values in request.earlier["jpeg_share"]]

    from cxrsweep.engine.doctor.jpeg_engines import engine_notes, jpeg_engine_check

    def seconds_of(use: DecoderUse, batches: Sequence[Sequence[Checked]]) -> float:
        only = [SizeClass(NO_LIMIT_MP, use, {})]
        decoder = GpuDecoder(request.bundle.recipe, batch, request.threads, context, only)
        try:
            return seconds_to_decode(decoder.decode_and_wait, batches)
        finally:
            decoder.close()

    request.say("measuring the JPEG engines on a sample of the archive")
    classes = measured_classes(request.sample(), context.number, batch, seconds_of)
    for line in engine_notes(jpeg_engine_check(gpu), classes):
        request.say(line)
    return classes
