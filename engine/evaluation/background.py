"""The background probe: scores with and without lungs in, a verdict and its words out."""

from __future__ import annotations

from cxrsweep.engine.evaluation.intervals import auc_of
from cxrsweep.engine.evaluation.metrics import Bools, Floats, Scored
from cxrsweep.engine.evaluation.results import Background, Estimate, Verdict, estimate_of

TELLING = 0.6  # an AUC from which a label can be told; so can it from 0.4 downwards


def background_of(
    scored: Scored, background: Floats, has_lungs: Bools, resamples: int, seed: int
) -> Background:
    """Compare the score with the score of the same radiographs without their lungs.

    Args:
        scored: radiographs with their real scores.
        background: (N,) scores with the lungs removed.
        has_lungs: (N,) where not, nothing was removed and nothing can be learnt.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    nothing = Estimate(value=None, low=None, high=None)
    real = without = nothing
    if has_lungs.any():
        some = scored.some(has_lungs)
        real = estimate_of(auc_of(some, some.scores, resamples, seed))
        without = estimate_of(auc_of(some, background[has_lungs], resamples, seed))
    return Background(
        n=int(has_lungs.sum()),
        left_out=int((~has_lungs).sum()),
        real=real,
        background=without,
        verdict=verdict_of(without),
    )


def verdict_of(auc: Estimate) -> Verdict:
    """Whether a label can be told, from the AUC of the score without lungs.

    Told: AUC of 0.6 or more and its whole interval above 0.5, or the same turned around. Not told:
    the whole interval between 0.4 and 0.6.
    """
    if auc.value is None or auc.low is None or auc.high is None:
        return "cannot tell"
    if (auc.value >= TELLING and auc.low > 0.5) or (auc.value <= 1 - TELLING and auc.high < 0.5):
        return "told without lungs"
    if auc.low > 1 - TELLING and auc.high < TELLING:
        return "not told without lungs"
    return "cannot tell"


def words_of(label: str, found: Background) -> str:
    """One sentence for a reader."""
    if found.verdict == "told without lungs":
        return (
            f"WARNING: {label} can be told without lungs: by what lies around them (source, device,"
            " positioning, text) or by their outline. The score has not shown that it sees disease."
        )
    if found.verdict == "not told without lungs":
        return f"{label} cannot be told without lungs."
    return f"Too few radiographs to say whether {label} can be told without lungs."
