"""A bundle with another decision threshold: the same graphs, another recipe, hashes that hold."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from cxrsweep.engine.bundle import MANIFEST, Bundle, fingerprint_of, open_bundle
from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation.cases import recipe_of_run
from cxrsweep.engine.plans.store import FOLDER
from cxrsweep.engine.recipe import Recipe, recipe_from_mapping
from cxrsweep.engine.runs.run_folder import read_record


def check_same_scores(run: Path, bundle: Bundle) -> None:
    """Check that a run's scores are those of a bundle; thresholds may differ.

    Raises:
        EvaluationError: they are another bundle's.
        RunError: the folder is no run.
    """
    recipe = recipe_of_run(run)
    as_run = fingerprint_of(bundle.manifest.model_copy(update={"recipe": recipe}))
    is_same = as_run == read_record(run)["bundle"]["fingerprint"]
    alike = recipe.model_copy(update={"thresholds": bundle.recipe.thresholds}) == bundle.recipe
    if not is_same or not alike:
        raise EvaluationError(
            f"{run} was not scored with {bundle.folder} but with another bundle ({recipe.name});"
            " a threshold belongs to the scores it was chosen on"
        )


def refuse_existing(output: Path) -> None:
    """Refuse to write over anything.

    Raises:
        EvaluationError: there is something.
    """
    if output.exists():
        raise EvaluationError(f"{output} exists; give -o a new folder")


def write_decided_bundle(bundle: Bundle, label: str, threshold: float, output: Path) -> Bundle:
    """Copy a bundle with its plans and set the threshold of one label; it appears whole.

    Args:
        bundle: verified.
        label: one of its labels.
        threshold: score from which its flag is 1.
        output: new folder.

    Raises:
        EvaluationError: the folder exists.
    """
    refuse_existing(output)
    recipe = _with_threshold(bundle.recipe, label, threshold)
    manifest = bundle.manifest.model_copy(update={"recipe": recipe})
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=output.parent) as partial:
        folder = Path(partial) / "bundle"
        folder.mkdir()
        for name in manifest.files:
            shutil.copyfile(bundle.path(name), folder / name)
        if (bundle.folder / FOLDER).is_dir():  # plans are made of the graphs alone
            shutil.copytree(bundle.folder / FOLDER, folder / FOLDER)
        text = manifest.model_dump_json(indent=2) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        folder.replace(output)
    return open_bundle(output)


def _with_threshold(recipe: Recipe, label: str, threshold: float) -> Recipe:
    values = recipe.model_dump(mode="json")
    values["thresholds"] = {**recipe.thresholds, label: threshold}
    return recipe_from_mapping(values, "the recipe with its new threshold")
