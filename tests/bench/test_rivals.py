from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests_support import triangle_resized

from cxrsweep.bench.options import opened_subject
from cxrsweep.bench.results import Rival
from cxrsweep.bench.rivals.outcome import Outcome
from cxrsweep.bench.rivals.pixels import shrunk_rows
from cxrsweep.bench.rivals_command import described_rivals
from cxrsweep.bench.rivals_race import (
    Contestant,
    _best,
    _largest_difference,
    contestants_on_cpu,
    raced,
    ratio_of,
)
from cxrsweep.engine import Bundle


@pytest.mark.parametrize("size", [(300, 512), (64, 64), (40, 100), (1024, 700)])
def test_rivals_resize_like_the_plain_reference(size: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    plane = torch.from_numpy(grey).float()
    found = shrunk_rows(shrunk_rows(plane, 64).T, 64).T.round().numpy()
    # A half may be rounded either way.
    assert np.abs(found - triangle_resized(grey, (64, 64))).max() <= 1


def test_ratios_are_of_pairs() -> None:
    ratio, interval = ratio_of([20.0, 40.0, 30.0], [10.0, 10.0, 10.0])
    assert ratio == 3
    assert interval is not None
    assert interval.low < 3 < interval.high
    assert ratio_of([20.0], [10.0]) == (2, None)


def test_scores_of_other_radiographs_never_agree() -> None:
    assert _largest_difference({"a": [0.5]}, {"a": [0.25]}) == 0.25
    infinite = _largest_difference({"a": [0.5]}, {"b": [0.5]})
    assert infinite == float("inf")
    rival = Rival(
        name="rival", settings="", per_s=1, per_s_rounds=[1], ratio=1, ratio_low=None,
        ratio_high=None, scores_agree=False, largest_score_difference=infinite,
    )  # fmt: skip
    # JSON has no number for it, and the file must be read again.
    assert Rival.model_validate_json(rival.model_dump_json()) == rival


@pytest.mark.slow
def test_race_has_ratios_limits_and_equal_scores(
    small_archive: Path, demo_bundle: Bundle, demo_recipe: Path
) -> None:
    with opened_subject(demo_bundle.folder, small_archive, "cpu", 4, 2) as subject:
        # One setting each: looking for the best one is the same work over and over.
        rivals = [settings[:1] for settings in contestants_on_cpu(subject, demo_recipe)]
        race = raced(subject, rivals, 1, lambda _: None)
    *same, area = race.rivals
    assert [rival.scores_agree for rival in same] == [True] * 3
    # Another filter gives other pixels: that must be told, and its time must not count.
    assert not area.scores_agree
    assert "OTHER SCORES" in described_rivals(race)
    assert race.sweep.files.radiographs == 12


def test_the_fastest_settings_race(tmp_path: Path) -> None:
    class Timed(Contestant):
        def run(self, output: Path) -> Outcome:
            return Outcome(float(self.settings), {"a": [0.5]})

    settings = [Timed("rival", seconds, "none", ()) for seconds in ("3", "1", "2")]
    assert _best(settings, tmp_path / "outcome.json", lambda _: None).settings == "1"
