"""The evaluation: cases in, every figure of every label out. `evaluated_label` is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation import RESAMPLES
from cxrsweep.engine.evaluation.background import background_of
from cxrsweep.engine.evaluation.baselines import aspect_baseline, thumbnail_baseline
from cxrsweep.engine.evaluation.cases import Cases
from cxrsweep.engine.evaluation.curves import curves_of
from cxrsweep.engine.evaluation.intervals import LEVEL, intervals_of
from cxrsweep.engine.evaluation.metrics import Bools, Floats, Scored
from cxrsweep.engine.evaluation.results import (
    Background,
    Baseline,
    Confusion,
    Curves,
    Evaluation,
    Figures,
    LabelEvaluation,
    estimate_of,
)
from cxrsweep.engine.evaluation.truth import LabelColumn, TruthColumns

MOST_PARTS = 50


def evaluated_label(
    scored: Scored, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Figures, Curves]:
    """Every figure and curve of one label; nothing but its arguments decides them.

    Args:
        scored: at least one radiograph.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Example:
        >>> import numpy as np
        >>> scores = np.array([0.1, 0.4, 0.35, 0.8])
        >>> truth = np.array([False, False, True, True])
        >>> figures, _ = evaluated_label(Scored(truth, scores, scores >= 0.5, np.arange(4)))
        >>> figures.auc.value
        0.75
    """
    return figures_of(scored, resamples, seed), curves_of(scored.positive, scored.scores)


def figures_of(scored: Scored, resamples: int, seed: int) -> Figures:
    """Every figure of one label on some radiographs, at least one."""
    positive, flagged = scored.positive, scored.flagged
    intervals = intervals_of(scored, resamples, seed)
    return Figures(
        n=len(positive),
        positives=int(positive.sum()),
        groups=int(scored.patients.max()) + 1,
        confusion=Confusion(
            true_positive=int((positive & flagged).sum()),
            false_positive=int((~positive & flagged).sum()),
            false_negative=int((positive & ~flagged).sum()),
            true_negative=int((~positive & ~flagged).sum()),
        ),
        **{name: estimate_of(interval) for name, interval in intervals.items()},
    )


def evaluated(
    cases: Cases,
    truth: Sequence[LabelColumn],
    columns: TruthColumns,
    thumbnails: Floats | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Evaluate every label whose truth is known.

    Args:
        cases: joined scores and truth.
        truth: where the truth of each label stood.
        columns: what the labels file was asked for.
        thumbnails: (N, 64) in [0, 1], nan where there is none; None leaves that baseline out.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        EvaluationError: a label has no known truth, or a subgroup column too many values.
    """
    _refuse_many_parts(cases.parts)
    return Evaluation(
        bundle=cases.recipe.name,
        use=cases.recipe.intended_use,
        n=len(cases.radiographs),
        groups=int(cases.patients.max()) + 1,
        group=columns.group,
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        met=cases.met,
        labels={
            found.label: _label_evaluation(cases, found, thumbnails, resamples, seed)
            for found in truth
        },
    )


def scored_of(cases: Cases, label: str) -> tuple[Scored, Bools]:
    """The radiographs whose truth of a label is known, and which of the cases they are.

    Raises:
        EvaluationError: there is none.
    """
    known = ~np.isnan(cases.positive[label])
    if not known.any():
        raise EvaluationError(
            f"no scored radiograph has a known truth of {label!r}: every cell is empty"
        )
    everyone = Scored(
        cases.positive[label] == 1, cases.scores[label], cases.flagged[label], cases.patients
    )
    return everyone.some(known), known


def _label_evaluation(
    cases: Cases, found: LabelColumn, thumbnails: Floats | None, resamples: int, seed: int
) -> LabelEvaluation:
    label = found.label
    scored, known = scored_of(cases, label)
    figures, curves = evaluated_label(scored, resamples, seed)
    return LabelEvaluation(
        **{name: getattr(figures, name) for name in Figures.model_fields},
        truth=found.column if found.value is None else f"{found.column} = {found.value}",
        decision=_decision(cases, label),
        unknown=int((~known).sum()),
        failed_positives=cases.failed[label].count(True),
        failed_negatives=cases.failed[label].count(False),
        by=_parts(cases.parts, scored, known, resamples, seed),
        baselines=_baselines(cases, scored, known, thumbnails, resamples, seed),
        background=_background(cases, label, scored, known, resamples, seed),
        curves=curves,
    )


def _decision(cases: Cases, label: str) -> str:
    recipe = cases.recipe
    if label in recipe.thresholds:
        return f"score >= {recipe.thresholds[label]:g} (the recipe's threshold)"
    if recipe.classifier.activation == "softmax" and not recipe.thresholds:
        return "highest score of all labels"
    return "score >= 0.5 (the recipe has no threshold)"


def _refuse_many_parts(parts: Mapping[str, Sequence[str]]) -> None:
    for column, cells in parts.items():
        if len(set(cells)) > MOST_PARTS:
            raise EvaluationError(
                f"--by {column} has {len(set(cells))} values; give a column of at most {MOST_PARTS}"
            )


def _parts(
    parts: Mapping[str, Sequence[str]], scored: Scored, known: Bools, resamples: int, seed: int
) -> dict[str, dict[str, Figures]]:
    return {
        column: {
            value: figures_of(scored.some(cells == value), resamples, seed)
            for value in sorted(set(cells))
        }
        for column, cells in ((name, np.array(all_of)[known]) for name, all_of in parts.items())
    }


def _baselines(
    cases: Cases,
    scored: Scored,
    known: Bools,
    thumbnails: Floats | None,
    resamples: int,
    seed: int,
) -> dict[str, Baseline]:
    found = {"aspect_ratio": aspect_baseline(scored, cases.aspect[known], resamples, seed)}
    if thumbnails is not None:
        found["thumbnail"] = thumbnail_baseline(scored, thumbnails[known], resamples, seed)
    return found


def _background(
    cases: Cases, label: str, scored: Scored, known: Bools, resamples: int, seed: int
) -> Background | None:
    if not cases.background:
        return None
    without = cases.background[label][known]
    return background_of(scored, without, cases.has_lungs[known], resamples, seed)
