from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrsweep.engine import Bundle
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.hardware.device import plan_target
from cxrsweep.engine.plans.settings import Target

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
if plan_target() != Target():
    pytest.skip("tells what happens where no GPU is", allow_module_level=True)


@pytest.fixture
def folder(demo_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_bundle.folder, tmp_path / "bundle"))


def test_export_plan_prints_the_plan_and_says_how_it_was_built(folder: Path) -> None:
    words = ["export", "plan", str(folder), "--flavour", "tensorrt_rtx", "--batch", "4"]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.stderr
    plan = Path(done.stdout.strip())
    assert plan.parent == folder / "plans"
    sidecar = json.loads(plan.with_suffix(".json").read_text())
    assert sidecar["settings"]["batch"] == 4
    assert sidecar["size"] == plan.stat().st_size
    assert "57 of 57 convolutions and matrix products in fp16, GridSample in fp32" in done.stderr
    assert "for any GPU, batch 4" in done.stderr


def test_a_flavour_that_is_not_installed_is_named_with_how_to_get_it(folder: Path) -> None:
    done = CliRunner().invoke(cxrsweep, ["export", "plan", str(folder), "--flavour", "tensorrt"])
    assert done.exit_code == 1
    assert "No module named 'tensorrt'" in done.stderr
    assert "pip install '.[gpu]'" in done.stderr
    assert not (folder / "plans").exists()


def test_a_damaged_bundle_gets_no_plan(folder: Path) -> None:
    graph = folder / "fused.fp16.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    done = CliRunner().invoke(cxrsweep, ["export", "plan", str(folder)])
    assert done.exit_code == 1
    assert "is not the file that was exported" in done.stderr
    assert not (folder / "plans").exists()


def test_inspect_tells_the_plans_of_a_bundle(folder: Path) -> None:
    words = ["export", "plan", str(folder), "--flavour", "tensorrt_rtx", "--batch", "2"]
    assert CliRunner().invoke(cxrsweep, words).exit_code == 0
    shown = CliRunner().invoke(cxrsweep, ["inspect", str(folder)]).stdout
    assert "batch 2, tensorrt_rtx" in shown
    assert "57 of 57 convolutions" in shown


def test_sweep_on_a_gpu_that_is_not_there_writes_nothing(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["sweep", str(folder), "-b", str(folder), "-o", str(run), "--device", "gpu:0"]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 1
    assert "--device gpu:0: no NVIDIA driver here" in done.stderr
    assert "cxrsweep doctor" in done.stderr
    assert not run.exists()
