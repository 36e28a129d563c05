from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxrsweep.bench.phantoms import box_iou, write_archive
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
from cxrsweep.export.synthetic import phantom


def test_archive_is_reproducible_and_has_both_codecs_and_colours(tmp_path: Path) -> None:
    known = write_archive(tmp_path / "one" / "radiographs", 6)
    assert write_archive(tmp_path / "two" / "radiographs", 6) == known
    shapes = set()
    for file in known:
        one, two = (tmp_path / name / "radiographs" / file.radiograph for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        if not file.error:
            pixels = cv2.imread(str(one), cv2.IMREAD_UNCHANGED)
            assert pixels is not None
            shapes.add((one.suffix, pixels.ndim))
    assert shapes == {(".jpg", 2), (".png", 2), (".jpg", 3), (".png", 3)}


def test_broken_files_are_broken_as_said(tmp_path: Path) -> None:
    known = write_archive(tmp_path / "radiographs", 1)
    broken = {file.radiograph: file.error for file in known if file.error}
    assert len(broken) == 3
    for name, code in broken.items():
        with pytest.raises(Refused) as refused:
            header_of((tmp_path / "radiographs" / name).read_bytes(), Limits())
        assert refused.value.code == code


def test_truth_table_names_every_file(tmp_path: Path) -> None:
    known = write_archive(tmp_path / "radiographs", 2)
    with (tmp_path / "truth.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["radiograph"] for row in rows] == [file.radiograph for file in known]
    files = [path for path in (tmp_path / "radiographs").rglob("*") if path.is_file()]
    assert len(files) == len(known)


@pytest.mark.parametrize("size", [(480, 560), (2000, 1500)])
def test_lungs_are_dark_and_inside_their_box(size: tuple[int, int]) -> None:
    width, height = size
    drawn = phantom(width, height, np.random.default_rng(4))
    assert drawn.pixels.shape == (height, width)
    x0, y0, x1, y1 = drawn.lung_box
    assert 0 < x0 < x1 < width
    assert 0 < y0 < y1 < height
    row = drawn.pixels[(y0 + y1) // 2]
    lung = row[x0 + (x1 - x0) // 8 : x0 + (x1 - x0) // 4].mean()
    spine = row[(x0 + x1) // 2 - width // 50 : (x0 + x1) // 2 + width // 50].mean()
    assert lung < spine / 2


def test_noise_costs_what_a_real_radiograph_costs(real_archive: Path) -> None:
    def bytes_per_pixel(pattern: str) -> float:
        shares = []
        for path in sorted((real_archive / "images").glob(pattern)):
            header = header_of(path.read_bytes(), Limits())
            shares.append(path.stat().st_size / (header.width * header.height))
        return float(np.median(shares))

    pixels = phantom(1024, 1024, np.random.default_rng(0), noise=1.0).pixels
    png = len(cv2.imencode(".png", pixels)[1]) / pixels.size
    jpeg = len(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]) / pixels.size
    # Within a third of the collections that the noise was chosen from.
    assert png == pytest.approx(bytes_per_pixel("nih__*.png"), rel=1 / 3)
    assert jpeg == pytest.approx(bytes_per_pixel("kermany__*.jpg"), rel=1 / 3)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 1, 1), (1, 1, 2, 2), 0.0),
        ((0, 0, 1, 1), (5, 5, 6, 6), 0.0),
    ],
)
def test_box_iou(one: tuple[float, ...], other: tuple[float, ...], expected: float) -> None:
    assert box_iou(one, other) == pytest.approx(expected)
