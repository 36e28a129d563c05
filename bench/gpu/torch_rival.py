"""PyTorch on the same device and pixels: do its scores agree, and how fast is it?"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np

from cxrsweep.bench.gpu.agreement import score_agreement
from cxrsweep.bench.gpu.evidence import without_paths
from cxrsweep.bench.gpu.score_check import REFERENCE, reference
from cxrsweep.bench.gpu.setting import Note, Setting, StepSkipped
from cxrsweep.engine.errors import CxrsweepError
from cxrsweep.engine.recipe import recipe_from_toml
from cxrsweep.engine.runners import Scores

OUTPUT = "torch.json"


class RivalError(CxrsweepError):
    """PyTorch did not come to its end."""


def compare(setting: Setting, note: Note) -> None:
    """Score the reference's pixels with PyTorch in a process of its own."""
    require_torch(setting)
    output = setting.scratch / OUTPUT
    words = [str(setting.recipe), str(setting.scratch / f"{REFERENCE}.npz"), str(output)]
    words += [str(setting.batch), torch_device(setting)]
    try:
        run_module(setting, "cxrsweep.bench.rivals.torch_gpu", words)
    finally:
        if output.is_file():
            _note_modes(setting, note, json.loads(output.read_bytes()))


def require_torch(setting: Setting) -> None:
    """Skip the step where a package is missing that the networks are made of.

    Raises:
        StepSkipped: what is missing.
    """
    needed = ["torch", "safetensors"]
    recipe = recipe_from_toml(setting.recipe)
    parts = [recipe.classifier, *([recipe.segmenter] if recipe.segmenter else [])]
    if any(str(part.network).startswith("cxrsweep.export.networks:") for part in parts):
        needed.append("monai")  # its module imports MONAI for the classifier
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise StepSkipped(f"not installed: {', '.join(missing)}")


def torch_device(setting: Setting) -> str:
    """The name that PyTorch has for the device."""
    if setting.device == "cpu":
        return "cpu"
    return f"cuda:{setting.device[4:]}" if ":" in setting.device else "cuda:0"


def run_module(setting: Setting, module: str, words: list[str]) -> None:
    """Run a module in the time that is left.

    Raises:
        RivalError: it failed or was too slow, with the end of what it said.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            capture_output=True,
            text=True,
            timeout=max(setting.left_s - 2, 0.1),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RivalError(f"{module} was not done in time") from error
    if done.returncode:
        said = without_paths(done.stderr[-800:])
        raise RivalError(f"{module} ended with {done.returncode}: {said}")


def _note_modes(setting: Setting, note: Note, found: dict[str, Any]) -> None:
    names, _, truth = reference(setting)
    recipe = recipe_from_toml(setting.recipe)
    for mode, figures in found.items():
        if not isinstance(figures, dict) or "scores" not in figures:
            said = without_paths(figures["error"]) if isinstance(figures, dict) else figures
            note(mode, said)
            continue
        scores, boxes, fractions = (
            np.array(figures.pop(name), np.float32) for name in ("scores", "boxes", "fractions")
        )
        answer = Scores(scores, boxes, fractions, None)
        agreement = score_agreement(recipe, names, truth, answer)
        note(mode, {**figures, "agreement": agreement})
