"""A finished sweep of files with names that a page must not believe, some of them broken."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import write_recipe

from cxrsweep.engine import sweep
from cxrsweep.engine.options import SweepOptions
from cxrsweep.export.bundling import bundle_from_recipe
from cxrsweep.export.synthetic import phantom

SCRIPT = "<script>alert(1)<script>.jpg"  # cut
QUOTED = '"><img src=x onerror=alert(2)> & more.png'  # constant
COUNT = 40
TOP = 'equalise = "histogram"\nthresholds = {one = 0.5}\n'


@dataclass(frozen=True)
class Swept:
    """A finished run, its archive and a labels file."""

    run: Path
    archive: Path
    labels: Path

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.run / "results.csv").open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))


def _write(path: Path, number: int) -> None:
    pixels = phantom(180 + 16 * number, 200 + 5 * number, np.random.default_rng(number)).pixels
    done, content = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(bytes(content))


def made_run(folder: Path) -> Swept:
    archive = folder / "archive"
    archive.mkdir(parents=True)
    names = [f"{number:02d}{('.png', '.jpg')[number % 2]}" for number in range(COUNT)]
    for number, name in enumerate(names):
        _write(archive / name, number)
    (archive / "<b>empty").write_bytes(b"")
    (archive / SCRIPT).write_bytes((archive / "03.jpg").read_bytes()[:900])
    for number in range(5):
        (archive / f"text-{number}.png").write_text("text")
    _, constant = cv2.imencode(".png", np.full((90, 120), 77, np.uint8))
    (archive / QUOTED).write_bytes(bytes(constant))
    bundle = bundle_from_recipe(write_recipe(folder, TOP, activation="sigmoid"), folder / "bundle")
    sweep([archive], bundle, folder / "run", SweepOptions(shard_size=6))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "finding", "<i>site"])
        for number, name in enumerate(names):
            finding = ("<script>alert(3)</script>", "none")[number % 3 == 0]
            writer.writerow([name, finding, ("A", "<script>B")[number % 2]])
    return Swept(folder / "run", archive, folder / "labels.csv")


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    return made_run(tmp_path_factory.mktemp("swept"))


@pytest.fixture
def movable(tmp_path_factory: pytest.TempPathFactory, swept: Swept) -> Callable[[], None]:
    """Takes the archive away until the test has ended."""
    away = swept.archive.with_name("away")

    def take() -> None:
        swept.archive.rename(away)

    yield take  # type: ignore[misc]
    if away.exists():
        away.rename(swept.archive)
