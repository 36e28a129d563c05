"""One way to a running plan: built, loaded, executed on real pixels, and compared."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

from cxrsweep.bench.gpu.agreement import are_equal, joined, score_agreement
from cxrsweep.bench.gpu.score_check import reference
from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.kits import asked_gpu
from cxrsweep.engine.bundle import FP16_GRAPH, Bundle, open_bundle
from cxrsweep.engine.errors import PlanError, PlanMismatchError
from cxrsweep.engine.hardware.cuda import CudaContext
from cxrsweep.engine.plans.building import BuiltPlan, built_plan
from cxrsweep.engine.plans.flavour import Flavour, FlavourName, open_flavour
from cxrsweep.engine.plans.log import log_of
from cxrsweep.engine.plans.settings import PlanSettings, Target, target_of
from cxrsweep.engine.plans.store import Plan, PlanStore

# An fp16 plan differs from fp32 by a few thousandths; a wrong one by far more than this.
WRONG = 0.1
EXECUTIONS = 20


def rtx_current(setting: Setting, note: Note) -> None:
    """TensorRT for RTX, prepared for the GPU that is here."""
    _probe(setting, note, "tensorrt_rtx", "CURRENT")


def rtx_sm80(setting: Setting, note: Note) -> None:
    """TensorRT for RTX, prepared for compute capability 8.0, which later GPUs may run."""
    _probe(setting, note, "tensorrt_rtx", "SM80")


def rtx_portable(setting: Setting, note: Note) -> None:
    """TensorRT for RTX, prepared for no GPU in particular."""
    _probe(setting, note, "tensorrt_rtx", None)


def tensorrt_here(setting: Setting, note: Note) -> None:
    """The full TensorRT, which builds for the GPU that is here alone."""
    _probe(setting, note, "tensorrt", "")


def _probe(setting: Setting, note: Note, name: FlavourName, kernels_for: str | None) -> None:
    flavour = open_flavour(name)
    note("flavour", str(flavour))
    bundle = open_bundle(setting.bundle)
    target = Target() if kernels_for is None else target_of(asked_gpu(setting.device))
    settings = PlanSettings(batch=setting.batch, kernels_for=kernels_for or "")
    built = built_plan(bundle.path(FP16_GRAPH).read_bytes(), flavour, target, settings)
    note("build_s", round(built.seconds, 2))
    note("plan_mib", round(len(built.content) / 2**20, 2))
    note("precision", built.precision)
    plan = _plan_apart(bundle, setting.scratch, built, flavour, target, settings)
    _execute(setting, note, bundle, plan, flavour)
    _keep(bundle, built, flavour, target, settings, note)


def _plan_apart(
    bundle: Bundle,
    scratch: Path,
    built: BuiltPlan,
    flavour: Flavour,
    target: Target,
    settings: PlanSettings,
) -> Plan:
    """A plan on the disk, but not yet where a sweep would find it: it may abort the process."""
    apart = scratch / f"probe-{flavour.name}-{settings.kernels_for}-{target.gpu == 'any'}"
    shutil.copytree(
        bundle.folder, apart, ignore=shutil.ignore_patterns("plans"), dirs_exist_ok=True
    )
    return PlanStore(open_bundle(apart)).keep(built, flavour, target, settings)


def _execute(setting: Setting, note: Note, bundle: Bundle, plan: Plan, flavour: Flavour) -> None:
    """Load and execute.

    Raises:
        PlanError: the scores are not those of the network.
    """
    from cxrsweep.engine.runners.tensorrt import TensorRtRunner

    context = CudaContext(asked_gpu(setting.device))
    with context.current():
        _note_validity(note, plan, flavour)
    start = time.perf_counter()
    runner = TensorRtRunner(plan, flavour, context, bundle.recipe.side)
    note("load_and_first_execution_s", round(time.perf_counter() - start, 3))
    names, pixels, truth = reference(setting)
    starts = range(0, len(pixels), setting.batch)
    found = joined([runner.submit(pixels[s : s + setting.batch]).result() for s in starts])
    agreement = score_agreement(bundle.recipe, names, truth, found)
    note("agreement", agreement)
    first = runner.submit(pixels[: setting.batch]).result()
    start = time.perf_counter()
    for _ in range(EXECUTIONS):
        last = runner.submit(pixels[: setting.batch]).result()
    note("ms_per_batch_from_host", round((time.perf_counter() - start) / EXECUTIONS * 1e3, 3))
    # TensorRT for RTX may exchange kernels while it runs; a run started again must score alike.
    note("is_repeatable", are_equal(first, last))
    runner.close()
    context.close()
    if agreement["largest_score_difference"] > WRONG:
        raise PlanError("it runs, but its scores are not those of the network")


def _note_validity(note: Note, plan: Plan, flavour: Flavour) -> None:
    """What TensorRT for RTX itself says of a plan before it is loaded."""
    runtime: Any = flavour.trt.Runtime(log_of(flavour).logger)
    if hasattr(runtime, "get_engine_validity"):
        validity, diagnostics = runtime.get_engine_validity(plan.content)
        note("validity", [str(validity), str(diagnostics)])


def _keep(
    bundle: Bundle,
    built: BuiltPlan,
    flavour: Flavour,
    target: Target,
    settings: PlanSettings,
    note: Note,
) -> None:
    """Give the plan to the sweep, unless a better way has given one."""
    store = PlanStore(bundle)
    with contextlib.suppress(PlanMismatchError):
        store.opened(flavour, target, settings.batch)
        return
    held = any(sidecar.identity["flavour"] == flavour.name for sidecar in store.sidecars().values())
    if not held:
        store.keep(built, flavour, target, settings)
    note("kept", not held)
