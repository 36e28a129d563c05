"""Runs a TensorRT plan on a GPU: two batches in flight, pixels read where DALI left them."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.errors import DeviceMemoryError, PlanError
from cxrsweep.engine.hardware.cuda import NON_BLOCKING, CudaContext, DevicePixels
from cxrsweep.engine.plans.building import INPUT
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.log import log_of
from cxrsweep.engine.plans.store import Plan
from cxrsweep.engine.runners.base import Scores, scores_from

DEPTH = 2


@dataclass
class _Slot:
    """One execution context with all that it writes to; used by one batch after the other.

    Attributes:
        context, stream: execute here, in this order.
        input: device memory for batches that cannot be read in place.
        outputs: name -> device memory.
        pinned: name -> host memory that the GPU writes to, (B, ...); the input's, too.
        batch: what it works on, until its scores were taken out.
    """

    context: Any
    stream: Any
    input: Any
    outputs: dict[str, Any]
    pinned: dict[str, NDArray[Any]]
    batch: PendingPlan | None = field(default=None)


class PendingPlan:
    """A batch on the GPU."""

    def __init__(self, runner: TensorRtRunner, slot: _Slot, count: int, owner: object) -> None:
        self._runner = runner
        self._slot = slot
        self._count = count
        self._owner = owner
        self._scores: Scores | None = None
        self.begun, self.done = runner.new_event(), runner.new_event()
        self.started = time.perf_counter()
        self.ended = 0.0

    def is_done(self) -> bool:
        """Whether the scores are in host memory."""
        return self._scores is not None or self._runner.has_passed(self.done)

    def result(self) -> Scores:
        """Wait for the scores.

        Raises:
            PlanError: the GPU failed meanwhile.
        """
        if self._scores is None:
            self.ended = self._runner.wait_for(self)
            arrays = {
                name: array[: self._count].copy()
                for name, array in self._slot.pinned.items()
                if name != INPUT
            }
            self._scores = scores_from(arrays)
            self._owner, self._slot.batch = None, None
        return self._scores


class TensorRtRunner:
    """Executes a plan.

    Args:
        plan: from the bundle, verified.
        flavour: that built it.
        context: of the GPU it is for.
        side: S of the radiographs.

    Raises:
        PlanError: TensorRT refuses the plan here, with its reason.
        DeviceMemoryError: the GPU has too little memory for two batches of this size.
    """

    def __init__(self, plan: Plan, flavour: Flavour, context: CudaContext, side: int) -> None:
        self._cuda = context
        self._flavour = flavour
        self._batch = plan.sidecar.settings.batch
        self._side = side
        self.depth = DEPTH
        self.name = f"{flavour}, batch {self._batch}"
        self._mark: tuple[Any, float] | None = None
        self._runtime_config: Any = None
        self._log = log_of(flavour)
        self._log.clear()
        with context.current():
            self._runtime = flavour.trt.Runtime(self._log.logger)
            self._engine = self._checked(
                self._runtime.deserialize_cuda_engine(plan.content), f"does not take {plan.path}"
            )
            self._slots = [self._slot() for _ in range(DEPTH)]
        self._turn = 0
        # The first execution allocates and, with TensorRT for RTX, compiles: not on the clock.
        self.submit(np.zeros((1, 1, side, side), np.uint8)).result()

    def submit(self, pixels: NDArray[np.uint8] | DevicePixels) -> PendingPlan:
        """Start on a batch.

        Args:
            pixels: (N, 1, S, S) uint8, N up to the plan's batch. A full batch on the GPU is read
                in place; a shorter one or one in host memory is copied and padded, because the
                plan always executes its whole batch: no score depends on how many there are.

        Raises:
            PlanError: TensorRT or CUDA refuses.
        """
        slot = self._slots[self._turn]
        self._turn = (self._turn + 1) % DEPTH
        if slot.batch:
            slot.batch.result()  # its pinned memory is about to be written again
        self._log.clear()
        with self._cuda.current() as driver:
            try:
                slot.batch = self._enqueued(slot, pixels)
            except driver.MemoryError as error:
                raise DeviceMemoryError(f"GPU memory ran out: {error}") from error
            except driver.Error as error:
                raise PlanError(f"CUDA failed: {error}") from error
        return slot.batch

    def new_event(self) -> Any:
        """A CUDA event, in the current context."""
        return self._cuda.driver.Event()

    def has_passed(self, event: Any) -> bool:
        """Whether the GPU got there.

        Raises:
            PlanError: the GPU failed meanwhile.
        """
        with self._cuda.current() as driver:
            try:
                return bool(event.query())
            except driver.Error as error:
                raise PlanError(f"the GPU failed: {error}") from error

    def wait_for(self, batch: PendingPlan) -> float:
        """Wait until a batch is done, and tell when that was on the clock of perf_counter.

        Raises:
            PlanError: the GPU failed meanwhile.
        """
        with self._cuda.current() as driver:
            try:
                batch.done.synchronize()
                now = time.perf_counter()
                # From one batch to the next on the GPU's clock; the host looks when it has time.
                if self._mark:
                    event, ended = self._mark
                    now = min(now, ended + event.time_till(batch.done) / 1e3)
            except driver.Error as error:
                raise PlanError(f"the GPU failed: {error}; {self._log.reason()}") from error
        self._mark = (batch.done, now)
        return now

    def close(self) -> None:
        """Wait for what is in flight and free everything, TensorRT's before CUDA's."""
        with self._cuda.current() as driver:
            for slot in self._slots:
                with contextlib.suppress(driver.Error):  # what failed was said where it mattered
                    slot.stream.synchronize()
            self._mark = None
            for slot in self._slots:
                slot.batch = slot.context = None
            del self._engine, self._runtime
            self._slots.clear()

    def _slot(self) -> _Slot:
        driver = self._cuda.driver
        context = self._execution_context()
        if context is None:
            raise DeviceMemoryError(
                f"{self._flavour} has no memory for a batch of {self._batch}: {self._log.reason()}"
            )
        stream = driver.Stream(NON_BLOCKING)
        shape = (self._batch, 1, self._side, self._side)
        self._checked(context.set_input_shape(INPUT, shape), f"refuses the shape {shape}")
        try:
            pinned = {
                name: driver.pagelocked_empty(tuple(context.get_tensor_shape(name)), dtype)
                for name, dtype in self._tensors()
            }
            memory = {name: driver.mem_alloc(array.nbytes) for name, array in pinned.items()}
            driver.memset_d8_async(memory[INPUT], 0, pinned[INPUT].nbytes, stream)
        except driver.MemoryError as error:
            raise DeviceMemoryError(f"no memory for a batch of {self._batch}: {error}") from error
        given = memory.pop(INPUT)
        for name, address in memory.items():
            self._bind(context, name, int(address))
        return _Slot(context, stream, given, memory, pinned)

    def _execution_context(self) -> Any:
        if self._flavour.name != "tensorrt_rtx":
            return self._engine.create_execution_context()
        # Otherwise other kernels step in while it runs, and a restart scores otherwise.
        runtime_config = self._engine.create_runtime_config()
        strategy = self._flavour.trt.DynamicShapesKernelSpecializationStrategy.EAGER
        runtime_config.dynamic_shapes_kernel_specialization_strategy = strategy
        self._runtime_config = runtime_config  # the context does not keep it alive
        return self._engine.create_execution_context(runtime_config)

    def _tensors(self) -> list[tuple[str, Any]]:
        names = [
            self._engine.get_tensor_name(place) for place in range(self._engine.num_io_tensors)
        ]
        return [(n, self._flavour.trt.nptype(self._engine.get_tensor_dtype(n))) for n in names]

    def _enqueued(self, slot: _Slot, pixels: NDArray[np.uint8] | DevicePixels) -> PendingPlan:
        driver, stream = self._cuda.driver, slot.stream
        count = pixels.count if isinstance(pixels, DevicePixels) else len(pixels)
        assert count <= self._batch, f"{count} radiographs for a plan of {self._batch}"
        batch = PendingPlan(self, slot, count, pixels)
        self._bind(slot.context, INPUT, self._given(slot, pixels))
        batch.begun.record(stream)
        self._checked(slot.context.execute_async_v3(stream.handle), "does not execute")
        for name, memory in slot.outputs.items():
            driver.memcpy_dtoh_async(slot.pinned[name], memory, stream)
        batch.done.record(stream)
        return batch

    def _given(self, slot: _Slot, pixels: NDArray[np.uint8] | DevicePixels) -> int:
        """Address of a whole batch that will be there when the slot's stream comes to it."""
        driver = self._cuda.driver
        if isinstance(pixels, DevicePixels):
            arrived = driver.Event()
            arrived.record(pixels.ready)
            slot.stream.wait_for_event(arrived)
            if pixels.count == self._batch:
                return pixels.address
            size = pixels.count * self._side**2
            driver.memcpy_dtod_async(slot.input, pixels.address, size, slot.stream)
        else:
            slot.pinned[INPUT][: len(pixels)] = pixels
            driver.memcpy_htod_async(slot.input, slot.pinned[INPUT], slot.stream)
        return int(slot.input)

    def _bind(self, context: Any, name: str, address: int) -> None:
        self._checked(context.set_tensor_address(name, address), f"refuses the address of {name}")

    def _checked(self, answer: Any, fault: str) -> Any:
        """TensorRT does not raise: it returns None or False."""
        if answer is None or answer is False:
            raise PlanError(f"{self._flavour} {fault}: {self._log.reason()}")
        return answer
