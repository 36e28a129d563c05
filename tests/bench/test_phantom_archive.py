from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from cxrsweep.bench.commands import bench
from cxrsweep.bench.phantom_archive import CODECS, phantom_file
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits

SIZE = (230, 190)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_read_with_its_size_and_the_same_bytes_each_time(codec: str) -> None:
    content = phantom_file(SIZE, codec, seed=3, number=5)
    assert phantom_file(SIZE, codec, seed=3, number=5) == content
    assert phantom_file(SIZE, codec, seed=3, number=6) != content
    header = header_of(content, Limits())
    assert (header.width, header.height) == SIZE
    grey = grey_pixels(content, header)
    assert grey.shape == (190, 230, 1)
    assert grey.std() > 20


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_bytes_per_pixel_are_those_of_real_radiographs(real_archive: Path, codec: str) -> None:
    kinds = {"jpeg": (".jpg", ".jpeg"), "png": (".png",)}[codec]
    real = phantom = 0
    for number, path in enumerate(sorted((real_archive / "images").iterdir())):
        if path.suffix.lower() not in kinds:
            continue
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        if pixels.ndim == 3:  # phantoms are grey
            continue
        size = (pixels.shape[1], pixels.shape[0])
        real += path.stat().st_size
        phantom += len(phantom_file(size, codec, seed=0, number=number))
    # A fifth: what a throughput on phantoms may be off by for the bytes alone.
    assert 0.8 <= phantom / real <= 1.2


def test_command_writes_folders_of_a_thousand(tmp_path: Path) -> None:
    words = ["phantoms", "-o", str(tmp_path / "made"), "--count", "3", "--size", "64x48"]
    done = CliRunner().invoke(bench, [*words, "--codec", "dicom-native", "--seed", "7"])
    assert done.exit_code == 0, done.output
    files = sorted((tmp_path / "made").rglob("*.dcm"))
    assert [file.name for file in files] == [f"{number:07d}.dcm" for number in range(3)]
    assert files[2].parent.name == "0000"
    assert files[2].read_bytes() == phantom_file((64, 48), "dicom-native", 7, 2)
    again = CliRunner().invoke(cxrsweep, ["bench", *words])
    assert again.exit_code == 1
    assert "is not empty" in again.output


def test_sizes_are_understood_or_refused(tmp_path: Path) -> None:
    words = ["phantoms", "-o", str(tmp_path / "made"), "--size", "2048*2500"]
    done = CliRunner().invoke(bench, words)
    assert done.exit_code == 2
    assert "2048x2500" in done.output
