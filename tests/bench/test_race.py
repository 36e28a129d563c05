from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tests_support import triangle_resized

from cxrsweep.bench.ceilings import Ceilings
from cxrsweep.bench.rivals.pytorch_loop import shrunk_rows
from cxrsweep.engine import Bundle
from cxrsweep.engine.cli import cxrsweep


@pytest.mark.parametrize("size", [(300, 512), (64, 64), (40, 100), (1024, 700)])
def test_rival_resizes_like_the_plain_reference(size: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    plane = torch.from_numpy(grey).float()
    found = shrunk_rows(shrunk_rows(plane, 64).T, 64).T.round().numpy()
    # A half may be rounded either way.
    assert np.abs(found - triangle_resized(grey, (64, 64))).max() <= 1


def test_shared_limit_is_the_harmonic_sum() -> None:
    ceilings = Ceilings(read_and_gate=1e9, decode=60.0, network=30.0)
    assert ceilings.least == 30
    assert ceilings.shared == pytest.approx(20)


@pytest.mark.slow
def test_race_reports_ratio_limits_and_equal_scores(
    small_archive: Path, demo_bundle: Bundle, demo_recipe: Path, tmp_path: Path
) -> None:
    words = ["bench", "rivals", str(demo_bundle.folder), str(small_archive), "--rounds", "1"]
    words += ["--recipe", str(demo_recipe), "--json", str(tmp_path / "race.json")]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    assert "same scores" in done.stdout
    race = json.loads((tmp_path / "race.json").read_text())
    assert race["scores_agree"]
    assert race["radiographs"] == 12
    assert race["ratio"] > 0
    assert race["efficiency"]["shared"] > 0
    assert race["hardware"]["cores"] >= 1
