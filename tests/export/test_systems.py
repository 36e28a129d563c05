"""The shipped recipes of published systems: their pixels, and the way to a swept table."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from cxrsweep.engine import open_bundle, sweep
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import ExportError
from cxrsweep.engine.hardware.device import plan_target
from cxrsweep.engine.plans.settings import Target
from cxrsweep.engine.recipe import Recipe, recipe_from_toml
from cxrsweep.export.agreement import Probes, probes_from_folder, synthetic_probes
from cxrsweep.export.bundling import bundle_from_recipe
from cxrsweep.export.checkpoint import _built_network, trained_network
from cxrsweep.export.fuse import FusedNetwork
from cxrsweep.export.trained import fused_from_recipe

Uint8 = NDArray[np.uint8]
SHIPPED = ("tartaglione", "tartaglione-crop", "moscato", "torchxrayvision", "monai-densenet121")


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[[str], Path]:
    """A shipped recipe in a folder of its own, beside the demonstration's segmenter."""

    def copied(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        package = files("cxrsweep.export")
        with as_file(package.joinpath("systems", f"{name}.toml")) as path:
            shutil.copy(path, folder / "recipe.toml")
        with as_file(package.joinpath("demo", "weights", "segmenter.safetensors")) as path:
            shutil.copy(path, folder)
        return folder / "recipe.toml"

    return copied


@pytest.fixture(scope="session")
def twenty(real_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty real radiographs: every fifth of the archive."""
    folder = tmp_path_factory.mktemp("twenty")
    for path in sorted((real_archive / "images").iterdir())[::5][:20]:
        (folder / path.name).symlink_to(path)
    assert len(list(folder.iterdir())) == 20
    return folder


@pytest.fixture
def with_negatives(small_archive: Path) -> Path:
    """Twelve files, of which those with odd numbers show their radiograph as a negative."""
    for path in small_archive.rglob("*.*"):
        if int(path.stem) % 2:
            assert cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return small_archive


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_valid(recipe_file: Callable[[str], Path], name: str) -> None:
    recipe = recipe_from_toml(recipe_file(name))
    assert "never a diagnosis" in recipe.intended_use
    if name != "monai-densenet121":
        assert set(recipe.thresholds) == set(recipe.classifier.labels)


def published_greys(folder: Path, probes: Probes, swapped: bool) -> list[Uint8]:
    """Grey and equalised at full size, in the order of `probes`.

    Args:
        folder: of the radiographs.
        probes: names them.
        swapped: as Moscato's tool, which takes red for blue and blue for red.
    """
    greys = []
    for name in probes.names:
        image = Image.open(folder / name)
        if swapped:
            grey = cv2.cvtColor(np.array(image.convert("RGB")), cv2.COLOR_BGR2GRAY)
        else:
            grey = np.array(image.convert("L"))
        greys.append(np.asarray(cv2.equalizeHist(grey), np.uint8))
    return greys


def resized_and_cropped(grey: Uint8) -> Uint8:
    """Shortest side to 256 and the middle 224 x 224, as torchvision counts pixels."""
    height, width = grey.shape
    size = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    small = np.array(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
    top, left = round((size[1] - 224) / 2), round((size[0] - 224) / 2)
    return small[top : top + 224, left : left + 224]


def assert_equal_greys(found: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    """Hold each radiograph to 2 grey levels on average and 6 in 99 of 100 pixels."""
    difference = np.abs(found - expected)
    assert difference.mean((1, 2)).max() <= 2
    assert (difference <= 6).mean((1, 2)).min() >= 0.99


def test_pixels_of_moscato_are_those_of_its_tool(
    recipe_file: Callable[[str], Path], twenty: Path
) -> None:
    probes = probes_from_folder(recipe_from_toml(recipe_file("moscato")), twenty)
    greys = published_greys(twenty, probes, swapped=True)
    expected = np.stack([cv2.resize(grey, (200, 200)) for grey in greys])
    assert_equal_greys(probes.pixels[:, 0].astype(float), expected.astype(float))


class Kept(nn.Module):
    """A classifier that remembers its input."""

    def forward(self, radiographs: Tensor) -> Tensor:
        self.seen = radiographs
        return radiographs.mean((2, 3))


def test_pixels_of_tartaglione_are_equalised_fitted_and_black_outside_the_lungs(
    recipe_file: Callable[[str], Path], twenty: Path
) -> None:
    path = recipe_file("tartaglione")
    recipe = recipe_from_toml(path)
    probes = probes_from_folder(recipe, twenty)
    greys = published_greys(twenty, probes, swapped=False)
    expected = np.stack([resized_and_cropped(grey) for grey in greys])
    assert_equal_greys(probes.pixels[:, 0].astype(float), expected.astype(float))
    assert recipe.segmenter is not None
    segmenter = trained_network(recipe.segmenter, "segmenter", path.parent)
    kept = Kept()
    with torch.inference_mode():
        FusedNetwork(recipe, kept, segmenter).eval()(torch.from_numpy(probes.pixels))
        planes = (torch.from_numpy(expected)[:, None].float() / 255 - 0.5) / 0.25
        lungs = (segmenter(planes)[:, 0] > 0).numpy().astype(np.uint8)
    # Beyond the edge OpenCV's opening takes everything for lung and nothing, as pooling does.
    opened = [cv2.morphologyEx(m, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) for m in lungs]
    seen = (kept.seen[:, 0].numpy() * recipe.classifier.std + recipe.classifier.mean) * 255
    assert 0.1 < np.mean(opened) < 0.9
    assert_equal_greys(seen, expected * np.stack(opened).astype(float))


def write_weights(path: Path, classifier: nn.Module) -> None:
    """Where and how the recipe at `path` wants them."""
    weights = path.parent / str(recipe_from_toml(path).classifier.weights)
    state = {key: tensor.contiguous() for key, tensor in classifier.state_dict().items()}
    if weights.suffix == ".safetensors":
        save_file(state, weights)
    else:
        torch.save({"epoch": 0, "model": state}, weights)


def write_brief_weights(path: Path, probes: Probes) -> None:
    """Weights trained as little as the agreement needs: random ones score everything alike.

    The norms fit the radiographs, and the linear layers learn to give negatives 0.65 and others
    0.35: scores then lie on both sides of the threshold, and none is saturated.
    """
    torch.manual_seed(0)
    recipe = recipe_from_toml(path)
    classifier = _built_network(recipe.classifier, "classifier", path.parent)
    segmenter = None
    if recipe.segmenter:
        segmenter = trained_network(recipe.segmenter, "segmenter", path.parent)
    kept = Kept()
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    linears = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    features: list[Tensor] = []
    with torch.no_grad():
        FusedNetwork(recipe, kept, segmenter).eval()(torch.from_numpy(probes.pixels))
        for norm in norms:
            norm.momentum = None  # the mean over all that is seen
        classifier.train()(kept.seen)
        hook = linears[0].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        classifier.eval()(kept.seen)
        hook.remove()
    wanted = torch.tensor([[0.65] if int(Path(n).stem) % 2 else [0.35] for n in probes.names])
    optimiser = torch.optim.Adam([p for layer in linears for p in layer.parameters()], 1e-3)
    for _ in range(60):
        logits = features[0]
        for number, layer in enumerate(linears):
            logits = layer(logits.relu() if number else logits)
        loss = F.binary_cross_entropy_with_logits(logits, wanted.expand_as(logits))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (logits > 0).any()
    assert (logits < 0).any()
    write_weights(path, classifier)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tartaglione", "moscato"])
def test_published_systems_export_plan_and_sweep(
    recipe_file: Callable[[str], Path], with_negatives: Path, tmp_path: Path, name: str
) -> None:
    path = recipe_file(name)
    recipe = recipe_from_toml(path)
    write_brief_weights(path, probes_from_folder(recipe, with_negatives))
    bundle = bundle_from_recipe(path, tmp_path / "bundle", with_negatives)
    for result in bundle.manifest.agreement.results:
        assert result.decision_flips == 0
        if result.graph == "fused.fp32.onnx":
            assert result.largest_score_difference <= 1e-4
    summary = sweep([with_negatives], bundle, tmp_path / "run")
    assert (summary.ok, summary.failed) == (12, 0)
    lines = (tmp_path / "run" / "results.csv").read_text().splitlines()
    assert lines[0].startswith("radiograph,status,error,covid,covid_flag,")
    for radiograph, _, _, score, flag in (line.split(",")[:5] for line in lines[1:]):
        assert int(flag) == int(Path(radiograph).stem) % 2
        assert 0.05 < float(score) < 0.95, "a saturated score would hide a difference"
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    if plan_target() == Target():
        words = ["export", "plan", str(bundle.folder), "--flavour", "tensorrt_rtx", "--batch", "4"]
        done = CliRunner().invoke(cxrsweep, words)
        assert done.exit_code == 0, done.stderr
        assert Path(done.stdout.strip()).stat().st_size > 0
        count = {"moscato": "6 of 6", "tartaglione": "58 of 58"}[name]
        assert f"{count} convolutions and matrix products in fp16" in done.stderr
    assert open_bundle(bundle.folder).recipe.name == recipe.name


@pytest.mark.parametrize("name", ["tartaglione-crop", "monai-densenet121"])
def test_recipes_that_crop_load_and_run(recipe_file: Callable[[str], Path], name: str) -> None:
    path = recipe_file(name)
    recipe = recipe_from_toml(path)
    probes = synthetic_probes(recipe, 4)
    write_weights(path, _built_network(recipe.classifier, "classifier", path.parent))
    fused = fused_from_recipe(recipe, path.parent)  # raises where the labels do not come out
    with torch.inference_mode():
        scores, boxes, fractions = fused(torch.from_numpy(probes.pixels))[:3]
    assert scores.shape == (4, len(recipe.classifier.labels))
    assert ((boxes[:, 2:] - boxes[:, :2]).prod(1) < 0.9).all(), "the lungs were found"
    assert ((fractions > 0.1) & (fractions < 0.7)).all()


def test_missing_torchxrayvision_is_named_with_how_to_get_it(
    recipe_file: Callable[[str], Path],
) -> None:
    path = recipe_file("torchxrayvision")
    recipe: Recipe = recipe_from_toml(path)
    assert len(recipe.classifier.labels) == 18
    try:
        import torchxrayvision  # noqa: F401
    except ImportError:
        save_file({"w": torch.zeros(1)}, path.parent / str(recipe.classifier.weights))
        with pytest.raises(ExportError) as error:
            fused_from_recipe(recipe, path.parent)
        assert "cannot import 'torchxrayvision.models'" in str(error.value)
        assert "pip install torchxrayvision" in str(error.value)
    else:
        network = _built_network(recipe.classifier, "classifier", path.parent)
        save_file(network.state_dict(), path.parent / str(recipe.classifier.weights))
        assert trained_network(recipe.classifier, "classifier", path.parent) is not None


def test_moscato_has_about_five_million_parameters(recipe_file: Callable[[str], Path]) -> None:
    path = recipe_file("moscato")
    recipe = recipe_from_toml(path)
    network = _built_network(recipe.classifier, "classifier", path.parent)
    save_file(network.state_dict(), path.parent / "classifier.safetensors")
    tensors = load_file(path.parent / "classifier.safetensors")
    assert sum(tensor.numel() for tensor in tensors.values()) == pytest.approx(5e6, rel=0.02)
    assert fused_from_recipe(recipe, path.parent).output_names == ["scores"]
