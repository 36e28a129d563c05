"""What a plan is built for: all that decides whether one may be used again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from cxrsweep.engine.hardware.gpu import Gpu
from cxrsweep.engine.plans.flavour import Flavour

DEFAULT_BATCH = 64
ANY_GPU = "any"


@dataclass(frozen=True)
class PlanSettings:
    """How a plan is built.

    Attributes:
        batch: radiographs per execution; the profile's optimum and maximum, its minimum is 1.
        workspace_mib: most scratch memory a layer may ask for.
        optimization_level: 0 to 5; higher searches longer for faster kernels.
        version_compatible: also for later versions of the same TensorRT; may be slower.
        hardware_compatible: also for later GPUs than the one it is built on; may be slower.
        kernels_for: TensorRT for RTX alone: a name of its ComputeCapability, for example "SM80",
            that the plan is prepared for; empty is the GPU that is here, if there is a target.
    """

    batch: int = DEFAULT_BATCH
    workspace_mib: int = 4096
    optimization_level: int = 3
    version_compatible: bool = False
    hardware_compatible: bool = False
    kernels_for: str = ""


@dataclass(frozen=True)
class Target:
    """The GPU that a plan is for.

    Attributes:
        compute_capability: for example "9.0"; "any" for a TensorRT for RTX plan made without a GPU.
        gpu: its name, or "any".
    """

    compute_capability: str = ANY_GPU
    gpu: str = ANY_GPU


def target_of(gpu: Gpu | None) -> Target:
    """What a plan for this GPU says it is for; None: for any GPU."""
    if gpu is None:
        return Target()
    return Target(".".join(map(str, gpu.compute_capability)), gpu.name)


def plan_identity(graph_sha256: str, flavour: Flavour, target: Target) -> dict[str, str]:
    """What must be the same for a plan to run here, in words that a message can name."""
    return {
        "graph": graph_sha256,
        "flavour": flavour.name,
        "version": flavour.version,
        **asdict(target),
    }


def plan_key(identity: dict[str, str], settings: PlanSettings) -> str:
    """Name of the plan's files: 16 hex digits of the sha256 of identity and settings."""
    both = json.dumps([identity, asdict(settings)], sort_keys=True)
    return hashlib.sha256(both.encode()).hexdigest()[:16]
