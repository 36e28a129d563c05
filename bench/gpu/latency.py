"""How long one batch takes, from batches of 1 to 256, each with a plan of its own."""

from __future__ import annotations

import time

import numpy as np

from cxrsweep.bench.gpu.evidence import reason_of
from cxrsweep.bench.gpu.kit import opened_kit
from cxrsweep.bench.gpu.score_check import reference
from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.kits import Kit, Uint8, opened_runner
from cxrsweep.bench.spread import spread_of
from cxrsweep.engine.errors import CxrsweepError
from cxrsweep.engine.runners import Runner

# In the order of interest: what there is no time for is the least missed.
BATCHES = (1, 64, 16, 256, 4, 8, 32, 128, 2)
QUICK = (1, 4)
LEAST, MOST, SECONDS = 30, 300, 1.0
ENOUGH_S = 6.0


def measure(setting: Setting, note: Note) -> None:
    """Measure every batch that there is time for."""
    note("plans", "one per batch; each executes its whole batch, input on the device")
    _, pixels, _ = reference(setting)
    opening_s = 0.0
    with opened_kit(setting) as kit:
        for batch in QUICK if setting.quick else BATCHES:
            # A build takes seconds or minutes, by flavour: the last one tells.
            if setting.left_s < ENOUGH_S + opening_s:
                note(f"batch {batch}", {"reason": "no time left"})
                continue
            start = time.perf_counter()
            try:
                with opened_runner(kit, batch) as runner:
                    opening_s = time.perf_counter() - start
                    figures = latencies(kit, runner, tiled(pixels, batch), setting.quick)
            except CxrsweepError as error:  # no memory, no plan: for this batch alone
                note(f"batch {batch}", reason_of(error))
                continue
            note(f"batch {batch}", {"opening_s": round(opening_s, 2), **figures})


def tiled(pixels: Uint8, count: int) -> Uint8:
    """So many radiographs, the given ones over and over."""
    return np.ascontiguousarray(pixels[np.arange(count) % len(pixels)])


def latencies(kit: Kit, runner: Runner, pixels: Uint8, quick: bool) -> dict[str, object]:
    """Milliseconds of one batch after the other, none overlapping.

    Returns:
        "device_ms": of the device alone; "wall_ms": from the submission until the scores are in
        host memory; radiographs/s at the median of the latter.
    """
    resident = kit.on_device(pixels)
    device: list[float] = []
    wall: list[float] = []
    begun = time.perf_counter()
    while len(wall) < LEAST or (len(wall) < MOST and time.perf_counter() - begun < SECONDS):
        start = time.perf_counter()
        pending = runner.submit(resident)
        pending.result()
        wall.append((time.perf_counter() - start) * 1e3)
        device.append(kit.busy_s(pending) * 1e3)
        if quick and len(wall) >= 3:
            break
    # The first executions bring kernels and buffers.
    warm = slice(min(5, len(wall) - 1), None)
    spread = spread_of(wall[warm])
    return {
        "device_ms": spread_of(device[warm]),
        "wall_ms": spread,
        "radiographs_per_s": round(len(pixels) / spread["p50"] * 1e3, 1),
    }
