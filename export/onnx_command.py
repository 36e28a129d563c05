"""`cxrsweep export onnx`."""

from __future__ import annotations

from pathlib import Path

import click

from cxrsweep.engine.describe import described_bundle
from cxrsweep.export.bundling import bundle_from_recipe


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
def onnx(recipe: Path, output: Path, radiographs: Path | None) -> None:
    """Fuse segmenter and classifier into one ONNX graph, in fp32 and fp16, and check them.

    The agreement card says how far the graphs are from PyTorch; beyond the recipe's tolerance
    nothing is written and the worst radiograph is named.

    \b
    Example:
        cxrsweep export onnx recipe.toml -o bundle
        cxrsweep export onnx recipe.toml -o bundle --radiographs examples/
    """
    bundle = bundle_from_recipe(
        recipe, output, radiographs, lambda line: click.echo(line, err=True)
    )
    click.echo(described_bundle(bundle))
