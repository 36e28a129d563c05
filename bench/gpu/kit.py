"""The kit of a setting: its device, with what earlier steps found to work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from cxrsweep.bench.gpu.setting import Setting
from cxrsweep.bench.kits import CpuKit, GpuKit, Kit, asked_gpu
from cxrsweep.engine.bundle import open_bundle
from cxrsweep.engine.plans.flavour import open_flavour


@contextlib.contextmanager
def opened_kit(setting: Setting) -> Iterator[Kit]:
    """The kit of a setting, with the flavour that an earlier step found to work."""
    bundle = open_bundle(setting.bundle)
    kit: Kit
    if setting.device == "cpu":
        kit = CpuKit(bundle, setting.threads)
    else:
        chosen = setting.earlier("flavours").get("chosen", {})
        flavour = open_flavour(chosen.get("flavour"))
        kernels_for = chosen.get("kernels_for", "")
        gpu = asked_gpu(setting.device)
        kit = GpuKit(bundle, setting.threads, gpu, flavour, kernels_for)
    try:
        yield kit
    finally:
        kit.close()
