"""A plan of one layer, y = x + x: built with TensorRT, and on a GPU run and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.doctor.checks import one_line
from cxrsweep.engine.errors import PlanError
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.log import PlanLog, log_of

SHAPE = (1, 4)
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, which pycuda does not name


def build_tiny_plan(flavour: Flavour) -> bytes:
    """Build the plan; TensorRT for RTX needs no GPU for that.

    Raises:
        PlanError: TensorRT does not, with what it says.
    """
    trt, log = flavour.trt, log_of(flavour)
    log.clear()
    builder = _must(trt.Builder(log.logger), "make a builder", log)
    # Needed by TensorRT 10, accepted and without effect in 11.
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = _must(builder.create_network(typed), "make a network", log)
    given = _must(network.add_input("x", trt.float32, SHAPE), "add an input", log)
    layer = network.add_elementwise(given, given, trt.ElementWiseOperation.SUM)
    doubled = _must(layer, "add a layer", log).get_output(0)
    doubled.name = "y"
    network.mark_output(doubled)
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    return bytes(_must(plan, "build the plan", log))


def run_tiny_plan(flavour: Flavour, plan: bytes) -> str:
    """Run the plan on the first GPU and compare what comes out. Never run without a GPU.

    Returns:
        name of the GPU.

    Raises:
        PlanError: it does not run, or gives something else than x + x.
        ImportError: pycuda or a library that it needs is missing.
    """
    import pycuda.driver as cuda  # needs the driver's libcuda: not before it is asked for

    try:
        cuda.init()
        device = cuda.Device(0)
        # The context that DALI and TensorRT use; another one could not read their memory.
        context = device.retain_primary_context()
        context.push()
        try:
            got = _doubled(flavour, plan, cuda)
        finally:
            context.pop()
    except cuda.Error as error:
        raise PlanError(f"CUDA does not run it: {one_line(error)}") from error
    if not np.array_equal(got, 2 * _given()):
        raise PlanError(f"it gives {got.tolist()} for twice {_given().tolist()}")
    return str(device.name())


def _given() -> NDArray[np.float32]:
    return np.arange(1, 5, dtype=np.float32).reshape(SHAPE)


def _doubled(flavour: Flavour, plan: bytes, cuda: Any) -> NDArray[np.float32]:
    log = log_of(flavour)
    log.clear()
    runtime = _must(flavour.trt.Runtime(log.logger), "make a runtime", log)
    trt_engine = _must(runtime.deserialize_cuda_engine(plan), "open the plan", log)
    execution = _must(trt_engine.create_execution_context(), "make a context", log)
    given, got = _given(), np.zeros(SHAPE, np.float32)
    x, y = cuda.mem_alloc(given.nbytes), cuda.mem_alloc(got.nbytes)
    stream = cuda.Stream(flags=_NON_BLOCKING)
    _must(execution.set_tensor_address("x", int(x)), "bind x", log)
    _must(execution.set_tensor_address("y", int(y)), "bind y", log)
    cuda.memcpy_htod_async(x, given, stream)
    _must(execution.execute_async_v3(stream.handle), "run the plan", log)
    cuda.memcpy_dtoh_async(got, y, stream)
    stream.synchronize()
    return got


def _must(answer: Any, what: str, log: PlanLog) -> Any:
    """Refuse the None or False with which TensorRT says that something failed."""
    if answer is None or answer is False:
        raise PlanError(f"TensorRT does not {what}: {one_line(log.reason())}")
    return answer
