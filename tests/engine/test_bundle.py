from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cxrsweep.engine.bundle import Bundle, fingerprint_of, open_bundle
from cxrsweep.engine.describe import described_bundle
from cxrsweep.engine.errors import BundleError


@pytest.fixture
def copied(demo_bundle: Bundle, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    shutil.copytree(demo_bundle.folder, folder)
    return folder


def test_copy_of_a_bundle_has_the_same_fingerprint(demo_bundle: Bundle, copied: Path) -> None:
    assert open_bundle(copied).fingerprint == demo_bundle.fingerprint


def test_changed_byte_is_noticed(copied: Path) -> None:
    graph = copied / "fused.fp32.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(BundleError, match=r"fused\.fp32\.onnx is not the file"):
        open_bundle(copied)


def test_missing_file_and_missing_folder_are_named(copied: Path) -> None:
    (copied / "fused.fp16.onnx").unlink()
    with pytest.raises(BundleError, match=r"fused\.fp16\.onnx is missing"):
        open_bundle(copied)
    with pytest.raises(BundleError, match="is not a bundle"):
        open_bundle(copied / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[]", "schema version None"), ('{"schema_version": 2}', "version 2")],
)
def test_foreign_manifests_are_refused(copied: Path, text: str, message: str) -> None:
    (copied / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=message):
        open_bundle(copied)


@pytest.mark.parametrize("name", ["../escape.onnx", "/etc/passwd", "a/b.onnx", ".hidden"])
def test_names_that_leave_the_folder_are_refused(copied: Path, name: str) -> None:
    values = json.loads((copied / "bundle.json").read_text())
    values["files"][name] = {"sha256": "0" * 64, "size": 1}
    (copied / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match="damaged at files"):
        open_bundle(copied)


def test_fingerprint_follows_recipe_and_graphs_but_not_tools(demo_bundle: Bundle) -> None:
    manifest = demo_bundle.manifest
    other_tools = manifest.model_copy(update={"tools": {"python": "0"}})
    assert fingerprint_of(other_tools) == demo_bundle.fingerprint
    other_recipe = manifest.recipe.model_copy(update={"side": 256})
    changed = manifest.model_copy(update={"recipe": other_recipe})
    assert fingerprint_of(changed) != demo_bundle.fingerprint


def test_description_has_labels_use_hashes_and_agreement(demo_bundle: Bundle) -> None:
    text = described_bundle(demo_bundle)
    for word in (*demo_bundle.labels, "never a diagnosis", "sha256", "decision flips", "Hannover"):
        assert word in text


def test_asking_for_a_file_that_is_not_there_lists_what_is(demo_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"it holds fused\.fp16\.onnx, fused\.fp32\.onnx"):
        demo_bundle.path("fused.int8.onnx")
