from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from tiny_bundle import SEGMENTER, write_recipe

from cxrsweep.engine import open_bundle, sweep
from cxrsweep.engine.bundle import FP16_GRAPH, FP32_GRAPH, Bundle
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import ExportError, ParityError, RecipeError
from cxrsweep.engine.recipe import recipe_from_toml
from cxrsweep.engine.runs.decisions import decisions_of
from cxrsweep.export import bundling
from cxrsweep.export.agreement import (
    _answers_of_onnxruntime,
    _answers_of_openvino,
    synthetic_probes,
)
from cxrsweep.export.bundling import bundle_from_recipe
from cxrsweep.export.trained import fused_from_recipe


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    folder = tmp_path_factory.mktemp("tiny")
    recipe = write_recipe(folder, 'equalise = "histogram"\nprobe = "background"')
    return recipe, bundle_from_recipe(recipe, folder / "bundle")


def test_bundle_is_whole_and_verified(tiny: tuple[Path, Bundle]) -> None:
    _, bundle = tiny
    assert sorted(path.name for path in bundle.folder.iterdir()) == [
        "bundle.json",
        FP16_GRAPH,
        FP32_GRAPH,
    ]
    assert set(bundle.manifest.source_weights) == {"classifier", "segmenter"}
    assert "weights" not in json.dumps(bundle.recipe.model_dump(exclude_none=True))
    assert bundle.manifest.tools["torch"] == torch.__version__


def test_graphs_have_one_uint8_input_with_a_dynamic_batch(tiny: tuple[Path, Bundle]) -> None:
    for name in (FP32_GRAPH, FP16_GRAPH):
        graph = onnx.load(tiny[1].path(name)).graph
        (radiographs,) = graph.input
        shape = radiographs.type.tensor_type.shape.dim
        assert radiographs.name == "radiographs"
        assert radiographs.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert shape[0].dim_param
        assert [dim.dim_value for dim in shape[1:]] == [1, 64, 64]
        outputs = {output.name: output.type.tensor_type.elem_type for output in graph.output}
        names = ["scores", "lung_box", "lung_fraction", "probe_scores"]
        assert outputs == dict.fromkeys(names, onnx.TensorProto.FLOAT)


def test_fp16_graph_convolves_in_fp16_and_samples_in_fp32(tiny: tuple[Path, Bundle]) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(tiny[1].path(FP16_GRAPH)))
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    types |= {v.name: v.type.tensor_type.elem_type for v in model.graph.output}
    kinds: dict[str, set[int]] = {}
    for node in model.graph.node:
        kinds.setdefault(node.op_type, set()).add(types[node.output[0]])
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert kinds["Conv"] == {half}
    assert kinds["GridSample"] == {single}
    assert kinds["Softmax"] == {single}
    assert kinds["Sigmoid"] == {single}


def test_opset_is_18_or_19_and_sampling_bilinear(tiny: tuple[Path, Bundle]) -> None:
    for name in (FP32_GRAPH, FP16_GRAPH):
        model = onnx.load(tiny[1].path(name))
        assert [o.version for o in model.opset_import if o.domain == ""] in ([18], [19])
        modes = {
            attribute.s
            for node in model.graph.node
            if node.op_type == "GridSample"
            for attribute in node.attribute
            if attribute.name == "mode"
        }
        assert modes == {b"bilinear"}


def test_runtimes_answer_like_torch_on_a_checkerboard(tiny: tuple[Path, Bundle]) -> None:
    recipe, bundle = tiny
    network = fused_from_recipe(recipe_from_toml(recipe), recipe.parent)
    # High frequencies: nearest-neighbour sampling would move every score.
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = np.stack([board, np.where(board > 0, 90, 30).astype(np.uint8)])[:, None]
    with torch.inference_mode():
        expected = [value.numpy() for value in network(torch.from_numpy(pixels))]
    for answer in (_answers_of_onnxruntime, _answers_of_openvino):
        found = answer(bundle.path(FP32_GRAPH), pixels)
        np.testing.assert_allclose(found.scores, expected[0], atol=1e-4)
        np.testing.assert_allclose(found.boxes, expected[1], atol=1 / 64)


def test_agreement_card_compares_three_times(tiny: tuple[Path, Bundle]) -> None:
    card = tiny[1].manifest.agreement
    assert card.radiographs == 24
    assert [(r.graph, r.runtime) for r in card.results] == [
        (FP32_GRAPH, "OpenVINO"),
        (FP32_GRAPH, "ONNX Runtime"),
        (FP16_GRAPH, "ONNX Runtime"),
    ]
    for result in card.results[:2]:
        assert result.largest_score_difference <= 1e-4
        assert result.largest_box_shift_px <= 1
    assert card.results[2].largest_score_difference > 0, "fp16 must differ a little"


def test_exported_bundle_sweeps(
    tiny: tuple[Path, Bundle], small_archive: Path, tmp_path: Path
) -> None:
    summary = sweep([small_archive], tiny[1], tmp_path / "run")
    assert (summary.ok, summary.failed) == (12, 0)
    header = (tmp_path / "run" / "results.csv").read_text().splitlines()[0]
    assert "one,two,one_background,two_background,x0" in header


