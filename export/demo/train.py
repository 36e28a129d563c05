"""Trains both demonstration networks, evaluates them, and writes weights and figures.

Run it as a program, on a folder with labels.csv, images and masks (about 45 minutes on 2 cores):
    python -m cxrsweep.export.demo.train ../shared/data/train640 export/demo
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from cxrsweep.export.demo.baselines import (
    Bools,
    Float64,
    aspect_ratios,
    auc_with_interval,
    linear_scores,
    thumbnails,
)
from cxrsweep.export.demo.cases import LABELS, Case, read_cases
from cxrsweep.export.demo.classifier_training import classifier_scores, train_classifier
from cxrsweep.export.demo.fitting import Schedule
from cxrsweep.export.demo.segmenter_training import dice_of, train_segmenter
from cxrsweep.export.networks import compact_resnet, lung_unet

SEED = 0
SEGMENTER = Schedule(epochs=60, batch=12, peak_rate=6e-3, decay=1e-2)
CLASSIFIER = Schedule(epochs=60, batch=32, peak_rate=2e-3, decay=5e-2)

# Comparisons that a reader can weigh: what is told apart, and on which sources alone.
ADULTS = ("nih", "hannover", "hannover-via-ccx", "ccx")
COMPARISONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "covid against normal, adults": ("covid", "normal", ADULTS),
    "pneumonia against normal, children (Kermany)": ("pneumonia", "normal", ("kermany",)),
    "pneumonia against normal, adults (NIH)": ("pneumonia", "normal", ("nih",)),
}


def split_of(cases: Sequence[Case], split: str) -> list[Case]:
    """Cases of train, val or test."""
    return [case for case in cases if case.split == split]


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the state dict as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, path)


def dice_figures(network: nn.Module, folder: Path, cases: list[Case]) -> dict[str, float]:
    """Mean, median and worst Dice over cases with masks, and how many they are."""
    values = np.array(dice_of(network, folder, cases, 0.5))
    return {
        "radiographs": len(values),
        "mean": round(float(values.mean()), 4),
        "median": round(float(np.median(values)), 4),
        "worst": round(float(values.min()), 4),
    }


def comparison_figures(
    folder: Path, train: list[Case], test: list[Case], scores: Float64
) -> dict[str, dict[str, str]]:
    """AUCs on the test split, each beside the trivial baselines fitted on the training split."""
    figures = {}
    for name, (positive, negative, sources) in COMPARISONS.items():

        def chosen(case: Case, pair: tuple[str, str] = (positive, negative)) -> bool:
            return case.label in pair and case.source in sources  # noqa: B023 (used at once)

        fit, held = [c for c in train if chosen(c)], [c for c in test if chosen(c)]
        keep = np.array([chosen(case) for case in test])
        truth: Bools = np.array([case.label == positive for case in held])
        fit_truth: Bools = np.array([case.label == positive for case in fit])
        groups = [case.group for case in held]
        two = scores[keep][:, [LABELS.index(positive), LABELS.index(negative)]]
        rows = {"classifier": two[:, 0] / two.sum(1)}
        features = {
            "aspect ratio alone": (aspect_ratios(fit), aspect_ratios(held)),
            "8 x 8 thumbnail": (thumbnails(folder, fit), thumbnails(folder, held)),
        }
        for baseline, (seen, unseen) in features.items():
            rows[baseline] = linear_scores(seen, fit_truth, unseen)
        figures[name] = {
            "radiographs": f"{int(truth.sum())} {positive}, {int((~truth).sum())} {negative}",
            **{row: str(auc_with_interval(truth, values, groups)) for row, values in rows.items()},
        }
    return figures


def one_against_rest(test: list[Case], scores: Float64) -> dict[str, str]:
    """AUC of each label against the others on the test split."""
    groups = [case.group for case in test]
    return {
        label: str(
            auc_with_interval(
                np.array([case.label == label for case in test]), scores[:, column], groups
            )
        )
        for column, label in enumerate(LABELS)
    }


def train_all(folder: Path, output: Path) -> None:
    """Train, evaluate and write `weights/` and `figures.json` into `output`."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    cases = read_cases(folder)
    masked = [case for case in cases if case.mask]
    torch.manual_seed(SEED)
    segmenter = train_segmenter(lung_unet(), folder, split_of(masked, "train"), SEGMENTER, _say)
    save_weights(segmenter, output / "weights" / "segmenter.safetensors")
    figures: dict[str, object] = {
        f"lung Dice, {split}": dice_figures(segmenter, folder, split_of(masked, split))
        for split in ("val", "test")
    }
    _say(json.dumps(figures))
    labelled = [case for case in cases if case.label in LABELS]
    train, test = split_of(labelled, "train"), split_of(labelled, "test")
    torch.manual_seed(SEED)
    classifier = train_classifier(
        compact_resnet(len(LABELS)), segmenter, folder, train, CLASSIFIER, _say
    )
    save_weights(classifier, output / "weights" / "classifier.safetensors")
    scores = classifier_scores(classifier, segmenter, folder, test)
    truth = np.array([LABELS.index(case.label) for case in test])
    figures["accuracy, test"] = round(float((scores.argmax(1) == truth).mean()), 4)
    figures["AUC of one label against the rest, test"] = one_against_rest(test, scores)
    figures["AUC beside baselines, test"] = comparison_figures(folder, train, test, scores)
    (output / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    train_all(Path(sys.argv[1]), Path(sys.argv[2]))
