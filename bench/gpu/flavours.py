"""Which TensorRT can build, load and run a plan here: every way in a process that may abort."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.util import find_spec

from cxrsweep.bench.gpu.setting import Note, Setting, StepSkipped
from cxrsweep.bench.gpu.steps import Step, launched
from cxrsweep.engine.errors import PlanError
from cxrsweep.engine.plans.flavour import FLAVOURS, FlavourName

PROBES = "cxrsweep.bench.gpu.flavour_probe"
MOST_S = 60.0
FULL_S = 110.0


@dataclass(frozen=True)
class Way:
    """A flavour and what its plan is prepared for.

    Attributes:
        name: in the evidence.
        flavour: that builds and runs.
        probe: function of the probes' module.
        kernels_for: as in PlanSettings; None is a plan for any GPU.
        most_s: seconds it may take.
    """

    name: str
    flavour: FlavourName
    probe: str
    kernels_for: str | None
    most_s: float


# What is preferred stands first: the first that works is kept in the bundle.
WAYS = (
    Way("tensorrt_rtx CURRENT", "tensorrt_rtx", "rtx_current", "CURRENT", MOST_S),
    Way("tensorrt_rtx SM80", "tensorrt_rtx", "rtx_sm80", "SM80", MOST_S),
    Way("tensorrt_rtx portable", "tensorrt_rtx", "rtx_portable", None, MOST_S),
    Way("tensorrt this GPU", "tensorrt", "tensorrt_here", "", FULL_S),
)


def try_all(setting: Setting, note: Note) -> None:
    """Try every way; the plan of the first that works is kept for the steps after this one.

    Raises:
        PlanError: none works, so no step can run a network.
        StepSkipped: on a CPU.
    """
    if setting.device == "cpu":
        raise StepSkipped("a CPU needs no TensorRT")
    works: dict[FlavourName, Way] = {}
    for way in WAYS:
        if find_spec(way.flavour) is None:
            note(way.name, {"status": "skipped", "reason": f"{way.flavour} is not installed"})
            continue
        ends = min(setting.ends - 2, time.time() + way.most_s)
        step = Step(way.probe, f"{PROBES}:{way.probe}", way.most_s)
        ended = launched(step, replace(setting, ends=ends))
        why = {key: text for key in ("reason", "trace") if (text := getattr(ended, key))}
        note(way.name, {"status": ended.status, **why, **ended.notes})
        if ended.status == "ok":
            works.setdefault(way.flavour, way)
    chosen = [name for name in FLAVOURS if name in works]
    if not chosen:
        raise PlanError("no installed TensorRT builds, loads and runs a plan on this GPU")
    way = works[chosen[0]]
    note("chosen", {"flavour": way.flavour, "way": way.name, "kernels_for": way.kernels_for})
