"""What several tests need: real radiographs if at hand, the shipped bundle, small files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cxrsweep.engine import Bundle, open_bundle
from cxrsweep.engine.recipe import Recipe, recipe_from_mapping
from cxrsweep.export.synthetic import phantom

REPOSITORY = Path(__file__).resolve().parent.parent
REAL = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_archive() -> Path:
    """100 untouched radiographs: JPEG and PNG, grey and RGB, 0.05 to 12 megapixels."""
    folder = REAL / "archive"
    if not folder.is_dir():
        pytest.skip(f"no real radiographs at {folder}")
    return folder


@pytest.fixture(scope="session")
def demo_bundle() -> Iterator[Bundle]:
    with as_file(files("cxrsweep.export.demo").joinpath("bundle")) as folder:
        yield open_bundle(folder)


@pytest.fixture(scope="session")
def light_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of tiny networks: for what does not ask whether scores mean anything."""
    from tiny_bundle import write_recipe

    from cxrsweep.export.bundling import bundle_from_recipe

    folder = tmp_path_factory.mktemp("light")
    recipe = write_recipe(folder, 'equalise = "histogram"')
    return bundle_from_recipe(recipe, folder / "bundle")


@pytest.fixture(scope="session")
def demo_recipe() -> Path:
    return REPOSITORY / "export" / "demo" / "recipe.toml"


@pytest.fixture
def recipe_with() -> Callable[..., Recipe]:
    """A recipe without segmenter, with some keys changed."""

    def build(**changes: object) -> Recipe:
        values: dict[str, object] = {
            "name": "test",
            "side": 64,
            "classifier": {"side": 64, "labels": ["covid"]},
        }
        return recipe_from_mapping({**values, **changes}, "test recipe")

    return build


@pytest.fixture(scope="session")
def grey() -> NDArray[np.uint8]:
    """A synthetic radiograph, (300, 260) uint8."""
    return phantom(260, 300, np.random.default_rng(7)).pixels


@pytest.fixture(scope="session")
def encoded(grey: NDArray[np.uint8]) -> Callable[..., bytes]:
    """The synthetic radiograph as a file of some format."""

    def encode(ending: str, pixels: NDArray[np.uint8] | None = None) -> bytes:
        done, content = cv2.imencode(ending, grey if pixels is None else pixels)
        assert done
        return bytes(content)

    return encode


def write_small_archive(folder: Path, encoded: Callable[..., bytes]) -> Path:
    """Twelve whole files of four formats in two folders."""
    for number in range(12):
        ending = (".jpg", ".png", ".bmp", ".tiff")[number % 4]
        pixels = phantom(200 + 10 * number, 220, np.random.default_rng(number)).pixels
        path = folder / f"study-{number // 6}" / f"{number:02d}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(ending, pixels))
    return folder


@pytest.fixture
def small_archive(tmp_path: Path, encoded: Callable[..., bytes]) -> Path:
    """Twelve whole files of four formats in two folders."""
    return write_small_archive(tmp_path / "archive", encoded)


@pytest.fixture(scope="module")
def encoded_archive(
    tmp_path_factory: pytest.TempPathFactory, encoded: Callable[..., bytes]
) -> Path:
    """The same, for all tests of a module."""
    return write_small_archive(tmp_path_factory.mktemp("archive") / "archive", encoded)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-rounds", type=int, default=2, help="of killed sweeps, per test")


@pytest.fixture(scope="session")
def chaos_rounds(pytestconfig: pytest.Config) -> int:
    rounds: int = pytestconfig.getoption("--chaos-rounds")
    return rounds
