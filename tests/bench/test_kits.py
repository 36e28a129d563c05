"""The steps themselves, on the CPU's kit; and on a GPU where there is one."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from cxrsweep.bench.gpu.child import Notes
from cxrsweep.bench.gpu.command import STEPS
from cxrsweep.bench.gpu.decode_agreement import all_pixels, compare_decoders
from cxrsweep.bench.gpu.end_to_end import described_sweep, sweep_png, wanted_count
from cxrsweep.bench.gpu.files import batches_of_files, files_of, linked, load_of, prepare
from cxrsweep.bench.gpu.handover import batches_of_lengths, both_ways, compare_handovers, in_a_row
from cxrsweep.bench.gpu.kit import opened_kit
from cxrsweep.bench.gpu.latency import latencies, tiled
from cxrsweep.bench.gpu.score_check import compare_scores, make_reference
from cxrsweep.bench.gpu.setting import Setting
from cxrsweep.bench.gpu.stage_ceilings import best_of, groups_of, measure
from cxrsweep.bench.gpu.summary import described_evidence
from cxrsweep.bench.kits import (
    CpuKit,
    Kit,
    decoded,
    opened_decoder,
    opened_runner,
)
from cxrsweep.engine import Bundle
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import DeviceError
from cxrsweep.engine.hardware.gpu import found_gpus


def has_gpu() -> bool:
    try:
        return bool(found_gpus())
    except DeviceError:
        return False


@pytest.fixture(scope="module")
def setting(
    tmp_path_factory: pytest.TempPathFactory, demo_bundle: Bundle, demo_recipe: Path
) -> Setting:
    """Files drawn and scored once for all tests here."""
    scratch = tmp_path_factory.mktemp("scratch")
    made = Setting(
        *(scratch, scratch / "evidence.json", demo_bundle.folder, demo_recipe, None),
        *("cpu", 4, 2),
        ends=time.time() + 600,
        quick=True,
    )
    prepare(made, lambda _, __: None)
    make_reference(made, lambda _, __: None)
    return made


@pytest.fixture
def found() -> dict[str, Any]:
    return {}


@pytest.fixture
def kit(setting: Setting) -> Iterator[Kit]:
    with opened_kit(setting) as opened:
        yield opened


def test_the_same_decoder_gives_the_same_pixels(setting: Setting, found: dict[str, Any]) -> None:
    compare_decoders(setting, found.__setitem__)
    groups = {name: shares for name, shares in found.items() if name != "recipe"}
    assert {"jpeg-grey", "jpeg-colour", "jpeg-progressive", "png"} <= set(groups)
    for shares in groups.values():
        assert shares["share 0"]["largest"] == 0
        # The CPU's kit never decodes on a GPU, and the evidence would say so of a GPU's.
        assert shares["share 0"]["batches_not_on_gpu"] > 0


def test_codecs_are_what_they_are_called(setting: Setting) -> None:
    content = {
        codec: files_of(setting, f"codecs/{codec}")[0].content
        for codec in ("jpeg-grey", "jpeg-colour", "jpeg-progressive")
    }
    assert b"\xff\xc2" in content["jpeg-progressive"]  # SOF2
    assert b"\xff\xc2" not in content["jpeg-grey"]
    shapes = {
        codec: cv2.imdecode(np.frombuffer(c, np.uint8), cv2.IMREAD_UNCHANGED)
        for codec, c in content.items()
    }
    assert shapes["jpeg-grey"].ndim == 2
    assert np.ptp(shapes["jpeg-colour"].astype(int), axis=2).mean() > 1


def test_the_same_runner_gives_the_same_scores(setting: Setting, found: dict[str, Any]) -> None:
    compare_scores(setting, found.__setitem__)
    assert found["agreement"]["largest_score_difference"] == 0
    assert found["agreement"]["decision_flips"] == 0
    assert found["alone_as_in_a_batch"]


def test_handover_is_equal_for_every_length(setting: Setting, found: dict[str, Any]) -> None:
    compare_handovers(setting, found.__setitem__)
    assert found["is_equal"]
    assert found["lengths"] == [4, 1, 2, 3]
    assert found["batches_in_a_row"] == 6


def test_a_handover_that_reads_other_pixels_is_noticed(setting: Setting, kit: Kit) -> None:
    batches = batches_of_lengths(files_of(setting, "given"), 2)
    with opened_decoder(kit, 2, 0.0) as decoder, opened_runner(kit, 2) as runner:
        expected, unequal = both_ways(kit, decoder, runner, batches)
        assert unequal == []
        swapped = [expected[1], expected[0]]
        assert in_a_row(decoder, runner, batches, swapped, 3) == (3, [0, 1, 2])
        ticks = iter([True, True, False])
        assert in_a_row(decoder, runner, batches, expected, 9, lambda: next(ticks)) == (2, [])


def test_ceilings_of_every_stage_on_the_cpu(setting: Setting, found: dict[str, Any]) -> None:
    measure(setting, found.__setitem__)
    assert found["copy_gib_per_s"] > 0
    for archive in ("given", "jpeg-1024", "png-1024"):
        limits = found[archive]["ceilings"]
        assert limits["least"] == min(limits[k] for k in ("read_and_gate", "decode", "network"))
        assert 0 < limits["shared"] < limits["least"]
        assert limits["copy_of_files"] > limits["copy_of_pixels"]


def test_files_fall_into_groups_by_codec_and_size(setting: Setting) -> None:
    many = files_of(setting, "given") * 8
    groups = groups_of(many)
    assert sum(map(len, groups.values())) == len(many)
    assert all(name.split()[0] in ("jpeg", "png") for name in groups)
    assert groups_of(files_of(setting, "given")[:3]) == {}


def test_the_best_share_is_the_fastest() -> None:
    rates = {"0": {"radiographs_per_s": 5.0}, "0.65": {"radiographs_per_s": 9.0}}
    assert best_of(rates) == ("0.65", 9.0)


def test_latency_grows_with_the_batch(setting: Setting, kit: Kit) -> None:
    pixels, _ = all_pixels(kit, files_of(setting, "jpeg-1024"), 0.0)
    figures = {}
    for batch in (1, 8):
        with opened_runner(kit, batch) as runner:
            figures[batch] = latencies(kit, runner, tiled(pixels, batch), True)
    for found in figures.values():
        assert found["device_ms"]["p50"] <= found["wall_ms"]["most"]  # type: ignore[index]
    # Eight times the work: even a busy machine takes longer than for one.
    assert figures[8]["wall_ms"]["least"] > figures[1]["wall_ms"]["least"]  # type: ignore[index]


def test_batches_hold_every_file_once_within_their_limits(setting: Setting) -> None:
    files = files_of(setting, "given")
    batches = batches_of_files(files, 4, 3_000_000)
    assert [file for batch in batches for file in batch] == files
    for batch in batches:
        assert 1 <= len(batch) <= 4
        assert len(batch) == 1 or load_of(batch).pixels <= 3_000_000


def test_links_repeat_the_files_evenly(setting: Setting, tmp_path: Path) -> None:
    files = files_of(setting, "png-1024")
    folder = linked(tmp_path / "links", files, 10)
    targets = Counter(path.resolve().name for path in folder.iterdir())
    assert sum(targets.values()) == 10
    assert max(targets.values()) - min(targets.values()) <= 1


def test_a_sweep_is_measured_with_its_memory(setting: Setting, tmp_path: Path) -> None:
    sweep_png(setting, Notes(tmp_path / "notes.json"))
    notes = json.loads((tmp_path / "notes.json").read_bytes())
    assert notes["counts"]["ok"] == 8
    assert notes["radiographs_per_s"] > 0
    assert notes["host_peak_mib"] > 100  # Python with DALI and OpenVINO
    assert notes["gpu_peak_mib"] is None


def test_efficiency_is_the_rate_over_each_limit() -> None:
    from cxrsweep.bench.gpu.end_to_end import Swept

    meter = {"pixels": 10e6, "wall_s": 2.0, "seconds": {}, "waits": {}}
    record = {"meter": meter, "counts": {}, "starts": [{}]}
    swept = Swept(90.0, 3.0, record, 500.0, None)
    figures = described_sweep(swept, {"least": 120.0, "shared": 100.0})
    assert (figures["E_least"], figures["E_shared"]) == (0.75, 0.9)
    assert figures["megapixels_per_s"] == 5


def test_a_sweep_gets_work_for_its_time_in_whole_batches() -> None:
    assert wanted_count(100.0, 20.0, 64) == 2048
    assert wanted_count(1.0, 20.0, 100) == 128
    assert wanted_count(1e9, 20.0, 1) == 60_000


def test_no_gpu_is_one_clear_error_and_writes_nothing(tmp_path: Path) -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    result = CliRunner().invoke(cxrsweep, ["bench", "gpu", "-o", str(tmp_path / "new" / "x.json")])
    assert result.exit_code == 1
    assert "there is no GPU to collect evidence on" in result.stderr
    if find_spec("pycuda") is None:
        assert "pycuda" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "Missing option '-o'"),
        (["-o", "x.json", "--minutes", "0"], "--minutes"),
        (["-o", "x.json", "--radiographs", "nowhere"], "does not exist"),
        (["-o", "x.json", "--only", "all"], "--only"),
    ],
)
def test_wrong_words_are_usage_errors(words: list[str], fault: str) -> None:
    result = CliRunner().invoke(cxrsweep, ["bench", "gpu", *words])
    assert (result.exit_code, fault in result.stderr) == (2, True)


def test_every_step_has_a_home() -> None:
    from importlib import import_module

    for step in STEPS:
        module, function = step.home.split(":")
        assert callable(getattr(import_module(module), function)), step.name
    assert len({step.name for step in STEPS}) == len(STEPS)


def test_a_rehearsal_on_the_cpu_writes_its_evidence(tmp_path: Path, setting: Setting) -> None:
    output = tmp_path / "evidence.json"
    words = ["--device", "cpu", "--quick", "--batch", "2", "--threads", "2"]
    words += ["--radiographs", str(setting.scratch / "given"), "--only", "environment"]
    result = CliRunner().invoke(cxrsweep, ["bench", "gpu", "-o", str(output), *words])
    assert result.exit_code == 0, result.output
    content = json.loads(output.read_bytes())
    statuses = {name: step["status"] for name, step in content["steps"].items()}
    assert statuses == {
        "environment": "ok",
        "files": "ok",
        "reference": "ok",
        "flavours": "skipped",
    }
    assert content["steps"]["files"]["result"]["source"] == "given"
    assert content["options"]["radiographs"] == "given"
    assert str(setting.scratch) not in output.read_text()
    assert "reference        ok" in result.stdout
    assert f"written to {output}" in result.stdout


def test_the_summary_of_a_step_that_ended_half_way_still_reads() -> None:
    half = {"status": "failed", "seconds": 1.0, "reason": "SIGABRT", "result": {"batch": 4}}
    text = described_evidence({"steps": {"ceilings": half}})
    assert "SIGABRT" in text
    assert "in part" in text


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="no NVIDIA GPU here")
def test_pixels_read_in_place_give_the_scores_of_a_copy(
    setting: Setting, found: dict[str, Any], tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(setting.bundle, tmp_path / "bundle")
    on_gpu = replace(setting, device="gpu", bundle=tmp_path / "bundle", ends=time.time() + 300)
    compare_handovers(on_gpu, found.__setitem__)
    assert found["is_equal"]


def test_the_cpu_kit_decodes_what_the_engine_decodes(setting: Setting, kit: Kit) -> None:
    assert isinstance(kit, CpuKit)
    files = files_of(setting, "png-1024")[:2]
    with opened_decoder(kit, 2, 0.0) as decoder:
        pixels = decoded(decoder, files).pixels
        assert kit.on_host(pixels) is not pixels
        assert kit.on_device(kit.on_host(pixels)).shape == (2, 1, 512, 512)  # type: ignore[union-attr]
