"""A sweep whose two labels are known: one is told at the border, one inside the lungs."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import save_file
from tiny_networks import BorderAndLungs, DarkIsLung

from cxrsweep.engine import Bundle, sweep
from cxrsweep.export.bundling import bundle_from_recipe

COUNT, PATIENTS = 240, 160
RECIPE = """
name = "border-and-lungs"
side = 64
probe = "background"
[segmenter]
network = "tiny_networks:DarkIsLung"
weights = "segmenter.safetensors"
side = 32
[crop]
margin = 0.3
[classifier]
network = "tiny_networks:BorderAndLungs"
weights = "classifier.safetensors"
side = 64
labels = ["border", "lungs"]
"""


@dataclass(frozen=True)
class Known:
    """A finished run, its bundle, its archive and its labels file."""

    run: Path
    bundle: Bundle
    archive: Path
    labels: Path


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    folder = tmp_path_factory.mktemp("known")
    save_file(DarkIsLung().state_dict(), folder / "segmenter.safetensors")
    save_file(BorderAndLungs().state_dict(), folder / "classifier.safetensors")
    (folder / "recipe.toml").write_text(RECIPE)
    bundle = bundle_from_recipe(folder / "recipe.toml", folder / "bundle")
    archive = folder / "archive"
    _write_archive(archive, folder / "labels.csv")
    sweep([archive], bundle, folder / "run")
    return Known(folder / "run", bundle, archive, folder / "labels.csv")


def _write_archive(archive: Path, labels: Path) -> None:
    """240 scored radiographs, one that fails, one without a label; one label without a file."""
    archive.mkdir()
    generator = np.random.default_rng(0)
    lines = []
    for number in range(COUNT):
        border, lungs = (int(generator.random() < 0.4) for _ in range(2))
        name = f"=odd, {number}.png" if number == 7 else f"{number:03d}.png"
        _write(archive / name, border, lungs, generator)
        patient, site = number % PATIENTS, "AB"[number % 2]
        word = ("none", "border", "lungs", "both")[border + 2 * lungs]
        lines.append([name, border, lungs, f"p{patient}", site, word])
    (archive / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lines.append(["broken.png", 1, 0, "p0", "A", "border"])
    _write(archive / "without-label.png", 0, 0, generator)
    lines.append(["without-file.png", 0, 1, "p1", "B", "lungs"])
    with labels.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "border", "lungs", "patient", "site", "finding"])
        writer.writerows(lines)


def _write(path: Path, border: int, lungs: int, generator: np.random.Generator) -> None:
    pixels = generator.normal(150, 5, (64, 64))
    edge = generator.normal(148 + 24 * border, 14)
    pixels[:, :6] = pixels[:, -6:] = edge
    inside = generator.normal(50 + 10 * lungs, 6)
    pixels[16:48, 12:28] = pixels[16:48, 36:52] = inside
    done, content = cv2.imencode(".png", np.clip(pixels, 0, 255).astype(np.uint8))
    assert done
    path.write_bytes(bytes(content))
