"""What this machine is and what is installed on it; nothing is imported or run to find out."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.gpu_state import gpu_state
from cxrsweep.bench.kits import asked_gpu, number_of
from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.gpu import found_gpus
from cxrsweep.engine.hardware.machine import hardware_facts, package_versions
from cxrsweep.engine.plans.flavour import FLAVOURS, HOW_TO_GET

PACKAGES = (
    *("pycuda", "tensorrt", "tensorrt-cu13-bindings", "tensorrt-cu13-libs", "tensorrt-rtx"),
    *("nvidia-nvimgcodec-cu13", "nvidia-ml-py", "torch", "monai", "onnx", "onnxruntime"),
    *("safetensors", "click", "pydantic", "pillow"),
)
MODULES = ("pycuda", *FLAVOURS, "torch", "monai", "safetensors")


def describe(setting: Setting, note: Note) -> None:
    """Note GPUs, versions and hardware."""
    note("hardware", hardware_facts())
    note("versions", {**package_versions(), **package_versions(PACKAGES)})
    note("importable", {name: find_spec(name) is not None for name in MODULES})
    note("gpus", gpu_facts())
    if setting.device != "cpu":
        note("used_gpu", number_of(setting.device))
        note("state", gpu_state(asked_gpu(setting.device)))


def gpu_facts() -> list[dict[str, Any]]:
    """Every GPU as the driver tells, or nothing where there is none; PCI addresses stay here."""
    try:
        gpus = found_gpus()
    except DeviceError:
        return []
    return [{k: v for k, v in asdict(gpu).items() if k != "pci_address"} for gpu in gpus]


def require_gpu() -> None:
    """Refuse a machine without a GPU before anything is made.

    Raises:
        DeviceError: there is no GPU; what else is missing is named, too.
    """
    try:
        found_gpus()
    except DeviceError as error:
        missing = [] if any(map(find_spec, FLAVOURS)) else [f"TensorRT ({HOW_TO_GET})"]
        missing += [] if find_spec("pycuda") else ["pycuda (pip install '.[gpu]')"]
        more = f"; also missing: {' and '.join(missing)}" if missing else ""
        raise DeviceError(
            f"there is no GPU to collect evidence on: {error}{more}. Start it on a machine with an"
            " NVIDIA GPU, its driver, pycuda and a TensorRT; `cxrsweep bench rivals` measures"
            " without one"
        ) from error
