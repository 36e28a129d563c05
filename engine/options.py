"""What a sweep can be asked: read in one place by the command line and the Python function."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.hardware.machine import cores


@dataclass(frozen=True)
class SweepOptions:
    """How to sweep; none but the device changes a score.

    Attributes:
        selection: which members of the archives are swept.
        limits: sizes that are refused before decoding.
        shard_size: radiographs per shard, the unit of restart.
        batch: radiographs decoded together; None is the device's default, 16 on a CPU, 64 on a GPU.
        threads: CPU threads of the decoder and streams of the network.
        device: "auto", "cpu", "gpu" or "gpu:N".
        audit: fraction of the radiographs that DALI decodes which are decoded a second way.
        may_build: build a TensorRT plan where the bundle has none that fits.
        pseudonymise: file with a key; ids become HMACs under it in all that a sweep writes.
    """

    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=Limits)
    shard_size: int = 256
    batch: int | None = None
    threads: int = field(default_factory=cores)
    device: str = "auto"
    audit: float = 0.001
    may_build: bool = True
    pseudonymise: Path | None = None
