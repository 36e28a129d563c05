"""What only a GPU can show: decoding, hand-over and scores beside the CPU's."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cxrsweep.engine import Bundle, SweepOptions, open_bundle, sweep
from cxrsweep.engine.bundle import FP32_GRAPH
from cxrsweep.engine.decode.fast_lane import Decoder
from cxrsweep.engine.decode.gpu_lane import GpuDecoder
from cxrsweep.engine.decode.jpeg_share import NO_LIMIT_MP, SizeClass
from cxrsweep.engine.decode.pipelines import DecoderUse
from cxrsweep.engine.failures import FailureCode
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits
from cxrsweep.engine.hardware.cuda import CudaContext, DevicePixels
from cxrsweep.engine.hardware.device import Device, chosen_device
from cxrsweep.engine.plans.ready import ready_plan
from cxrsweep.engine.plans.settings import target_of
from cxrsweep.engine.runners.openvino import OpenVinoRunner
from cxrsweep.engine.runners.tensorrt import TensorRtRunner
from cxrsweep.export.synthetic import phantom

DEVICE = chosen_device("auto")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE.gpu is None, reason=f"no usable GPU: {DEVICE.reason}"),
]
BATCH = 8


@pytest.fixture(scope="module")
def device() -> Device:
    return DEVICE


@pytest.fixture(scope="module")
def bundle(demo_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(
        shutil.copytree(demo_bundle.folder, tmp_path_factory.mktemp("gpu") / "bundle")
    )


@pytest.fixture(scope="module")
def context(device: Device) -> Iterator[CudaContext]:
    assert device.gpu
    opened = CudaContext(device.gpu)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def runner(bundle: Bundle, device: Device, context: CudaContext) -> Iterator[TensorRtRunner]:
    assert device.gpu
    assert device.flavour
    plan = ready_plan(bundle, device.flavour, target_of(device.gpu), BATCH)
    opened = TensorRtRunner(plan, device.flavour, context, bundle.recipe.side)
    yield opened
    opened.close()


@pytest.fixture
def files(encoded: Callable[..., bytes]) -> list[tuple[bytes, Header]]:
    """Sixteen radiographs of several sizes, as JPEG and PNG in turn."""
    found = []
    for number in range(16):
        pixels = phantom(500 + 90 * number, 640, np.random.default_rng(number)).pixels
        content = encoded((".jpg", ".png")[number % 2], pixels)
        found.append((content, header_of(content, Limits())))
    return found


def decoder_for(bundle: Bundle, context: CudaContext, share: float) -> GpuDecoder:
    use = DecoderUse("mixed", context.number, share, 2000, 700)
    return GpuDecoder(bundle.recipe, 16, 4, context, [SizeClass(NO_LIMIT_MP, use, {})])


def on_host(pixels: DevicePixels, side: int, context: CudaContext) -> np.ndarray:
    host = np.empty((pixels.count, 1, side, side), np.uint8)
    with context.current() as driver:
        pixels.ready.synchronize()
        driver.memcpy_dtoh(host, pixels.address)
    return host


@pytest.mark.parametrize("share", [0.0, 0.65, 1.0])
def test_gpu_decodes_what_the_cpu_decodes(
    bundle: Bundle, context: CudaContext, files: list[tuple[bytes, Header]], share: float
) -> None:
    contents, headers = zip(*files, strict=True)
    on_cpu = Decoder(bundle.recipe, 16, 2)
    expected = on_cpu.decode(contents, headers).pixels
    on_cpu.close()
    on_gpu = decoder_for(bundle, context, share)
    pixels = on_gpu.decode(contents, headers).pixels
    assert isinstance(pixels, DevicePixels)
    found = on_host(pixels, bundle.recipe.side, context)
    on_gpu.close()
    difference = np.abs(found.astype(int) - expected)
    # Equalisation makes one grey level of JPEG rounding a few; a shifted or other picture, many.
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99.9) <= 8


def test_pixels_read_in_place_score_like_the_same_pixels_from_the_host(
    bundle: Bundle,
    context: CudaContext,
    runner: TensorRtRunner,
    files: list[tuple[bytes, Header]],
) -> None:
    decoder = decoder_for(bundle, context, 0.65)
    for turn in range(100):
        for start, count in ((0, BATCH), (BATCH, BATCH), (3, 5)):
            contents, headers = zip(*files[start : start + count], strict=True)
            pixels = decoder.decode(contents, headers).pixels
            assert isinstance(pixels, DevicePixels)
            host = on_host(pixels, bundle.recipe.side, context) if turn == 0 else None
            in_place = runner.submit(pixels)
            del pixels
            if host is None:
                in_place.result()
                continue
            copied = runner.submit(host).result()
            # The same plan, the same pixels, always a whole batch: not a bit may differ.
            np.testing.assert_array_equal(in_place.result().scores, copied.scores)
            np.testing.assert_array_equal(in_place.result().lung_box, copied.lung_box)
    decoder.close()


def test_scores_do_not_depend_on_how_many_are_in_the_batch(
    bundle: Bundle, runner: TensorRtRunner, files: list[tuple[bytes, Header]]
) -> None:
    contents, headers = zip(*files[:BATCH], strict=True)
    decoder = Decoder(bundle.recipe, BATCH, 2)
    pixels = decoder.decode(contents, headers).pixels
    decoder.close()
    whole = runner.submit(pixels).result().scores
    for place in range(BATCH):
        alone = runner.submit(pixels[place : place + 1]).result().scores
        assert np.abs(alone[0] - whole[place]).max() <= 1e-3  # other places may be other tiles


def test_tensorrt_agrees_with_openvino(
    bundle: Bundle, runner: TensorRtRunner, files: list[tuple[bytes, Header]]
) -> None:
    contents, headers = zip(*files[:BATCH], strict=True)
    decoder = Decoder(bundle.recipe, BATCH, 2)
    pixels = decoder.decode(contents, headers).pixels
    decoder.close()
    on_cpu = OpenVinoRunner(bundle.path(FP32_GRAPH), BATCH, 2)
    expected = on_cpu.submit(pixels).result()
    on_cpu.close()
    found = runner.submit(pixels).result()
    tolerance = bundle.recipe.agreement
    assert np.abs(found.scores - expected.scores).max() <= tolerance.fp16_score
    shift = np.abs(found.lung_box - expected.lung_box).max() * bundle.recipe.side
    assert shift <= tolerance.fp16_box


def test_a_bad_file_does_not_change_what_its_neighbours_decode_to(
    bundle: Bundle, context: CudaContext, files: list[tuple[bytes, Header]]
) -> None:
    contents, headers = (list(column) for column in zip(*files[:BATCH], strict=True))
    decoder = decoder_for(bundle, context, 0.65)
    side = bundle.recipe.side
    expected = on_host(decoder.decode(contents, headers).pixels, side, context)  # type: ignore[arg-type]
    contents[2] = contents[2][: len(contents[2]) // 2] + b"\0" * 400 + b"\xff\xd9"
    decoded = decoder.decode(contents, headers)
    assert isinstance(decoded.pixels, DevicePixels)
    found = on_host(decoded.pixels, side, context)
    decoder.close()
    others = [place for place in range(BATCH) if place != 2]
    np.testing.assert_array_equal(found[others], expected[others])


def test_constant_radiographs_are_refused_after_scoring(
    bundle: Bundle, context: CudaContext, encoded: Callable[..., bytes]
) -> None:
    flat = encoded(".jpg", np.full((300, 300), 77, np.uint8))
    decoder = decoder_for(bundle, context, 0.65)
    decoded = decoder.decode([flat], [header_of(flat, Limits())])
    codes = {place: reason.code for place, reason in decoded.refused_late().items()}
    decoder.close()
    assert codes == {0: FailureCode.CONSTANT}


def test_sweep_on_the_gpu_gives_every_row(
    bundle: Bundle, small_archive: Path, tmp_path: Path
) -> None:
    (small_archive / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a radiograph")
    tables = {}
    for name in ("cpu", "gpu"):
        options = SweepOptions(device=name, shard_size=5)
        summary = sweep([small_archive], bundle, tmp_path / name, options)
        assert (summary.ok, summary.failed) == (12, 1)
        with (tmp_path / name / "results.csv").open(newline="") as stream:
            tables[name] = list(csv.DictReader(stream))
    for on_cpu, on_gpu in zip(tables["cpu"], tables["gpu"], strict=True):
        assert on_cpu["radiograph"] == on_gpu["radiograph"]
        assert on_cpu["error"] == on_gpu["error"]
        for label in bundle.labels if on_cpu["status"] == "ok" else ():
            # fp16 and another JPEG decoder together: the recipe allows 0.02 for fp16 alone.
            assert abs(float(on_cpu[label]) - float(on_gpu[label])) <= 0.05
