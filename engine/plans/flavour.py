"""Which TensorRT is installed: the full one or TensorRT for RTX. Both have one Python API."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from cxrsweep.engine.errors import PlanError

FlavourName = Literal["tensorrt", "tensorrt_rtx"]
FLAVOURS: tuple[FlavourName, ...] = ("tensorrt", "tensorrt_rtx")
HOW_TO_GET = (
    "install `tensorrt-rtx`, which the package index has (pip install '.[gpu]'), or `tensorrt`"
    " from NVIDIA's own index or container"
)
# 10.12 is the first whose parser takes strongly typed networks with GridSample as we write it.
OLDEST: dict[FlavourName, tuple[int, int]] = {"tensorrt": (10, 12), "tensorrt_rtx": (1, 0)}


@dataclass(frozen=True)
class Flavour:
    """An installed TensorRT.

    Attributes:
        name: of the Python module.
        version: full version, for example "11.4.0.106".
        trt: the module itself.
    """

    name: FlavourName
    version: str
    trt: Any

    def __str__(self) -> str:
        """Name and version, as printed."""
        return f"{self.name} {self.version}"


def open_flavour(asked: FlavourName | None = None) -> Flavour:
    """Import TensorRT.

    Args:
        asked: one flavour and no other; None takes the full one where both are installed.

    Returns:
        the first that imports.

    Raises:
        PlanError: none imports, with the reason of each and how to get it; or it is too old.
    """
    reasons = []
    for name in (asked,) if asked else FLAVOURS:
        try:
            trt = import_module(name)
        except (ImportError, OSError) as error:  # OSError: a library it needs does not load
            reasons.append(f"{name}: {error}")
            continue
        flavour = Flavour(name, trt.__version__, trt)
        _refuse_old(flavour)
        return flavour
    raise PlanError(f"no TensorRT imports here ({'; '.join(reasons)}); {HOW_TO_GET}")


def _refuse_old(flavour: Flavour) -> None:
    major, minor = (int(part) for part in flavour.version.split(".")[:2])
    if (major, minor) < OLDEST[flavour.name]:
        oldest = ".".join(map(str, OLDEST[flavour.name]))
        raise PlanError(f"{flavour} is too old, {oldest} is the oldest that works; {HOW_TO_GET}")
