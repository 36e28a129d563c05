from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxrsweep.engine import Bundle
from cxrsweep.engine.hardware.memory import keep_memory_flat

SWEEP_AND_TELL_PEAK = """
import resource, sys
from cxrsweep.engine import open_bundle, sweep
summary = sweep([sys.argv[1]], open_bundle(sys.argv[2]), sys.argv[3])
assert summary.is_finished
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_glibc_takes_the_settings() -> None:
    assert keep_memory_flat()


def test_glibc_takes_the_settings_of_the_careful_lane() -> None:
    code = "from cxrsweep.engine.hardware.memory import keep_memory_at_hand as keep; assert keep()"
    subprocess.run([sys.executable, "-c", code], check=True)  # not in the process of the tests


@pytest.mark.slow
def test_five_times_the_files_take_no_more_memory(
    demo_bundle: Bundle, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    generator = np.random.default_rng(0)
    originals = tmp_path / "originals"
    originals.mkdir()
    for number in range(10):
        side = 300 + 150 * number
        pixels = generator.integers(0, 256, (side, side), np.uint8)
        (originals / f"{number}.png").write_bytes(encoded(".png", pixels))
    peaks = []
    for copies in (12, 60):
        archive = tmp_path / f"archive-{copies}"
        archive.mkdir()
        for copy in range(copies):
            for original in originals.iterdir():
                (archive / f"{copy}-{original.name}").symlink_to(original)
        words = [str(archive), str(demo_bundle.folder), str(tmp_path / f"run-{copies}")]
        done = subprocess.run(
            [sys.executable, "-c", SWEEP_AND_TELL_PEAK, *words],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    # A tenth: files of different sizes meet in the queues by chance.
    assert peaks[1] <= 1.1 * peaks[0], f"peaks of 120 and 600 files: {peaks} KiB"
