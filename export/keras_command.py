"""`cxrsweep export import-keras`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from cxrsweep.engine.json_file import json_option
from cxrsweep.export.keras_import import as_toml, imported
from cxrsweep.export.plan_command import said


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="Weights to write, .safetensors.",
)  # fmt: skip
@json_option
def import_keras(file: Path, output: Path, json_file: Path | None) -> None:
    """Turn a sequential Keras model (.h5) into weights and the [classifier] of a recipe.

    Conv2D, BatchNormalization, MaxPooling2D, Flatten, Dense, Dropout and Activation are known. The
    file is read without Keras; where Keras is installed, both answer random pictures and must
    agree. Put what is printed into a recipe, beside the weights, and name the labels.

    \b
    Example:
        cxrsweep export import-keras model.h5 -o weights.safetensors > classifier.toml
    """
    found = imported(file, output)
    said(f"{found.parameters:,} numbers in {output}")
    if found.difference is None:
        said("not compared with Keras, which is not installed: pip install keras")
    else:
        said(f"scores differ from Keras's by at most {found.difference:.2g} on random pictures")
    if json_file:
        json_file.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    click.echo(as_toml(found.classifier))
