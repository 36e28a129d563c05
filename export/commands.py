"""The commands of export."""

from __future__ import annotations

import click

from cxrsweep.engine.cli import CONTEXT, LazyGroup


@click.group(
    cls=LazyGroup,
    context_settings=CONTEXT,
    homes={
        "onnx": ("cxrsweep.export.onnx_command:onnx", "Export a recipe to a bundle."),
        "import-keras": (
            "cxrsweep.export.keras_command:import_keras",
            "Turn a Keras .h5 into weights and a recipe's classifier.",
        ),
        "plan": ("cxrsweep.export.plan_command:plan", "Build the TensorRT plan of a bundle."),
    },
)
def export() -> None:
    """Turn networks trained in PyTorch into a bundle that the engine runs.

    \b
    Example:
        cxrsweep export onnx recipe.toml -o bundle --radiographs examples/
    """
