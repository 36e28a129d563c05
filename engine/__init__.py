"""Sweeps archives with a bundle; never imports torch.

`sweep` and `open_bundle` do what `cxrsweep sweep` does; README.md has an example.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxrsweep.engine.bundle import Bundle, open_bundle
    from cxrsweep.engine.options import SweepOptions
    from cxrsweep.engine.runs.joining import SweepSummary
    from cxrsweep.engine.sweeping import sweep

__all__ = ["Bundle", "SweepOptions", "SweepSummary", "open_bundle", "sweep"]

_HOMES = {
    "Bundle": "bundle",
    "open_bundle": "bundle",
    "SweepOptions": "options",
    "SweepSummary": "runs.joining",
    "sweep": "sweeping",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer --help without DALI and OpenVINO."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
