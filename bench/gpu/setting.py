"""What every step is told, as plain values that travel to its process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxrsweep.bench.gpu.evidence import results_of

Note = Callable[[str, Any], None]


class StepSkipped(Exception):
    """A step cannot run here; the message says what it lacks."""


@dataclass(frozen=True)
class Setting:
    """Where things lie and how long they may take.

    Attributes:
        scratch: folder for everything that is made on the way.
        evidence: the JSON so far, to read what earlier steps found.
        bundle: a copy in the scratch folder, so that plans can be kept in it.
        recipe: with the weights that the bundle was exported from, for PyTorch.
        radiographs: folder that was given, or None.
        device: "gpu", "gpu:N", or "cpu" where the steps themselves are tested.
        batch: radiographs in a batch.
        threads: CPU cores to use.
        ends: time.time() at which the step must have ended.
        quick: measure for an instant and on few files, to see that it works.
    """

    scratch: Path
    evidence: Path
    bundle: Path
    recipe: Path
    radiographs: Path | None
    device: str
    batch: int
    threads: int
    ends: float = 0.0
    quick: bool = False

    @property
    def left_s(self) -> float:
        """Seconds until the step must have ended."""
        return self.ends - time.time()

    @property
    def measure_s(self) -> float:
        """Seconds that one rate is measured for, at least."""
        return 0.02 if self.quick else 0.8

    def earlier(self, step: str) -> dict[str, Any]:
        """Result of an earlier step, or nothing."""
        return results_of(self.evidence).get(step, {})

    def as_json(self) -> str:
        """Text from which `setting_from_json` makes it again."""
        return json.dumps(asdict(self), default=str)


def setting_from_json(text: str) -> Setting:
    """Undo `Setting.as_json`."""
    values = json.loads(text)
    for name in ("scratch", "evidence", "bundle", "recipe", "radiographs"):
        values[name] = Path(values[name]) if values[name] else None
    return Setting(**values)