@pytest.mark.parametrize(
    ("top", "segmenter", "activation"),
    [
        ("", "", "sigmoid"),
        ('fit = "letterbox"', SEGMENTER + "\n[crop]\nblackout = true\nsquare = true\n", "sigmoid"),
        ('fit = "centre-crop"\nshortest_side = 72', SEGMENTER.replace("32", "48"), "softmax"),
    ],
    ids=["no segmenter", "blackout, square, letterbox", "centre crop, uneven side"],
)
def test_variants_export_and_agree(
    tmp_path: Path, top: str, segmenter: str, activation: str
) -> None:
    recipe = write_recipe(tmp_path / "in", top, segmenter, activation)
    bundle = bundle_from_recipe(recipe, tmp_path / "bundle")
    assert all(r.largest_score_difference <= 1e-4 for r in bundle.manifest.agreement.results[:2])


def test_disagreement_fails_with_the_worst_radiograph_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "in")
    text = recipe.read_text() + "\n[agreement]\nfp16_score = 1e-9\n"
    recipe.write_text(text)
    with pytest.raises(ParityError, match=r"worst on synthetic-\d\d: a score differs by"):
        bundle_from_recipe(recipe, tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_given_radiographs_are_compared(tmp_path: Path, small_archive: Path) -> None:
    (small_archive / "notes.txt").write_text("not a radiograph")
    recipe = write_recipe(tmp_path / "in")
    bundle = bundle_from_recipe(recipe, tmp_path / "bundle", small_archive)
    assert bundle.manifest.agreement.source == "12 radiographs given"
    assert bundle.manifest.agreement.results[0].worst.startswith("study-")


def test_older_bundle_is_replaced_and_anything_else_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "in")
    bundle_from_recipe(recipe, tmp_path / "bundle")
    bundle_from_recipe(recipe, tmp_path / "bundle")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    with pytest.raises(ExportError, match="no part of a bundle"):
        bundle_from_recipe(recipe, other)
    assert (other / "thesis.tex").read_text() == "precious"


def test_wrong_number_of_labels_is_named(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text().replace('"one", "two"', '"one"'))
    with pytest.raises(ExportError, match=r"shape \(2, 2\).*labels names 1: one"):
        bundle_from_recipe(recipe, tmp_path / "bundle")


def test_wrong_channels_are_named(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text() + "channels = 3\n")
    with pytest.raises(ExportError, match="channels"):
        bundle_from_recipe(recipe, tmp_path / "bundle")


def test_command_exports_and_describes(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "in")
    words = ["export", "onnx", str(recipe), "-o", str(tmp_path / "bundle")]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    assert "Bundle tiny" in done.stdout
    assert "comparing them with PyTorch" in done.stderr
    assert open_bundle(tmp_path / "bundle").labels == ("one", "two")


def test_command_names_a_wrong_key(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "in", "sides = 3")
    words = ["export", "onnx", str(recipe), "-o", str(tmp_path / "bundle")]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 1
    assert "sides: unknown key" in done.stderr
    with pytest.raises(RecipeError):
        recipe_from_toml(recipe)


def test_decisions_follow_thresholds_or_the_highest_score(tmp_path: Path) -> None:
    recipe = recipe_from_toml(write_recipe(tmp_path))
    scores = np.array([[0.6, 0.4], [0.3, 0.7]], np.float32)
    assert decisions_of(recipe, scores).tolist() == [[True, False], [False, True]]
    by_threshold = recipe.model_copy(update={"thresholds": {"two": 0.35}})
    assert decisions_of(by_threshold, scores).tolist() == [[True, True], [False, True]]


def test_bundle_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "in")

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundling, "_write_manifest", full_disk)
    with pytest.raises(OSError, match="No space left"):
        bundle_from_recipe(recipe, tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_synthetic_probes_are_reproducible_and_differ(demo_recipe: Path) -> None:
    recipe = recipe_from_toml(demo_recipe)
    one, two = synthetic_probes(recipe, 3), synthetic_probes(recipe, 3)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert one.pixels.shape == (3, 1, 512, 512)
    assert len({pixels.tobytes() for pixels in one.pixels}) == 3


@pytest.mark.slow
def test_shipped_weights_export_to_the_shipped_scores(
    demo_recipe: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(demo_recipe.parent, folder, ignore=shutil.ignore_patterns("bundle"))
    bundle = bundle_from_recipe(folder / "recipe.toml", tmp_path / "bundle")
    assert bundle.recipe == demo_bundle.recipe
    assert bundle.manifest.source_weights == demo_bundle.manifest.source_weights
    pixels = synthetic_probes(bundle.recipe, 8).pixels
    for name, tolerance in ((FP32_GRAPH, 1e-6), (FP16_GRAPH, 1e-3)):
        # The same weights through the same exporter: only another CPU's sums may differ.
        new = _answers_of_onnxruntime(bundle.path(name), pixels)
        shipped = _answers_of_onnxruntime(demo_bundle.path(name), pixels)
        np.testing.assert_allclose(new.scores, shipped.scores, atol=tolerance)
        np.testing.assert_allclose(new.boxes, shipped.boxes, atol=1e-6)
