"""`cxrsweep export onnx`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.engine.describe import described_bundle
from cxrsweep.engine.hardware.device import chosen_device
from cxrsweep.engine.plans.ready import build_plan
from cxrsweep.engine.plans.settings import PlanSettings, target_of
from cxrsweep.export.bundling import bundle_from_recipe
from cxrsweep.export.plan_command import said


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="Bundle folder to write; an older bundle there is replaced.",
)  # fmt: skip
@click.option(
    "--radiographs", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Compare with PyTorch on these instead of on synthetic radiographs.",
)  # fmt: skip
@click.option("--no-plan", is_flag=True, help="Stop at the graphs also where a GPU is.")
def onnx(recipe: Path, output: Path, radiographs: Path | None, no_plan: bool) -> None:
    """Fuse segmenter and classifier into one ONNX graph, in fp32 and fp16, and check them.

    The agreement card says how far the graphs are from PyTorch; beyond the recipe's tolerance
    nothing is written and the worst radiograph is named. Where a GPU is, its TensorRT plan is
    built, too.

    \b
    Example:
        cxrsweep export onnx recipe.toml -o bundle
        cxrsweep export onnx recipe.toml -o bundle --radiographs examples/
    """
    bundle = bundle_from_recipe(recipe, output, radiographs, said)
    if not no_plan:
        device = chosen_device("auto")
        if device.gpu and device.flavour:
            build_plan(bundle, device.flavour, target_of(device.gpu), PlanSettings(), said)
        else:
            said(f"no TensorRT plan: {device.reason}")
    click.echo(described_bundle(bundle))
