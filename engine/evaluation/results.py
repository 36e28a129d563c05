"""What an evaluation found: one versioned JSON, checked on writing and on reading."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation.intervals import Interval
from cxrsweep.engine.runs.run_folder import replaced

SCHEMA_VERSION: Literal[1] = 1
Verdict = Literal["told without lungs", "not told without lungs", "cannot tell"]


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Plain):
    """A figure and its 95 % interval; None where it does not exist."""

    value: float | None
    low: float | None
    high: float | None


class Confusion(_Plain):
    """Radiographs by truth and decision."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class Figures(_Plain):
    """Every figure of one label on some radiographs.

    Attributes:
        n, positives: radiographs.
        groups: patients.
    """

    n: int
    positives: int
    groups: int
    confusion: Confusion
    auc: Estimate
    average_precision: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    f_score: Estimate
    balanced_accuracy: Estimate
    diagnostic_odds_ratio: Estimate
    brier: Estimate
    calibration_slope: Estimate
    calibration_intercept: Estimate
    ece: Estimate


class Curve(_Plain):
    """Points of a curve, as many x as y."""

    x: list[float]
    y: list[float]


class Curves(_Plain):
    """What is drawn of one label.

    Attributes:
        roc: 1 - specificity, sensitivity.
        precision_recall: sensitivity, PPV.
        calibration: mean score, share of positives; of bins of equal width that are not empty.
        calibration_counts: radiographs of these bins.
    """

    roc: Curve
    precision_recall: Curve
    calibration: Curve
    calibration_counts: list[int]


class Baseline(_Plain):
    """What a trivial score reaches on the same label.

    Attributes:
        n: radiographs that have it.
        auc: None where it could not be computed.
        how: in words; or why not.
    """

    n: int
    auc: Estimate | None
    how: str


class Background(_Plain):
    """The score with the lungs removed beside the real one.

    Attributes:
        n: radiographs where a lung was found.
        left_out: those without.
        real, background: AUC of both, on the n.
        verdict: whether the label can be told without lungs.
    """

    n: int
    left_out: int
    real: Estimate
    background: Estimate
    verdict: Verdict


class LabelEvaluation(Figures):
    """Everything about one label.

    Attributes:
        truth: column, and value, that mean positive.
        decision: how a score becomes a decision.
        unknown: scored radiographs whose truth is not known; not among the n.
        failed_positives, failed_negatives: labelled radiographs without a score; not among the n.
        by: subgroup column -> cell -> figures.
        baselines: name -> AUC.
        background: None without the probe.
    """

    truth: str
    decision: str
    unknown: int
    failed_positives: int
    failed_negatives: int
    by: dict[str, dict[str, Figures]] = Field(default_factory=dict)
    baselines: dict[str, Baseline] = Field(default_factory=dict)
    background: Background | None = None
    curves: Curves


class Met(BaseModel):
    """How the rows of the run and the lines of the labels met; counted up while they are read.

    Attributes:
        rows, lines: of results.csv and of the labels file.
        scored: rows with a score and a line.
        failed: failure code -> rows without a score that have a line.
        rows_alone, lines_alone: of one side without the other.
        rows_alone_examples, lines_alone_examples: ids of a few of them; not written to JSON.
        without_patient: scored rows with an empty cell in the group column; each a patient.
    """

    model_config = ConfigDict(extra="forbid")

    rows: int = 0
    lines: int = 0
    scored: int = 0
    failed: dict[str, int] = Field(default_factory=dict)
    rows_alone: int = 0
    rows_alone_examples: list[str] = Field(default_factory=list, exclude=True)
    lines_alone: int = 0
    lines_alone_examples: list[str] = Field(default_factory=list, exclude=True)
    without_patient: int = 0


class Evaluation(_Plain):
    """What `evaluate` writes.

    Attributes:
        bundle: name of its recipe.
        use: what the scores may be used for.
        n: radiographs with a score and a line in the labels file.
        groups: patients among them.
        group: column of the patient; None where each radiograph counted as one.
        level: of the intervals.
        resamples, seed: of the bootstrap.
        met: what met, and what did not.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["evaluation"] = "evaluation"
    bundle: str
    use: str
    n: int
    groups: int
    group: str | None
    level: float
    resamples: int
    seed: int
    met: Met
    labels: dict[str, LabelEvaluation]


class ChosenThreshold(_Plain):
    """What `threshold` writes.

    Attributes:
        label, asked: for what, and for how much of it.
        prevalence: that PPV and flagged cases are told for.
        threshold: with the 95 % interval of its choice.
        sensitivity, specificity, ppv: at the threshold.
        flagged_per_10000: cases to read of 10,000.
        n, positives, groups: radiographs and patients that it rests on.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["threshold"] = "threshold"
    label: str
    asked: str
    prevalence: float
    threshold: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    flagged_per_10000: Estimate
    n: int
    positives: int
    groups: int


def estimate_of(interval: Interval) -> Estimate:
    """An interval without nan, which JSON does not know."""
    values = (interval.value, interval.low, interval.high)
    value, low, high = (v if math.isfinite(v) else None for v in values)
    return Estimate(value=value, low=low, high=high)


def write_result(path: Path, result: Evaluation | ChosenThreshold) -> None:
    """Write JSON.

    Raises:
        EvaluationError: the file cannot be written.
    """
    try:
        with replaced(path) as stream:
            stream.write(result.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror}") from error


def read_evaluation(path: Path) -> Evaluation:
    """Read JSON that `evaluate` wrote.

    Raises:
        EvaluationError: it cannot be read, is of another version, or a key is missing or unknown.
    """
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise EvaluationError(
            f"{path} is no result of `cxrsweep evaluate` that this version reads ({where}:"
            f" {first['msg']}); schema version {SCHEMA_VERSION} is in docs/evaluation.md"
        ) from error
