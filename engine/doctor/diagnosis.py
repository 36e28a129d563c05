"""Everything that is looked at, in order, whatever of it is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrsweep.engine.doctor.checks import REINSTALL, Check, Need, one_line, serves

if TYPE_CHECKING:
    from cxrsweep.engine.hardware.gpu import Gpu

Probe = Callable[[], list[Check]]


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        checks: in the order in which they were looked at.
    """

    checks: tuple[Check, ...]

    @property
    def can_sweep_on_cpu(self) -> bool:
        """Whether everything is there that a sweep without a GPU needs."""
        return serves(self.checks, "cpu")

    @property
    def can_sweep_on_gpu(self) -> bool:
        """Whether everything is there that a sweep on the GPU needs."""
        return self.can_sweep_on_cpu and serves(self.checks, "gpu")


def diagnose() -> Diagnosis:
    """Look at everything. Nothing is written and no network is asked."""
    gpu = _first_gpu()
    has_gpu = gpu is not None
    checks = [
        *looked_at("machine", _machine, "cpu"),
        *looked_at("CPU runtimes", _cpu_runtimes, "cpu"),
        *looked_at("codecs", lambda: _codecs(has_gpu=has_gpu), "cpu"),
        *looked_at("GPU", _gpus, "gpu"),
        *looked_at("CUDA libraries", lambda: _libraries(has_gpu=has_gpu), "gpu"),
        *looked_at("JPEG engines", lambda: _jpeg_engines(gpu), "nothing"),
        *looked_at("GPU runtimes", lambda: _gpu_runtimes(has_gpu=has_gpu), "gpu"),
    ]
    return Diagnosis(tuple(checks))


def looked_at(name: str, probe: Probe, needed_for: Need) -> list[Check]:
    """Run one probe; a package that does not import is its only line then.

    Args:
        name: of the line, if there is only one.
        probe: imports what it needs when it is called.
        needed_for: which sweeps cannot do without it.
    """
    try:
        return probe()
    except (ImportError, OSError) as error:  # OSError: a library that it needs does not load
        return [Check(name, "bad", one_line(error), REINSTALL, needed_for)]


def _first_gpu() -> Gpu | None:
    try:
        from cxrsweep.engine.doctor.gpus import first_gpu
    except ImportError:
        return None  # the line "GPU" tells
    return first_gpu()


def _machine() -> list[Check]:
    from cxrsweep.engine.doctor.machine import machine_checks

    return machine_checks()


def _cpu_runtimes() -> list[Check]:
    from cxrsweep.engine.doctor.runtimes import cpu_runtime_checks

    return cpu_runtime_checks()


def _codecs(*, has_gpu: bool) -> list[Check]:
    from cxrsweep.engine.doctor.codecs import codec_checks

    return codec_checks(has_gpu=has_gpu)


def _gpus() -> list[Check]:
    from cxrsweep.engine.doctor.gpus import gpu_checks

    return gpu_checks()


def _libraries(*, has_gpu: bool) -> list[Check]:
    from cxrsweep.engine.doctor.libraries import library_checks

    return library_checks(has_gpu=has_gpu)


def _jpeg_engines(gpu: Gpu | None) -> list[Check]:
    from cxrsweep.engine.doctor.jpeg_engines import jpeg_engine_check

    return [jpeg_engine_check(gpu)]


def _gpu_runtimes(*, has_gpu: bool) -> list[Check]:
    from cxrsweep.engine.doctor.runtimes import gpu_runtime_checks

    return gpu_runtime_checks(has_gpu=has_gpu)
