"""From a recipe and trained weights to a bundle folder: the whole of `export onnx`."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from cxrsweep.engine.bundle import (
    FP16_GRAPH,
    FP32_GRAPH,
    MANIFEST,
    AgreementCard,
    Bundle,
    BundleFile,
    BundleManifest,
    file_sha256,
    open_bundle,
)
from cxrsweep.engine.errors import ExportError
from cxrsweep.engine.recipe import Recipe, recipe_from_toml
from cxrsweep.export.agreement import agreement_card, probes_from_folder, synthetic_probes
from cxrsweep.export.onnx_from_torch import onnx_from_torch
from cxrsweep.export.trained import fused_from_recipe, half_of

TOOLS = ("cxrsweep", "torch", "onnx", "onnxscript", "onnxruntime", "openvino")


def bundle_from_recipe(
    path: Path,
    output: Path,
    radiographs: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Export a recipe; the bundle appears whole or not at all.

    Args:
        path: the recipe.
        output: bundle folder; replaced if it is a bundle, refused if it is anything else.
        radiographs: folder of radiographs for the agreement card; None draws synthetic ones.
        say: receives one line per step.

    Returns:
        the verified bundle.

    Raises:
        RecipeError, ExportError, ParityError: what is wrong, and where.
    """
    recipe = recipe_from_toml(path)
    _refuse_foreign(output)
    say(f"loading the networks of {path.name}")
    network = fused_from_recipe(recipe, path.parent)
    probes = probes_from_folder(recipe, radiographs) if radiographs else synthetic_probes(recipe)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=output.parent) as partial:
        folder = Path(partial) / "bundle"
        folder.mkdir()
        say("exporting the fp32 and fp16 graphs")
        onnx_from_torch(network, folder / FP32_GRAPH)
        onnx_from_torch(half_of(network), folder / FP16_GRAPH)
        say(f"comparing them with PyTorch on {probes.source}")
        card = agreement_card(recipe, network, folder, probes)
        _write_manifest(folder, recipe, path.parent, card)
        if output.exists():
            output.replace(Path(partial) / "older")
        folder.replace(output)
    return open_bundle(output)


def _write_manifest(folder: Path, recipe: Recipe, origin: Path, card: AgreementCard) -> None:
    parts = {"classifier": recipe.classifier, "segmenter": recipe.segmenter}
    manifest = BundleManifest(
        recipe=recipe.without_weights(),
        files={
            path.name: BundleFile(sha256=file_sha256(path), size=path.stat().st_size)
            for path in sorted(folder.iterdir())
        },
        source_weights={
            name: file_sha256(origin / str(part.weights)) for name, part in parts.items() if part
        },
        tools={"python": platform.python_version(), **{tool: version(tool) for tool in TOOLS}},
        agreement=card,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _refuse_foreign(output: Path) -> None:
    known = {MANIFEST, FP32_GRAPH, FP16_GRAPH, "plans"}
    foreign = (
        sorted(p.name for p in output.iterdir() if p.name not in known) if output.exists() else []
    )
    if foreign:
        raise ExportError(
            f"{output} holds {foreign[0]!r}, which is no part of a bundle; give -o a new folder"
        )
