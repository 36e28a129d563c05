"""`cxrsweep export plan`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.engine.bundle import Bundle, open_bundle
from cxrsweep.engine.hardware.device import plan_target
from cxrsweep.engine.plans.flavour import FLAVOURS, FlavourName, open_flavour
from cxrsweep.engine.plans.ready import build_plan
from cxrsweep.engine.plans.settings import PlanSettings
from cxrsweep.engine.plans.store import Plan


def said(line: str) -> None:
    """Progress goes to stderr."""
    click.echo(line, err=True)


def plan_for_this_machine(bundle: Bundle, asked: FlavourName | None, **settings: object) -> Plan:
    """Build a plan for the GPU that is here, or for any where there is none.

    Raises:
        PlanError: no TensorRT, or it cannot build.
    """
    flavour = open_flavour(asked)
    chosen = PlanSettings(**settings)  # type: ignore[arg-type]
    return build_plan(bundle, flavour, plan_target(), chosen, said)


@click.command()
@click.argument("bundle_folder", metavar="BUNDLE", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--flavour", type=click.Choice(FLAVOURS), help="Which TensorRT builds.  [default: installed]"
)
@click.option(
    "--batch", type=click.IntRange(1, 1024), default=PlanSettings.batch,
    help="Radiographs per execution.",
)  # fmt: skip
@click.option(
    "--workspace-mib", type=click.IntRange(min=16), default=PlanSettings.workspace_mib,
    help="Most scratch memory that a layer may ask for.",
)  # fmt: skip
@click.option(
    "--optimization-level", type=click.IntRange(0, 5), default=PlanSettings.optimization_level,
    help="Higher searches longer for faster kernels.",
)  # fmt: skip
@click.option("--version-compatible", is_flag=True, help="Also for later versions; may be slower.")
@click.option("--hardware-compatible", is_flag=True, help="Also for later GPUs; may be slower.")
def plan(bundle_folder: Path, flavour: FlavourName | None, **settings: object) -> None:
    """Build the fp16 TensorRT plan of a bundle and keep it in BUNDLE/plans.

    The full TensorRT builds for the GPU that is here. TensorRT for RTX builds without a GPU too;
    such a plan compiles its kernels where it first runs.

    \b
    Example:
        cxrsweep export plan demo/bundle --batch 64
        cxrsweep export plan demo/bundle --flavour tensorrt_rtx
    """
    built = plan_for_this_machine(open_bundle(bundle_folder), flavour, **settings)
    click.echo(built.path)
