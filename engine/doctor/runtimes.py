"""The programs under a sweep: DALI, OpenVINO, pycuda and TensorRT; each does something small."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import openvino as ov
from nvidia import dali

from cxrsweep.engine.doctor.checks import GPU_EXTRA, REINSTALL, Check, State, one_line, without
from cxrsweep.engine.doctor.tiny_plan import build_tiny_plan, run_tiny_plan
from cxrsweep.engine.errors import PlanError
from cxrsweep.engine.plans.flavour import FLAVOURS, HOW_TO_GET, Flavour, FlavourName, open_flavour

GET_FLAVOUR: dict[FlavourName, str] = {
    "tensorrt": "pip install tensorrt-cu13",  # fetches the builder from NVIDIA's own index
    "tensorrt_rtx": GPU_EXTRA,
}
ON_GPU = "plan on the GPU"


def cpu_runtime_checks() -> list[Check]:
    """DALI's version; OpenVINO compiles and runs a network of one layer."""
    return [Check("DALI", "ok", dali.__version__, needed_for="cpu"), openvino_check()]


def openvino_check() -> Check:
    """Compile y = x + x for the CPU, run it and compare."""
    from openvino import opset13 as ops

    given = np.arange(1, 5, dtype=np.float32).reshape(1, 4)
    facts = ov.__version__.split("-")[0]
    try:
        x = ops.parameter([1, 4], np.float32, name="x")
        model = ov.Model([ops.add(x, x)], [x], "doctor")
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        got = compiled([given])[0]
    except RuntimeError as error:
        facts = f"{facts} does not run on this CPU: {one_line(error)}"
        return Check("OpenVINO", "bad", facts, REINSTALL, "cpu")
    if not np.array_equal(got, 2 * given):
        facts = f"{facts} gives {got.tolist()} for twice {given.tolist()}"
        return Check("OpenVINO", "bad", facts, REINSTALL, "cpu")
    return Check("OpenVINO", "ok", f"{facts}, compiles and runs", needed_for="cpu")


def gpu_runtime_checks(*, has_gpu: bool) -> list[Check]:
    """Pycuda; each TensorRT builds a tiny plan; on a GPU the plans are run, and one must."""
    built = {name: flavour_check(name) for name in FLAVOURS}
    checks = [pycuda_check(has_gpu=has_gpu), *(check for check, _ in built.values())]
    plans = [plan for _, plan in built.values() if plan]
    return [*checks, *plan_run_checks(plans, has_gpu=has_gpu)]


def pycuda_check(*, has_gpu: bool) -> Check:
    """Whether pycuda loads; without a driver it cannot, even where it is installed."""
    remedy = f"CUDA_ROOT=/usr/local/cuda {GPU_EXTRA}"
    try:
        import_module("pycuda.driver")
    except ImportError as error:
        return without("pycuda", one_line(error), remedy, has_gpu=has_gpu)
    return Check("pycuda", "ok", version("pycuda"), needed_for="gpu")


def flavour_check(name: FlavourName) -> tuple[Check, tuple[Flavour, bytes] | None]:
    """Open one TensorRT and build a tiny plan with it.

    Returns:
        the line, and the plan if there is one.
    """
    try:
        flavour = open_flavour(name)
    except PlanError as error:
        state: State = "warn" if find_spec(name) else "absent"
        facts = one_line(error).removesuffix(f"; {HOW_TO_GET}")
        return Check(name, state, facts, GET_FLAVOUR[name]), None
    started = time.perf_counter()
    try:
        plan = build_tiny_plan(flavour)
    except PlanError as error:
        return Check(name, "warn", f"{flavour.version}; {error}", GET_FLAVOUR[name]), None
    took_ms = (time.perf_counter() - started) * 1e3
    facts = f"{flavour.version} builds a plan of {len(plan)} bytes in {took_ms:.0f} ms"
    return Check(name, "ok", facts), (flavour, plan)


def plan_run_checks(plans: list[tuple[Flavour, bytes]], *, has_gpu: bool) -> list[Check]:
    """Run every plan that was built. One that runs is enough for a sweep on the GPU."""
    if not has_gpu:
        return [Check(ON_GPU, "absent", "not run, that needs a GPU", needed_for="gpu")]
    if not plans:
        return [Check(ON_GPU, "bad", "no TensorRT builds one", GPU_EXTRA, "gpu")]
    checks = [plan_run_check(flavour, plan) for flavour, plan in plans]
    if any(check.state == "ok" for check in checks):
        return checks
    return [replace(check, state="bad", needed_for="gpu") for check in checks]


def plan_run_check(flavour: Flavour, plan: bytes) -> Check:
    """Run one plan; where it does not run, the other TensorRT may."""
    name = f"{ON_GPU}, {flavour.name}"
    try:
        gpu = run_tiny_plan(flavour, plan)
    except (PlanError, ImportError) as error:
        (other,) = set(FLAVOURS) - {flavour.name}
        return Check(name, "warn", one_line(error), GET_FLAVOUR[other])
    return Check(name, "ok", f"runs on {gpu}", needed_for="gpu")
