"""GpuKit against a driver that keeps "device" memory on the host: names, order and units."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cxrsweep.bench import kits
from cxrsweep.bench.kits import GpuKit
from cxrsweep.engine import Bundle
from cxrsweep.engine.hardware.cuda import DevicePixels
from cxrsweep.engine.hardware.gpu import Gpu

HOPPER = Gpu(0, "a GPU", (9, 0), 1000, 900, "1", "13.0", "0000:00:00.0")


class Memory:
    def __init__(self, size: int) -> None:
        self.held = np.zeros(size, np.uint8)

    def __int__(self) -> int:
        return int(self.held.ctypes.data)


class Event:
    def __init__(self) -> None:
        self.at: float | None = None

    def record(self, stream: Any) -> Event:
        stream.clock += 8.0
        self.at = stream.clock
        return self

    def synchronize(self) -> Event:
        return self

    def time_till(self, end: Event) -> float:
        assert self.at is not None
        assert end.at is not None
        return end.at - self.at


class Stream:
    clock = 0.0
    waited = 0

    def synchronize(self) -> None:
        self.waited += 1


class Driver:
    Event = Event

    mem_alloc = staticmethod(Memory)

    @staticmethod
    def pagelocked_empty(shape: int, dtype: Any) -> Any:
        return np.empty(shape, dtype)

    @staticmethod
    def memcpy_htod(target: Memory, source: Any) -> None:
        assert source.flags["C_CONTIGUOUS"]
        ctypes.memmove(int(target), source.ctypes.data, source.nbytes)

    @staticmethod
    def memcpy_htod_async(target: Memory, source: Any, stream: Stream) -> None:
        Driver.memcpy_htod(target, source)

    @staticmethod
    def memcpy_dtoh(target: Any, source: int) -> None:
        ctypes.memmove(target.ctypes.data, source, target.nbytes)


class Context:
    number = 0

    def __init__(self, gpu: Gpu) -> None:
        self.is_current = self.is_closed = False

    @contextlib.contextmanager
    def current(self) -> Iterator[type[Driver]]:
        yield Driver

    def stream(self) -> Stream:
        return Stream()

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def kit(demo_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> GpuKit:
    monkeypatch.setattr(kits, "CudaContext", Context)
    return GpuKit(demo_bundle, 2, HOPPER, SimpleNamespace())  # type: ignore[arg-type]


def test_pixels_go_to_the_device_and_back(kit: GpuKit) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 512, 512), np.uint8)
    resident = kit.on_device(pixels[:, :, ::1])
    assert isinstance(resident, DevicePixels)
    assert resident.count == 3
    assert (kit.on_host(resident) == pixels).all()
    assert resident.ready.waited == 1  # a decoder's pixels come in the order of its stream
    kit.close()


def test_seconds_and_bytes_are_in_their_units(kit: GpuKit) -> None:
    stream = Stream()
    pending = SimpleNamespace(begun=Event().record(stream), done=Event().record(stream))
    assert kit.busy_s(pending) == pytest.approx(0.008)  # events tell milliseconds
    assert kit.copy_rate(1000, 4) == pytest.approx(4000 / 0.008)
