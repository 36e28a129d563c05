from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.gpu import Gpu
from cxrsweep.engine.hardware.placement import placed_workers

H200 = Gpu(0, "NVIDIA H200", (9, 0), 143771, 143000, "580.159.04", "13.0", "0000:01:00.0")
FOUR = [replace(H200, number=n, pci_address=f"0000:0{n + 1}:00.0") for n in range(4)]
ALLOWED = sorted(os.sched_getaffinity(0))


def four() -> list[Gpu]:
    return FOUR


def none() -> list[Gpu]:
    raise DeviceError("no NVIDIA driver here")


def test_one_worker_has_every_core_and_is_not_bound() -> None:
    (placed,) = placed_workers("cpu", None, 8)
    assert (placed.device, placed.threads, placed.cores) == ("cpu", 8, ())


def test_threads_are_shared_out() -> None:
    assert [placed.threads for placed in placed_workers("cpu", 3, 10_000)] == [3333] * 3
    with pytest.raises(DeviceError, match="give --workers 3 at most"):
        placed_workers("cpu", 4, 3)


@pytest.mark.skipif(len(ALLOWED) < 2, reason="one core cannot be shared out")
def test_workers_that_have_all_cores_stay_on_their_own() -> None:
    placed = placed_workers("cpu", 2, len(ALLOWED))
    assert [core for worker in placed for core in worker.cores] == ALLOWED
    assert all(worker.threads == len(worker.cores) for worker in placed)
    code = f"""
import os
from cxrsweep.engine.hardware.placement import stay_on
stay_on({placed[1].cores})
print(sorted(os.sched_getaffinity(0)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(list(placed[1].cores))


def test_fewer_threads_than_cores_are_not_bound() -> None:
    """Another sweep of the same user would be bound to the same cores."""
    assert all(not worker.cores for worker in placed_workers("cpu", 2, len(ALLOWED) + 1))


@pytest.mark.parametrize(
    ("asked", "devices"),
    [
        ("gpu:all", ["gpu:0", "gpu:1", "gpu:2", "gpu:3"]),
        ("gpu:2,0", ["gpu:2", "gpu:0"]),
        ("gpu:3", ["gpu:3"]),
        ("auto", ["auto"]),
    ],
)
def test_every_gpu_of_a_list_has_a_worker(asked: str, devices: list[str]) -> None:
    assert [placed.device for placed in placed_workers(asked, None, 8, four)] == devices


@pytest.mark.parametrize("asked", ["gpu:0,4", "gpu:9,8"])
def test_a_gpu_that_does_not_exist_is_refused_with_those_that_do(asked: str) -> None:
    missing = ", ".join(number for number in asked[4:].split(",") if int(number) > 3)
    with pytest.raises(DeviceError, match=rf"no GPU {missing}; there are 0 \(NVIDIA H200\), 1 \("):
        placed_workers(asked, None, 8, four)


def test_other_wrong_lists_are_refused() -> None:
    with pytest.raises(DeviceError, match="named twice"):
        placed_workers("gpu:1,1", None, 8, four)
    with pytest.raises(DeviceError, match="leave out --workers"):
        placed_workers("gpu:0,1", 3, 8, four)
    with pytest.raises(DeviceError, match=r"--device gpu:all: no NVIDIA driver here.*doctor"):
        placed_workers("gpu:all", None, 8, none)


@pytest.mark.skipif(len(ALLOWED) < 2, reason="one core cannot be shared out")
def test_workers_stay_on_the_cores_near_their_gpu(tmp_path: Path) -> None:
    # GPU 0 on the first core, GPUs 1 and 2 on the rest, of GPU 3 nothing is known.
    lists = [str(ALLOWED[0]), *[f"{ALLOWED[1]}-{ALLOWED[-1]}"] * 2]
    for gpu, text in zip(FOUR, lists, strict=False):
        (tmp_path / gpu.pci_address).mkdir()
        (tmp_path / gpu.pci_address / "local_cpulist").write_text(text + "\n")
    first, second = placed_workers("gpu:0,1", None, len(ALLOWED), four, tmp_path)
    assert first.cores == (ALLOWED[0],)
    assert second.cores == tuple(ALLOWED[1:])
    unknown, _ = placed_workers("gpu:3,0", None, len(ALLOWED), four, tmp_path)
    assert unknown.cores == tuple(ALLOWED)
