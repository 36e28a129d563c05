"""Trivial baselines that need no lungs, and AUCs with a group-wise bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrsweep.export.demo.cases import Case

Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

RESAMPLES = 2000
THUMBNAIL = 8


@dataclass(frozen=True)
class Auc:
    """An area under the ROC curve with its 95 % interval, all in [0, 1]."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def auc_with_interval(
    positive: Bools, scores: Float64, groups: Sequence[str], seed: int = 0
) -> Auc:
    """AUC; the interval resamples groups, because radiographs of one patient are alike.

    Args:
        positive: (N,) truth.
        scores: (N,), higher means more likely positive.
        groups: patient of each radiograph.
        seed: of the bootstrap.
    """
    names, place = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(place == number) for number in range(len(names))]
    generator = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < RESAMPLES:
        drawn = generator.integers(0, len(members), len(members))
        index = np.concatenate([members[number] for number in drawn])
        if positive[index].any() and not positive[index].all():
            values.append(roc_auc_score(positive[index], scores[index]))
    low, high = np.quantile(values, [0.025, 0.975])
    return Auc(float(roc_auc_score(positive, scores)), float(low), float(high))


def aspect_ratios(cases: Sequence[Case]) -> Float64:
    """(N, 1) width over height of the original files: knows nothing of the patient."""
    return np.array([[case.width / case.height] for case in cases])


def thumbnails(folder: Path, cases: Sequence[Case]) -> Float64:
    """(N, 64) grey values of 8 x 8 thumbnails in [0, 1], not equalised."""
    rows = []
    for case in cases:
        grey = cv2.imread(str(folder / case.image), cv2.IMREAD_GRAYSCALE)
        assert grey is not None, f"OpenCV cannot decode {case.image}"
        small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        rows.append(np.asarray(small, np.float64).ravel() / 255)
    return np.stack(rows)


def linear_scores(train: Float64, positive: Bools, test: Float64) -> Float64:
    """Fit a logistic regression on standardised features; score the test rows, (N,) in [0, 1]."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000, C=0.1))
    model.fit(train, positive)
    return np.asarray(model.predict_proba(test)[:, 1], np.float64)
