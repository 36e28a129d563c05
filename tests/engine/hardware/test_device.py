from __future__ import annotations

import pytest

from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.device import chosen_device, plan_target
from cxrsweep.engine.hardware.gpu import Gpu, found_gpus
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.plans.settings import Target, target_of

H200 = Gpu(0, "NVIDIA H200", (9, 0), 143771, 143000, "580.159.04", "13.0", "0000:01:00.0")


def has_gpu() -> bool:
    try:
        return bool(found_gpus())
    except DeviceError:
        return False


without_gpu = pytest.mark.skipif(has_gpu(), reason="tells what is missing where no GPU is")


@without_gpu
def test_auto_takes_the_cpu_and_says_why() -> None:
    device = chosen_device("auto")
    assert device.gpu is device.flavour is None
    assert device.reason.startswith(f"CPU, {cores()} cores; no GPU: no NVIDIA driver here")


@without_gpu
@pytest.mark.parametrize("asked", ["gpu", "gpu:0", "gpu:3"])
def test_a_gpu_that_is_asked_for_is_never_replaced_in_silence(asked: str) -> None:
    with pytest.raises(DeviceError, match=f"--device {asked}: no NVIDIA driver.*cxrsweep doctor"):
        chosen_device(asked)


@without_gpu
def test_plans_built_without_a_gpu_are_for_any() -> None:
    assert plan_target() == Target("any", "any")


def test_cpu_is_taken_without_looking_for_gpus() -> None:
    assert chosen_device("cpu").reason == f"CPU, {cores()} cores, as asked"


@pytest.mark.parametrize("asked", ["", "GPU", "cuda", "gpu:", "gpu:a", "gpu:-1", "gpu:1 "])
def test_other_words_are_refused_with_the_ones_that_exist(asked: str) -> None:
    with pytest.raises(DeviceError, match="say auto, cpu, gpu or gpu:N"):
        chosen_device(asked)


def test_a_plan_is_for_one_kind_of_gpu() -> None:
    assert target_of(H200) == Target("9.0", "NVIDIA H200")
