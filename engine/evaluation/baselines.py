"""Trivial baselines, which know nothing of lungs: what a score must beat to mean anything."""

from __future__ import annotations

import numpy as np

from cxrsweep.engine.evaluation.intervals import auc_of
from cxrsweep.engine.evaluation.metrics import Floats, Scored
from cxrsweep.engine.evaluation.results import Baseline, estimate_of

FOLDS = 5
STRENGTH = 0.1  # inverse of the ridge penalty, for 64 standardised grey values


def aspect_baseline(scored: Scored, aspect: Floats, resamples: int, seed: int) -> Baseline:
    """AUC of width over height, in the direction that is better.

    Args:
        scored: the radiographs.
        aspect: (N,) width over height.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    auc, word = auc_of(scored, aspect, resamples, seed), "wider"
    if auc.value < 0.5:
        auc, word = auc_of(scored, -aspect, resamples, seed), "narrower"
    how = (
        f"width over height of the file, {word} means positive; the direction was chosen on the"
        " same radiographs"
    )
    return Baseline(n=len(aspect), auc=estimate_of(auc), how=how)


def thumbnail_baseline(scored: Scored, thumbnails: Floats, resamples: int, seed: int) -> Baseline:
    """AUC of a linear model on 8 x 8 thumbnails that never saw the patient it scores.

    Args:
        scored: the radiographs.
        thumbnails: (N, 64) in [0, 1], a row of nan where there is none.
        resamples: of the bootstrap.
        seed: of the bootstrap and of the folds.
    """
    has_one = ~np.isnan(thumbnails[:, 0])
    if has_one.any():
        some = scored.some(has_one)
        folds = min(FOLDS, _scarcer(some))
        scores = _out_of_fold(some, thumbnails[has_one], folds, seed) if folds > 1 else None
        if scores is not None:
            how = (
                f"logistic regression on 8 x 8 grey values, {folds}-fold cross-validated: no"
                " patient is in the part that a model was fitted on and in the part it scores"
            )
            auc = estimate_of(auc_of(some, scores, resamples, seed))
            return Baseline(n=len(scores), auc=auc, how=how)
    how = "not computed: too few patients of a kind for cross-validation, or no thumbnails"
    return Baseline(n=int(has_one.sum()), auc=None, how=how)


def _out_of_fold(scored: Scored, features: Floats, folds: int, seed: int) -> Floats | None:
    """(N,) probabilities, each by the model whose part of the patients left this one out.

    None where a model would see one kind alone.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000, C=STRENGTH))
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    found = np.empty(len(features))
    for fitted, left_out in parts.split(features, scored.positive, scored.patients):
        if len(set(scored.positive[fitted])) < 2:
            return None
        model.fit(features[fitted], scored.positive[fitted])
        found[left_out] = model.predict_proba(features[left_out])[:, 1]
    return found


def _scarcer(scored: Scored) -> int:
    return min(len(np.unique(scored.patients[scored.positive == kind])) for kind in (True, False))
