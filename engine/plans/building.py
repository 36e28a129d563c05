"""Builds a plan: an fp16 graph in, the bytes of a strongly typed TensorRT plan out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cxrsweep.engine.errors import PlanError
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.log import PlanLog, log_of
from cxrsweep.engine.plans.precision import precision_counts
from cxrsweep.engine.plans.settings import PlanSettings, Target

INPUT = "radiographs"


@dataclass(frozen=True)
class BuiltPlan:
    """A plan that was just built.

    Attributes:
        content: what TensorRT deserializes.
        timing_cache: kernel timings for the next build on the same GPU; empty where there are none.
        seconds: it took.
        precision: kind of layer -> type -> layers.
    """

    content: bytes
    timing_cache: bytes
    seconds: float
    precision: dict[str, dict[str, int]]


def built_plan(
    graph: bytes,
    flavour: Flavour,
    target: Target,
    settings: PlanSettings,
    timing_cache: bytes = b"",
    say: Callable[[str], None] = lambda _: None,
) -> BuiltPlan:
    """Parse a graph and build its plan.

    Args:
        graph: ONNX with input `radiographs` (N, 1, S, S) uint8; its types are the precision.
        flavour: what builds.
        target: the GPU it is for; the full TensorRT can only build for the GPU that is here.
        settings: batch, workspace, level, compatibility.
        timing_cache: from an earlier build, or empty.
        say: receives a line for each phase that TensorRT begins.

    Raises:
        PlanError: what TensorRT refused: node, operator and reason for a graph.
    """
    start = time.perf_counter()
    log = log_of(flavour)
    log.clear()
    builder = flavour.trt.Builder(log.logger)
    if builder is None:
        raise PlanError(f"{flavour} gives no builder: {log.reason()}")
    network = _parsed_network(graph, builder, flavour, log)
    config = _config(builder, network, flavour, target, settings)
    cache = _attached_cache(config, flavour, timing_cache)
    config.progress_monitor = monitor = _progress_monitor(flavour.trt, say)
    content = builder.build_serialized_network(network, config)
    if monitor.interruption:
        raise monitor.interruption
    if content is None:
        raise PlanError(
            f"{flavour} cannot build the plan: {log.reason()}; try a larger --workspace-mib or a"
            " smaller --batch, and see `cxrsweep doctor`"
        )
    kept = bytes(config.get_timing_cache().serialize()) if cache else b""
    seconds = time.perf_counter() - start
    return BuiltPlan(bytes(content), kept, seconds, precision_counts(network, flavour))


def parsed_network(graph: bytes, flavour: Flavour) -> Any:
    """Parse a graph and build nothing, to look at its layers.

    Raises:
        PlanError: node, operator and reason.
    """
    log = log_of(flavour)
    log.clear()
    return _parsed_network(graph, flavour.trt.Builder(log.logger), flavour, log)


def _parsed_network(graph: bytes, builder: Any, flavour: Flavour, log: PlanLog) -> Any:
    trt = flavour.trt
    # TensorRT 10 needs the flag; 11 is always strongly typed and ignores it.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse(graph):
        faults = [_parser_fault(parser.get_error(number)) for number in range(parser.num_errors)]
        raise PlanError(f"{flavour} cannot read the graph: {'; '.join(faults) or log.reason()}")
    if network.num_inputs != 1 or network.get_input(0).name != INPUT:
        names = [network.get_input(number).name for number in range(network.num_inputs)]
        raise PlanError(f"the graph has the inputs {names}, a fused network has only {INPUT!r}")
    return network


def _parser_fault(fault: Any) -> str:
    where = f"node {fault.node_name()!r} ({fault.node_operator()}): " if fault.node_name() else ""
    return f"{where}{fault.desc()}"


def _config(
    builder: Any, network: Any, flavour: Flavour, target: Target, settings: PlanSettings
) -> Any:
    trt = flavour.trt
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    config.builder_optimization_level = settings.optimization_level
    if settings.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        # Otherwise the plan carries code of its own, which every reader would have to allow.
        config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
    if settings.hardware_compatible and flavour.name == "tensorrt":
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if flavour.name == "tensorrt_rtx":
        _prepare_kernels(config, flavour, target, settings)
    profile = builder.create_optimization_profile()
    _, channels, height, width = network.get_input(0).shape
    shape = (settings.batch, channels, height, width)
    profile.set_shape(INPUT, (1, *shape[1:]), shape, shape)
    if config.add_optimization_profile(profile) < 0:
        raise PlanError(f"{flavour} refuses a profile of {shape}")
    return config


def _prepare_kernels(config: Any, flavour: Flavour, target: Target, settings: PlanSettings) -> None:
    """TensorRT for RTX compiles kernels on the GPU that runs them; named, it prepares for one."""
    name = settings.kernels_for
    if not name and target != Target() and not settings.hardware_compatible:
        name = "CURRENT"
    if not name:
        return
    capabilities = flavour.trt.ComputeCapability
    known = capabilities.__members__
    if name not in known:
        raise PlanError(f"{flavour} prepares no kernels for {name!r}, only for {', '.join(known)}")
    config.num_compute_capabilities = 1
    _require(config.set_compute_capability(known[name], 0), f"the compute capability {name}")


def _attached_cache(config: Any, flavour: Flavour, content: bytes) -> Any:
    """Timing cache of the build; None for TensorRT for RTX, which has none since 1.2."""
    if flavour.name != "tensorrt":
        return None
    cache = config.create_timing_cache(content)
    # A cache of another GPU or version is refused, not adapted: begin with an empty one.
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        _require(config.set_timing_cache(cache, False), "an empty timing cache")
    return cache


def _require(taken: bool, what: str) -> None:
    if not taken:
        raise PlanError(f"TensorRT does not take {what}")


def _progress_monitor(trt: Any, say: Callable[[str], None]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Says each outer phase once; an exception may not cross into TensorRT, so keep it."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interruption: BaseException | None = None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._guarded(lambda: say(f"{phase_name} ({num_steps} steps)"))

        def phase_finish(self, phase_name: str) -> None:
            pass

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._guarded(lambda: None)
            return self.interruption is None

        def _guarded(self, work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 (raised again after the build)
                self.interruption = error

    return Monitor()
