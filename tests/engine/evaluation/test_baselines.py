from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from cxrsweep.engine import Bundle, sweep
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation.baselines import aspect_baseline, thumbnail_baseline
from cxrsweep.engine.evaluation.metrics import Scored
from cxrsweep.engine.evaluation.results import read_evaluation
from cxrsweep.engine.evaluation.thumbnails import thumbnails_of

if TYPE_CHECKING:
    from conftest import Known


def scored(positive: object, patients: object = None) -> Scored:
    truth = np.asarray(positive, bool)
    people = np.arange(len(truth)) if patients is None else np.asarray(patients, np.intp)
    return Scored(truth, np.zeros(len(truth)), truth, people)


@pytest.mark.parametrize(("sign", "word"), [(1, "wider"), (-1, "narrower")])
def test_aspect_ratio_counts_in_its_better_direction(sign: int, word: str) -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(200) < 0.4
    aspect = 1 + sign * 0.05 * truth + generator.normal(0, 0.05, 200)
    found = aspect_baseline(scored(truth), aspect, 200, 0)
    area = roc_auc_score(truth, aspect)
    assert found.auc is not None
    assert found.auc.value == pytest.approx(max(area, 1 - area), abs=1e-12)
    assert word in found.how


def test_thumbnail_model_never_scores_a_patient_it_has_seen() -> None:
    # Each patient has one picture, ten times, that tells nothing of others: who has seen the
    # patient scores nearly perfectly, who has not cannot.
    generator = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 10)
    truth = (np.arange(40) % 2 == 0)[patients]
    own = generator.random((40, 64))[patients] + generator.normal(0, 0.01, (400, 64))
    unseen = thumbnail_baseline(scored(truth, patients), own, 200, 0)
    seen = thumbnail_baseline(scored(truth), own, 200, 0)
    assert unseen.auc is not None
    assert seen.auc is not None
    assert seen.auc.value > 0.95
    assert unseen.auc.low < 0.5 < unseen.auc.high
    assert "5-fold cross-validated" in unseen.how


def test_thumbnail_model_finds_what_grey_values_tell() -> None:
    generator = np.random.default_rng(1)
    truth = generator.random(200) < 0.5
    grey = generator.normal(0.5, 0.1, (200, 64))
    grey[truth, 3] += 0.3
    grey[:10] = np.nan  # files that are gone
    found = thumbnail_baseline(scored(truth), grey, 200, 0)
    assert found.n == 190
    assert found.auc is not None
    assert found.auc.low > 0.8


def test_too_few_patients_have_no_thumbnail_model() -> None:
    truth = np.arange(30) < 5
    grey = np.random.default_rng(2).random((30, 64))
    people = np.maximum(np.arange(30) - 4, 0)  # all positives are one patient
    assert thumbnail_baseline(scored(truth, people), grey, 100, 0).auc is None
    assert thumbnail_baseline(scored(truth), np.full((30, 64), np.nan), 100, 0).auc is None


def test_thumbnails_are_block_means_of_the_archives_pixels(known: Known) -> None:
    names = ["003.png", "=odd, 7.png", "010.png"]
    found = thumbnails_of(known.run, names)
    for name, thumbnail in zip(names, found, strict=True):
        grey = cv2.imread(str(known.archive / name), cv2.IMREAD_GRAYSCALE)
        wanted = grey.reshape(8, 8, 8, 8).mean((1, 3)).ravel() / 255
        assert thumbnail == pytest.approx(wanted, abs=1e-12)  # 64 x 64 needs no resampling


def test_thumbnails_of_every_format_are_near_opencvs(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    sweep([small_archive], light_bundle, tmp_path / "run")
    names = sorted(str(p.relative_to(small_archive)) for p in small_archive.rglob("*.*"))
    for name, thumbnail in zip(names, thumbnails_of(tmp_path / "run", names), strict=True):
        grey = cv2.imread(str(small_archive / name), cv2.IMREAD_GRAYSCALE)
        wanted = cv2.resize(grey, (8, 8), interpolation=cv2.INTER_AREA).ravel() / 255
        # A triangle filter reaches a sixth of a block into its neighbours; areas do not.
        assert np.abs(thumbnail - wanted).max() < 0.06, name


def test_thumbnails_of_an_archive_that_is_gone_are_refused(known: Known, tmp_path: Path) -> None:
    run = shutil.copytree(known.run, tmp_path / "run")
    index = run / "index.csv"
    content = index.read_bytes()
    index.write_bytes(content.replace(b"003.png", b"004.png"))
    with pytest.raises(EvaluationError, match=r"index.csv is missing or was changed"):
        thumbnails_of(run, ["003.png"])
    index.write_bytes(content)
    (tmp_path / "moved").mkdir()
    gone = known.archive / "003.png"
    gone.rename(tmp_path / "moved" / "003.png")
    try:
        with pytest.raises(EvaluationError, match="bring the archive back, or leave out"):
            thumbnails_of(run, ["003.png"])
        assert np.isnan(thumbnails_of(run, ["003.png", "005.png"])).all(1).tolist() == [True, False]
    finally:
        (tmp_path / "moved" / "003.png").rename(gone)


def test_evaluate_shows_both_baselines(known: Known, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    words = ["evaluate", known.run, known.labels, "--group", "patient", "--thumbnails"]
    words += ["--resamples", 100, "--json", file]
    done = CliRunner().invoke(cxrsweep, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert done.stderr == "decoding 240 thumbnails\n"
    assert "thumbnail" in done.stdout
    baselines = read_evaluation(file).labels["border"].baselines
    assert baselines["aspect_ratio"].auc.value == 0.5  # all are square
    assert baselines["thumbnail"].n == 240
    assert baselines["thumbnail"].auc.value > 0.7  # the border is seen in a thumbnail
