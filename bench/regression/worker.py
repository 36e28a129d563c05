"""The measuring process of one revision: names of stages in, seconds and CPU seconds out.

Run it as a program; it says {"ready": [stages]}, then answers a line with a line:
    python -m cxrsweep.bench.regression.worker BUNDLE ARCHIVE BATCH THREADS
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cxrsweep.bench.ceilings import StagePasses
from cxrsweep.bench.hardware_share import tree_cpu_s
from cxrsweep.bench.kits import CpuKit
from cxrsweep.bench.workload import opened_workload
from cxrsweep.engine import SweepOptions, open_bundle, sweep

END_TO_END = "end to end"
Used = tuple[float, float]  # seconds and CPU seconds of a pass


def main() -> None:
    """Measure what is asked for until stdin ends."""
    bundle_folder, archive, batch, threads = sys.argv[1:]
    bundle = open_bundle(bundle_folder)
    options = SweepOptions(batch=int(batch), threads=int(threads), device="cpu")

    def sweep_all() -> Used:
        begun = tree_cpu_s()
        with tempfile.TemporaryDirectory() as scratch:
            wall_s = sweep([archive], bundle, Path(scratch) / "run", options).meter.wall_s
        return wall_s, tree_cpu_s() - begun

    with (
        opened_workload(Path(archive)) as workload,
        StagePasses(CpuKit(bundle, int(threads)), workload.files, int(batch), int(threads)) as made,
    ):
        works: dict[str, Callable[[], Used]] = {
            stage: _timed(work) for stage, work in made.passes.items()
        }
        works[END_TO_END] = sweep_all
        _answer({"ready": list(works)})
        for line in sys.stdin:
            stage, times = json.loads(line)
            passes = [works[stage]() for _ in range(times)]
            wall_s, cpu_s = map(sum, zip(*passes, strict=True))
            _answer({"seconds": wall_s, "cpu_s": cpu_s})


def _timed(work: Callable[[], object]) -> Callable[[], Used]:
    def used() -> Used:
        start, begun = time.perf_counter(), tree_cpu_s()
        work()
        return time.perf_counter() - start, tree_cpu_s() - begun

    return used


def _answer(plain: object) -> None:
    sys.stdout.write(json.dumps(plain) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
