"""What a rival leaves: seconds and scores in a JSON file; and what all of them read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection


@dataclass(frozen=True)
class Outcome:
    """How a rival did.

    Attributes:
        seconds: from the start of its loop to the last score; imports and loading are before.
        scores: radiograph -> score of each label.
    """

    seconds: float
    scores: dict[str, list[float]]

    def write(self, path: Path) -> None:
        """Leave it as JSON."""
        plain = {"seconds": self.seconds, "scores": self.scores}
        path.write_text(json.dumps(plain), encoding="utf-8")


def read_outcome(path: Path) -> Outcome:
    """Undo `Outcome.write`."""
    return Outcome(**json.loads(path.read_bytes()))


def listed(archive: Path) -> tuple[list[str], list[Path]]:
    """Radiographs of a folder in the order of a sweep: ids and paths."""
    entries = list(open_archives([archive], Selection()))
    return [entry.radiograph for entry in entries], [Path(entry.location) for entry in entries]


def outcome_of(
    seconds: float, radiographs: Sequence[str], scores: Sequence[list[float]]
) -> Outcome:
    """Scores in the order of the radiographs."""
    return Outcome(seconds, dict(zip(radiographs, scores, strict=True)))
