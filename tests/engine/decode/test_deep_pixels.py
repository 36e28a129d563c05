"""DICOM and 16 bits through the whole sweep, beside the same pixels as 8-bit PNG."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_files import native_file
from numpy.typing import NDArray

from cxrsweep.engine import Bundle, sweep
from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.decode.windowing import eight_bits
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits

Encoded = Callable[..., bytes]


@pytest.fixture(scope="module")
def deep(grey: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The synthetic radiograph in 12 bits."""
    return grey.astype(np.uint16) * 16 + 5


def rows_of(run: Path) -> dict[str, dict[str, str]]:
    with (run / "results.csv").open(newline="", encoding="utf-8") as stream:
        return {row["radiograph"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_sixteen_bits_are_windowed_by_the_documented_rule(
    encoded: Encoded, deep: NDArray[np.uint16], ending: str
) -> None:
    content = encoded(ending, deep)
    found = grey_pixels(content, header_of(content, Limits()))
    np.testing.assert_array_equal(found[..., 0], eight_bits(deep))
    # Percentiles by NumPy, from the definition: the smallest value that 0.5 % do not exceed.
    low, high = np.percentile(deep, [0.5, 99.5], method="inverted_cdf").astype(float)
    expected = np.clip((deep - low) * 255 / (high - low), 0, 255)
    assert np.abs(found[..., 0] - expected).max() <= 0.5 + 1e-9


def test_dicom_scores_like_its_pixels_as_a_png(
    demo_bundle: Bundle, tmp_path: Path, encoded: Encoded, deep: NDArray[np.uint16]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    (archive / "a.dcm").write_bytes(native_file(deep, 12, **window))
    # PS3.3 C.11.2.1.2.1 with centre 2048 and width 4096, written out.
    levels = np.floor(((deep - 2047.5) / 4095 + 0.5) * 255 + 0.5).clip(0, 255).astype(np.uint8)
    (archive / "b.png").write_bytes(encoded(".png", levels))
    (archive / "no-name-ending").write_bytes(native_file(deep, 12, **window))
    (archive / "report.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0\0\0\0\0")
    summary = sweep([archive], demo_bundle, tmp_path / "run")
    rows = rows_of(tmp_path / "run")
    assert (summary.ok, summary.failed) == (3, 1)
    assert rows["report.dcm"]["status"] == "failed"
    columns = [*demo_bundle.labels, "x0", "y0", "x1", "y1", "lung_fraction", "width", "height"]
    for name in ("a.dcm", "no-name-ending"):
        assert [rows[name][c] for c in columns] == [rows["b.png"][c] for c in columns]
        assert (rows[name]["kind"], rows[name]["bits"]) == ("dicom", "12")


def test_no_header_text_of_a_dicom_reaches_any_output(
    demo_bundle: Bundle, tmp_path: Path, deep: NDArray[np.uint16]
) -> None:
    archive, run = tmp_path / "archive", tmp_path / "run"
    archive.mkdir()
    secrets = {
        "PatientName": "Quillfeather^Zenobia",
        "PatientID": "PID-7731-XQ",
        "PatientBirthDate": "19470229",
        "AccessionNumber": "ACC-55512",
        "InstitutionName": "Saint Elsewhere",
        "StudyDescription": "thorax twelve planes",
        "ImageComments": "seen by Dr. Vandermeer",
        "ViewPosition": "VANDERMEER",
    }
    (archive / "whole.dcm").write_bytes(native_file(deep, 12, **secrets))
    content = native_file(deep, 12, **secrets)
    (archive / "cut.dcm").write_bytes(content[: len(content) // 2])
    (archive / "small.dcm").write_bytes(native_file(deep, 12, **secrets, Rows=7777))
    sweep([archive], demo_bundle, run)
    written = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert b"whole.dcm" in written
    for value in secrets.values():
        for word in value.replace("^", " ").split():
            if len(word) >= 4:
                assert word.encode() not in written, word
