"""Scores, boxes and decisions of the device's runner against OpenVINO in fp32, same pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from cxrsweep.bench.gpu.agreement import joined, score_agreement
from cxrsweep.bench.gpu.decode_agreement import all_pixels
from cxrsweep.bench.gpu.files import ARCHIVES, files_of
from cxrsweep.bench.gpu.kit import opened_kit
from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.kits import CpuKit, Kit, Uint8, opened_runner
from cxrsweep.engine.bundle import open_bundle
from cxrsweep.engine.runners import Scores

MOST = 128
REFERENCE = "reference"


def make_reference(setting: Setting, note: Note) -> None:
    """Decode on the CPU and score with OpenVINO; later steps compare with these very pixels."""
    kit = CpuKit(open_bundle(setting.bundle), setting.threads)
    files = [file for name in ARCHIVES[:2] for file in files_of(setting, name)[:MOST]]
    pixels, _ = all_pixels(kit, files, 0.0)
    scores = all_scores(kit, pixels, setting.batch)
    np.savez(
        setting.scratch / f"{REFERENCE}.npz",
        pixels=pixels,
        scores=scores.scores,
        lung_box=scores.lung_box,
        lung_fraction=scores.lung_fraction,
    )
    names = [file.entry.radiograph for file in files]
    (setting.scratch / f"{REFERENCE}-names.json").write_text(json.dumps(names))
    note("radiographs", len(files))
    note("runner", "OpenVINO, fp32, CPU")


def reference(setting: Setting) -> tuple[list[str], Uint8, Scores]:
    """Names, pixels (N, 1, S, S) and scores of the reference."""
    names = json.loads((setting.scratch / f"{REFERENCE}-names.json").read_text())
    with np.load(setting.scratch / f"{REFERENCE}.npz") as held:
        scores = Scores(held["scores"], held["lung_box"], held["lung_fraction"], None)
        return names, held["pixels"], scores


def compare_scores(setting: Setting, note: Note) -> None:
    """Score the reference's pixels on the device."""
    names, pixels, truth = reference(setting)
    with opened_kit(setting) as kit:
        found = all_scores(kit, pixels, setting.batch)
        note("agreement", score_agreement(kit.bundle.recipe, names, truth, found))
        note("limits", kit.bundle.recipe.agreement.model_dump())
        alone = [all_scores(kit, pixels[:1], setting.batch), _row(found, 0)]
        note("alone_as_in_a_batch", alone[0].scores.tobytes() == alone[1].scores.tobytes())


def all_scores(kit: Kit, pixels: Uint8, batch: int) -> Scores:
    """Score pixels batch by batch."""
    parts: list[Scores] = []
    with opened_runner(kit, batch) as runner:
        for start in range(0, len(pixels), batch):
            parts.append(runner.submit(pixels[start : start + batch]).result())
    return joined(parts)


def _row(scores: Scores, place: int) -> Scores:
    rows: Sequence[int] = [place]
    return Scores(scores.scores[rows], scores.lung_box[rows], scores.lung_fraction[rows], None)
