"""The bundle: what export writes and the engine reads; a folder in, a verified `Bundle` out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxrsweep.engine.errors import BundleError
from cxrsweep.engine.recipe import Recipe

SCHEMA_VERSION = 1
MANIFEST = "bundle.json"
FP32_GRAPH = "fused.fp32.onnx"
FP16_GRAPH = "fused.fp16.onnx"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BundleFile(_Strict):
    """Hash and size in bytes of one file of the bundle."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class GraphAgreement(_Strict):
    """How one exported graph compares with PyTorch in fp32.

    Attributes:
        graph, runtime: which file, executed by what.
        largest_score_difference: over all radiographs and labels.
        largest_box_shift_px: of a box side, in pixels of the S-sized radiograph.
        decision_flips: radiographs whose decision differs.
        worst: the radiograph with the largest score difference.
    """

    graph: str
    runtime: str
    largest_score_difference: float
    largest_box_shift_px: float
    decision_flips: int
    worst: str


class AgreementCard(_Strict):
    """What was compared, on how many radiographs, and the results."""

    radiographs: Annotated[int, Field(ge=1)]
    source: str
    results: list[GraphAgreement]


class BundleManifest(_Strict):
    """The content of bundle.json.

    Attributes:
        schema_version: of this file; another one is refused.
        recipe: without file names.
        files: name -> hash and size of every file beside bundle.json.
        source_weights: part of the recipe -> sha256 of the weights file it came from.
        tools: name -> version of what made the bundle.
        agreement: the agreement card.
    """

    schema_version: Literal[1] = 1
    recipe: Recipe
    files: dict[Annotated[str, Field(pattern=r"^[\w][\w.-]*$")], BundleFile]
    source_weights: dict[str, Sha256]
    tools: dict[str, str]
    agreement: AgreementCard


class Bundle:
    """A verified bundle folder.

    Attributes:
        folder: where it lies.
        manifest: the checked content of bundle.json.
        fingerprint: sha256 of the scoring parts (recipe and graph hashes), 64 hex digits.
    """

    def __init__(self, folder: Path, manifest: BundleManifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.fingerprint = fingerprint_of(manifest)

    @property
    def recipe(self) -> Recipe:
        """How pixels become network input."""
        return self.manifest.recipe

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the scores, in the order of the network's output."""
        return tuple(self.recipe.classifier.labels)

    def path(self, name: str) -> Path:
        """Path of one verified file.

        Raises:
            BundleError: the bundle has no such file.
        """
        if name not in self.manifest.files:
            held = ", ".join(sorted(self.manifest.files))
            raise BundleError(f"{self.folder} has no {name}; it holds {held}")
        return self.folder / name


def fingerprint_of(manifest: BundleManifest) -> str:
    """Hash what decides a score: recipe and graphs, not tool versions or the agreement card."""
    graphs = {name: file.sha256 for name, file in manifest.files.items() if name.endswith(".onnx")}
    core = {"recipe": manifest.recipe.model_dump(mode="json"), "graphs": graphs}
    return hashlib.sha256(json.dumps(core, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hash a file in pieces: 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_bundle(folder: str | Path) -> Bundle:
    """Read and verify a bundle: schema, then presence, size and sha256 of every file.

    Args:
        folder: holds bundle.json and the files it names.

    Returns:
        The verified bundle; nothing of it has been executed.

    Raises:
        BundleError: not a bundle, another schema, a missing or changed file.

    Example:
        >>> open_bundle("demo/bundle").labels  # doctest: +SKIP
        ('normal', 'pneumonia', 'covid')
    """
    folder = Path(folder)
    manifest = _manifest_from_json(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{folder}: {name} is missing; export the bundle again")
        size = path.stat().st_size
        if size != expected.size or file_sha256(path) != expected.sha256:
            raise BundleError(
                f"{path} is not the file that was exported ({size} bytes, expected {expected.size}"
                f" with sha256 {expected.sha256[:12]}...); copy or export the bundle again"
            )
    return Bundle(folder, manifest)


def _manifest_from_json(folder: Path) -> BundleManifest:
    path = folder / MANIFEST
    try:
        values: Mapping[str, Any] = json.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(
            f"{folder} is not a bundle: cannot read {MANIFEST} ({error.strerror});"
            " make one with `cxrsweep export onnx` or `cxrsweep demo`"
        ) from error
    except ValueError as error:
        raise BundleError(f"{path} is not JSON: {error}") from error
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {version!r}, this cxrsweep reads {SCHEMA_VERSION};"
            " export the bundle again"
        )
    try:
        return BundleManifest.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise BundleError(f"{path} is damaged at {where}: {fault['msg']}") from error
