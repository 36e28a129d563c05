"""The samples, and what the doctor says of decoders that fail or differ."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxrsweep.engine.doctor import sample_drawing
from cxrsweep.engine.doctor.checks import REINSTALL
from cxrsweep.engine.doctor.codecs import (
    codec_check,
    codec_checks,
    decoded_carefully,
    decoded_on_cpu,
    decoded_on_gpu,
    is_jpeg_or_png,
)
from cxrsweep.engine.doctor.gpus import first_gpu
from cxrsweep.engine.doctor.samples import Sample, pixel_hash, samples

SAMPLES = {sample.name: sample for sample in samples()}


def by_name(sample: Sample) -> str:
    return sample.name


def decoders_of(sample: Sample) -> list[Callable[[bytes], NDArray[np.uint8]]]:
    return [decoded_on_cpu, decoded_carefully] if is_jpeg_or_png(sample) else [decoded_carefully]


def test_every_format_of_a_sweep_has_a_sample() -> None:
    words = {name.split()[0] for name in SAMPLES}
    assert words == {"JPEG", "PNG", "BMP", "TIFF", "WebP"}
    assert sum(len(sample.content) for sample in SAMPLES.values()) < 12_000


def test_every_sample_decodes_here_with_every_decoder() -> None:
    checks = codec_checks(has_gpu=False)
    assert len(checks) == 15
    assert {check.state for check in checks} == {"ok"}
    assert {check.needed_for for check in checks} == {"cpu"}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=by_name)
def test_sample_cut_in_half_is_a_bad_line_that_ends_with_the_command(sample: Sample) -> None:
    half = replace(sample, content=sample.content[: len(sample.content) // 2])
    for decode in decoders_of(sample):
        check = codec_check("decoder", half, decode, "cpu")
        assert check.state == "bad", (decode, check)
        assert check.remedy == REINSTALL


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=by_name)
@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, np.rot90], ids=["left", "up", "round"])
def test_turned_pixels_are_noticed(
    sample: Sample, turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    grey = decoded_carefully(sample.content)
    assert codec_check("turned", sample, lambda _: turn(grey), "cpu").state == "bad"
    assert codec_check("same", sample, lambda _: grey, "cpu").state == "ok"


def test_one_other_pixel_of_a_lossless_file_is_noticed() -> None:
    sample = SAMPLES["PNG grey"]
    grey = decoded_carefully(sample.content)
    grey[5, 7] ^= 1
    check = codec_check("careful lane", sample, lambda _: grey, "cpu")
    assert (check.state, check.facts) == ("bad", "decodes to other pixels than it must")


@pytest.mark.parametrize(
    ("change", "state", "facts"),
    [
        (0, "ok", "exact"),
        (2, "ok", "within 2 of 2 grey levels"),
        (3, "bad", "pixels differ by up to 3 grey levels, 2 are usual"),
    ],
)
def test_jpeg_may_differ_by_rounding_and_no_more(change: int, state: str, facts: str) -> None:
    sample = SAMPLES["JPEG grey"]
    assert sample.reference is not None
    grey = sample.reference.copy()
    grey[0, 40] += change
    check = codec_check("DALI", sample, lambda _: grey, "cpu")
    assert (check.state, check.facts) == (state, facts)


def test_palette_is_looked_up_not_shown() -> None:
    content = SAMPLES["PNG palette"].content
    with Image.open(io.BytesIO(content)) as image:
        places = np.asarray(image)
    assert pixel_hash(places) != SAMPLES["PNG palette"].sha256


def test_hashes_are_those_of_what_was_drawn() -> None:
    drawn = sample_drawing.gradient()
    assert drawn.shape == (32, 48)
    for name in ("PNG grey", "PNG palette", "BMP", "TIFF LZW", "WebP lossless"):
        assert SAMPLES[name].sha256 == pixel_hash(drawn)


def test_samples_drawn_anew_decode_to_the_same(tmp_path: Path) -> None:
    # Only the pixels: another build of an encoder may write other bytes.
    sample_drawing.draw(tmp_path)
    for name, file, _, _, tolerance in sample_drawing.pictures():
        grey = cv2.imread(str(tmp_path / file), cv2.IMREAD_GRAYSCALE)
        kept = decoded_carefully(SAMPLES[name].content)
        assert np.abs(np.asarray(grey, int) - kept).max() <= tolerance, name
    assert len(list(tmp_path.iterdir())) == len(SAMPLES) + 2


@pytest.mark.gpu
@pytest.mark.skipif(first_gpu() is None, reason="no NVIDIA GPU here")
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=by_name)
def test_dali_decodes_on_the_gpu_what_it_decodes_on_the_cpu(sample: Sample) -> None:
    if is_jpeg_or_png(sample):
        assert codec_check("DALI on the GPU", sample, decoded_on_gpu, "gpu").state == "ok"
