"""`cxrsweep bench gpu`."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import click

from cxrsweep.bench.gpu.environment import gpu_facts, require_gpu
from cxrsweep.bench.gpu.evidence import Evidence
from cxrsweep.bench.gpu.setting import Setting
from cxrsweep.bench.gpu.steps import Step, run_steps
from cxrsweep.bench.gpu.summary import described_evidence
from cxrsweep.bench.kits import asked_gpu
from cxrsweep.engine.bundle import open_bundle
from cxrsweep.engine.hardware.machine import cores, package_versions
from cxrsweep.engine.plans.settings import DEFAULT_BATCH

HOME = "cxrsweep.bench.gpu"
# The most important first: what there is no time for is at the end.
STEPS = (
    Step("environment", f"{HOME}.environment:describe", 30),
    Step("files", f"{HOME}.files:prepare", 60),
    Step("reference", f"{HOME}.score_check:make_reference", 60),
    Step("flavours", f"{HOME}.flavours:try_all", 150),
    Step("decode", f"{HOME}.decode_agreement:compare_decoders", 60),
    Step("handover", f"{HOME}.handover:compare_handovers", 45),
    Step("scores", f"{HOME}.score_check:compare_scores", 45),
    Step("torch", f"{HOME}.torch_rival:compare", 75),
    Step("ceilings", f"{HOME}.stage_ceilings:measure", 80),
    Step("latency", f"{HOME}.latency:measure", 45),
    Step("sweep given", f"{HOME}.end_to_end:sweep_given", 60),
    Step("sweep jpeg-1024", f"{HOME}.end_to_end:sweep_jpeg", 60),
    Step("sweep png-1024", f"{HOME}.end_to_end:sweep_png", 60),
    Step("torch loop", f"{HOME}.end_to_end:race_loop", 75),
)
# Others read what these leave.
NEEDED = ("files", "reference", "flavours")


@click.command()
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="JSON that is written anew after every step.",
)  # fmt: skip
@click.option(
    "--radiographs", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of JPEG and PNG to measure on.  [default: synthetic ones]",
)  # fmt: skip
@click.option(
    "--bundle", "bundle_folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Bundle that scores.  [default: demonstration]",
)  # fmt: skip
@click.option(
    "--recipe", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Recipe with the bundle's weights, for PyTorch.  [default: demonstration]",
)  # fmt: skip
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=7.5,
    help="When they are over, what is left is skipped.",
)  # fmt: skip
@click.option(
    "--device", default="gpu", metavar="gpu|gpu:N|cpu",
    help="Which GPU; cpu rehearses the steps without one.",
)  # fmt: skip
@click.option("--batch", type=click.IntRange(1, 1024), default=DEFAULT_BATCH, help="Radiographs.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU cores to use.  [default: all]")
@click.option("--quick", is_flag=True, help="Few files, an instant each: only to see that it runs.")
@click.option(
    "--only", multiple=True, type=click.Choice([step.name for step in STEPS]),
    help="Only this step and what it needs; repeatable.",
)  # fmt: skip
def gpu(output: Path, minutes: float, device: str, only: tuple[str, ...], **asked: Any) -> None:
    """Collect evidence on a GPU host: what works there, how exactly and how fast.

    Each step has a process of its own, so that one that fails leaves the rest. OUTPUT says how
    each ended, and on what it was measured.

    \b
    Example:
        cxrsweep bench gpu --radiographs radiographs/ -o evidence.json
    """
    if device != "cpu":
        require_gpu()
        asked_gpu(device)
    deadline = time.time() + 60 * minutes
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cxrsweep-gpu-")))
        setting = _setting(scratch, output, device, asked, stack)
        head = _head(minutes, device, only, asked)
        evidence = Evidence(output, head)
        run_steps(_wanted(only), setting, evidence, deadline, say=_said)
    click.echo(described_evidence(evidence.content))
    click.echo(f"written to {output}")


def _wanted(only: tuple[str, ...]) -> list[Step]:
    return [step for step in STEPS if not only or step.name in (*only, *NEEDED)]


def _setting(
    scratch: Path, output: Path, device: str, asked: dict[str, Any], stack: ExitStack
) -> Setting:
    demo = stack.enter_context(as_file(files("cxrsweep.export.demo")))
    # A copy: plans are kept in the bundle, and the given one may be read-only or in use.
    shutil.copytree(asked["bundle_folder"] or demo / "bundle", scratch / "bundle")
    open_bundle(scratch / "bundle")
    return Setting(
        scratch,
        output.absolute(),
        scratch / "bundle",
        (asked["recipe"] or demo / "recipe.toml").absolute(),
        asked["radiographs"].absolute() if asked["radiographs"] else None,
        device,
        asked["batch"],
        asked["threads"] or cores(),
        quick=asked["quick"],
    )


def _head(
    minutes: float, device: str, only: tuple[str, ...], asked: dict[str, Any]
) -> dict[str, Any]:
    """What was asked: names of folders, never their paths."""
    options = {
        name: value.name if isinstance(value, Path) else value for name, value in asked.items()
    }
    return {
        "command": "cxrsweep bench gpu",
        "options": {**options, "minutes": minutes, "device": device, "only": list(only)},
        "gpus": gpu_facts(),
        "versions": package_versions(),
    }


def _said(line: str) -> None:
    click.echo(line, err=True)
