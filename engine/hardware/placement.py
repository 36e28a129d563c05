"""Which worker runs where: devices and cores of this host in, a share of them for each out."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.gpu import Gpu, found_gpus
from cxrsweep.engine.hardware.machine import cores

_PCI = Path("/sys/bus/pci/devices")


@dataclass(frozen=True)
class Placed:
    """What one worker has.

    Attributes:
        device: as `chosen_device` takes it.
        threads: CPU threads.
        cores: numbers of the cores to stay on; none for all.
    """

    device: str
    threads: int
    cores: tuple[int, ...] = ()


def placed_workers(
    device: str,
    workers: int | None,
    threads: int | None,
    gpus: Callable[[], list[Gpu]] = found_gpus,
    pci: Path = _PCI,
) -> list[Placed]:
    """Share out devices and cores.

    Workers stay on their cores only where they have all that this process may use: of fewer, other
    processes could have been given the same.

    Args:
        device: "auto", "cpu", "gpu", "gpu:N", or for a worker on each "gpu:0,1,2" or "gpu:all".
        workers: on one device; None is 1.
        threads: of all workers together; None is every core.
        gpus: lists the GPUs.
        pci: folder with what the system knows of each device.

    Raises:
        DeviceError: a GPU does not exist, workers are asked for on several, or there are more
            workers than threads were given.
    """
    total = threads or cores()
    chosen = _gpus_of(device, gpus)
    count = len(chosen) or workers or 1
    if threads and (workers or 1) > threads:
        raise DeviceError(
            f"{workers} workers need a thread each, and --threads gives them {threads} together:"
            f" give --workers {threads} at most, or more threads"
        )
    if chosen and workers not in (None, count):
        raise DeviceError(
            f"--device {device} starts a worker on each of {count} GPUs; leave out --workers"
        )
    each = max(1, total // count)
    allowed = sorted(os.sched_getaffinity(0))
    if count == 1 or total != len(allowed) or total < count:
        return [Placed(f"gpu:{gpu.number}", each) for gpu in chosen] or [
            Placed(device, each) for _ in range(count)
        ]
    if not chosen:
        return [Placed(device, len(some), some) for some in _cut(allowed, count)]
    near = [_near_cores(gpu, pci, allowed) for gpu in chosen]
    places = []
    for number, gpu in enumerate(chosen):
        sharing = [other for other, some in enumerate(near) if some == near[number]]
        some = _cut(near[number], len(sharing))[sharing.index(number)]
        places.append(Placed(f"gpu:{gpu.number}", len(some) or each, some))
    return places


def stay_on(numbers: Sequence[int]) -> None:
    """Keep this process, and all that it starts, on these cores; on none named, do nothing."""
    if numbers:
        os.sched_setaffinity(0, numbers)


def _gpus_of(device: str, gpus: Callable[[], list[Gpu]]) -> list[Gpu]:
    """The GPUs of a list, or none where `device` is no list."""
    if not re.fullmatch(r"gpu:(all|\d+(,\d+)+)", device):
        return []
    try:
        found = {gpu.number: gpu for gpu in gpus()}
    except DeviceError as error:
        raise DeviceError(
            f"--device {device}: {error}. `cxrsweep doctor` says what is missing;"
            " --device cpu runs without a GPU"
        ) from error
    if device == "gpu:all":
        return list(found.values())
    asked = [int(number) for number in device.removeprefix("gpu:").split(",")]
    missing = [str(number) for number in asked if number not in found]
    if missing or len(set(asked)) < len(asked):
        exist = ", ".join(f"{gpu.number} ({gpu.name})" for gpu in found.values())
        wrong = f"there is no GPU {', '.join(missing)}" if missing else "a GPU is named twice"
        raise DeviceError(f"--device {device}: {wrong}; there are {exist}")
    return [found[number] for number in asked]


def _near_cores(gpu: Gpu, pci: Path, allowed: Sequence[int]) -> list[int]:
    """The cores of the GPU's NUMA node that may be used; all where the system tells nothing."""
    try:
        text = (pci / gpu.pci_address / "local_cpulist").read_text().strip()
        spans = [span.split("-") for span in text.split(",") if span]
        local = {core for span in spans for core in range(int(span[0]), int(span[-1]) + 1)}
    except (OSError, ValueError):
        local = set()
    return [core for core in allowed if core in local] or list(allowed)


def _cut(numbers: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Cut into `count` runs whose lengths differ by one at most."""
    edges = [len(numbers) * place // count for place in range(count + 1)]
    return [tuple(numbers[start:end]) for start, end in itertools.pairwise(edges)]
