"""A bundle and a GPU in, a plan ready to run out: the kept one, or one built now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from cxrsweep.engine.bundle import FP16_GRAPH, Bundle
from cxrsweep.engine.errors import PlanError, PlanMismatchError
from cxrsweep.engine.plans.building import built_plan
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.precision import described_precision
from cxrsweep.engine.plans.settings import ANY_GPU, PlanSettings, Target
from cxrsweep.engine.plans.store import Plan, PlanStore


def build_plan(
    bundle: Bundle,
    flavour: Flavour,
    target: Target,
    settings: PlanSettings,
    say: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Build the plan and keep it in the bundle, in place of one with the same key.

    Args:
        bundle: verified.
        flavour: what builds it.
        target: the GPU it is for.
        settings: batch, workspace, level, compatibility.
        say: receives a line per step.

    Raises:
        PlanError: it cannot be built or kept; the bundle is as it was.
    """
    if flavour.name == "tensorrt" and target.gpu == ANY_GPU:
        raise PlanError(
            f"{flavour} builds only on the GPU that the plan is for, and none is here;"
            " `--flavour tensorrt_rtx` builds without one"
        )
    store = PlanStore(bundle)
    store.writable()
    say(f"building a plan with {flavour} for {_described_target(target)}, batch {settings.batch}")
    graph = bundle.path(FP16_GRAPH).read_bytes()
    cache = store.timing_cache(flavour, target)
    built = built_plan(graph, flavour, target, settings, cache, say)
    plan = store.keep(built, flavour, target, settings)
    say(f"built in {built.seconds:.1f} s: {described_precision(built.precision)}")
    return plan


def ready_plan(
    bundle: Bundle,
    flavour: Flavour,
    target: Target,
    batch: int | None = None,
    *,
    may_build: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Open the plan for this GPU, or say in one line what differs and build it.

    Args:
        bundle: verified.
        flavour: what runs, and builds if need be.
        target: the GPU that is here.
        batch: radiographs per execution; None takes any plan, and builds one of the default.
        may_build: otherwise a mismatch is an error.
        say: receives a line per step.

    Raises:
        PlanMismatchError: no plan fits and none may be built.
        PlanError: it cannot be built or kept.
    """
    store = PlanStore(bundle)
    try:
        return store.opened(flavour, target, batch)
    except PlanMismatchError as difference:
        if flavour.name == "tensorrt_rtx":
            with contextlib.suppress(PlanMismatchError):
                return store.opened(flavour, Target(), batch)
        if not may_build:
            raise PlanMismatchError(
                f"{difference}; build one with `cxrsweep export plan {bundle.folder}`"
                " or leave --no-build out"
            ) from difference
        say(str(difference))
        settings = PlanSettings(batch=batch) if batch else PlanSettings()
        return build_plan(bundle, flavour, target, settings, say)


def _described_target(target: Target) -> str:
    return "any GPU" if target.gpu == ANY_GPU else f"{target.gpu} ({target.compute_capability})"
