"""Data sets of known truth: patients, some with several radiographs that are alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from cxrsweep.engine.evaluation.metrics import Scored


@dataclass(frozen=True)
class World:
    """Scores are normal, `shift` apart, and calibrated.

    `likeness` is the share of a score's variance that the radiographs of a patient have in common.
    """

    patients: int
    radiographs: int  # per patient
    prevalence: float
    shift: float
    likeness: float = 0.0

    @property
    def threshold(self) -> float:
        """On the normal scale, where the probability is 0.5."""
        odds = math.log(self.prevalence / (1 - self.prevalence))
        return (self.shift**2 / 2 - odds) / self.shift

    def truth(self) -> dict[str, float]:
        sensitivity = float(norm.sf(self.threshold - self.shift))
        specificity = float(norm.cdf(self.threshold))
        found, wrong = self.prevalence * sensitivity, (1 - self.prevalence) * (1 - specificity)
        return {
            "auc": float(norm.cdf(self.shift / math.sqrt(2))),
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": found / (found + wrong),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "calibration_slope": 1.0,
        }

    def drawn(self, generator: np.random.Generator) -> Scored:
        patients = np.repeat(np.arange(self.patients), self.radiographs)
        positive = (generator.random(self.patients) < self.prevalence)[patients]
        own = generator.standard_normal(len(patients))
        shared = generator.standard_normal(self.patients)[patients]
        place = math.sqrt(self.likeness) * shared + math.sqrt(1 - self.likeness) * own
        place += self.shift * positive
        scores = 1 / (1 + np.exp(-self.shift * (place - self.threshold)))
        return Scored(positive, np.round(scores, 6), place >= self.threshold, patients)


ALONE = World(patients=300, radiographs=1, prevalence=0.3, shift=1.5)
GROUPED = World(patients=120, radiographs=4, prevalence=0.3, shift=1.5, likeness=0.6)
