"""The gate: a checkout and an older revision in, a verdict on every stage out."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from cxrsweep.bench.regression.environments import (
    Say,
    environment_with,
    repository_of,
    revision_tree,
    working_tree,
)
from cxrsweep.bench.regression.race import opened_workers, raced_revisions
from cxrsweep.bench.regression.verdict import StageVerdict, overall
from cxrsweep.bench.results import Gate, GateStage, setup_of
from cxrsweep.bench.workload import opened_workload
from cxrsweep.engine.bundle import FP32_GRAPH, open_bundle
from cxrsweep.engine.hardware.device import chosen_device
from cxrsweep.engine.stages import CPU_BATCH

PHANTOMS = 12


def measured_gate(
    bundle: Path | None,
    archive: Path | None,
    against: str,
    repository: Path,
    threshold: float,
    seconds: float,
    threads: int,
    say: Say,
) -> Gate:
    """Install both revisions, let them take turns, and judge.

    Raises:
        GateError: nothing was measured.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if bundle is None:
            bundle = stack.enter_context(as_file(files("cxrsweep.export.demo"))) / "bundle"
        top = repository_of(repository)
        revision_tree(top, against, scratch / "old")
        working_tree(top, scratch / "new")
        workload = stack.enter_context(opened_workload(archive, PHANTOMS))
        pythons = []
        for name in ("old", "new"):
            say(f"installing the {name} revision")
            tree, folder = scratch / name, scratch / f"{name}-environment"
            pythons.append(environment_with(tree, folder, scratch / "new", say))
        words = [str(bundle), str(workload.archive), str(CPU_BATCH), str(threads)]
        workers = stack.enter_context(opened_workers(pythons[0], pythons[1], words, scratch))
        stages = raced_revisions(workers, threshold, seconds, say)
        return Gate(
            setup=setup_of(open_bundle(bundle), FP32_GRAPH, chosen_device("cpu")),
            files=workload.described(),
            batch=CPU_BATCH,
            threads=threads,
            against=against,
            threshold=threshold,
            verdict=overall(stages).value,
            stages=[_plain(found) for found in stages],
        )


def _plain(found: StageVerdict) -> GateStage:
    ratio = found.ratio
    return GateStage(
        name=found.stage,
        ratio=ratio.value,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        noise=found.noise.value,
        verdict=found.verdict.value,
        measure=found.measure,
    )
