"""Plans on the disk: kept whole or not at all, opened only if they are what was built."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from cxrsweep.engine import Bundle, open_bundle
from cxrsweep.engine.errors import PlanError, PlanMismatchError
from cxrsweep.engine.plans.building import BuiltPlan
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.ready import build_plan, ready_plan
from cxrsweep.engine.plans.settings import PlanSettings, Target, plan_identity, plan_key
from cxrsweep.engine.plans.store import PlanStore

H200 = Target("9.0", "NVIDIA H200")


def built(content: bytes = b"plan", cache: bytes = b"") -> BuiltPlan:
    return BuiltPlan(content, cache, 1.25, {"CONVOLUTION": {"HALF": 3}})


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("plans/*"))}


@pytest.fixture
def bundle(demo_bundle: Bundle, tmp_path: Path) -> Bundle:
    return open_bundle(shutil.copytree(demo_bundle.folder, tmp_path / "bundle"))


@pytest.fixture
def store(bundle: Bundle) -> PlanStore:
    return PlanStore(bundle)


@pytest.fixture
def full() -> Flavour:
    """Says it is the full TensorRT; nothing is built with it here."""
    return Flavour("tensorrt", "11.4.0.106", None)


def test_a_kept_plan_opens_as_it_was_built(store: PlanStore, full: Flavour) -> None:
    kept = store.keep(built(b"abc"), full, H200, PlanSettings(batch=8))
    opened = store.opened(full, H200)
    assert opened == kept
    assert opened.content == b"abc"
    assert opened.sidecar.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert opened.sidecar.settings == PlanSettings(batch=8)
    assert opened.sidecar.precision == {"CONVOLUTION": {"HALF": 3}}


def test_the_bundle_still_verifies_with_plans_in_it(store: PlanStore, full: Flavour) -> None:
    plan = store.keep(built(), full, H200, PlanSettings())
    assert open_bundle(plan.path.parent.parent).labels


@pytest.mark.parametrize(
    ("flavour", "target", "batch", "words"),
    [
        (
            Flavour("tensorrt", "11.3.0.1", None),
            H200,
            None,
            "version was 11.4.0.106, here 11.3.0.1",
        ),
        (
            Flavour("tensorrt_rtx", "11.4.0.106", None),
            H200,
            None,
            "flavour was tensorrt, here tensorrt_rtx",
        ),
        (None, Target("9.0", "NVIDIA H100"), None, "gpu was NVIDIA H200, here NVIDIA H100"),
        (None, H200, 32, "batch was 64, here 32"),
    ],
)
def test_a_foreign_plan_is_refused_with_the_difference_in_one_line(
    store: PlanStore,
    full: Flavour,
    flavour: Flavour | None,
    target: Target,
    batch: int | None,
    words: str,
) -> None:
    store.keep(built(), full, H200, PlanSettings())
    with pytest.raises(PlanMismatchError) as refusal:
        store.opened(flavour or full, target, batch)
    assert str(refusal.value) == f"no plan fits; in the nearest {words}"


def test_a_plan_of_another_graph_does_not_fit(
    bundle: Bundle, store: PlanStore, full: Flavour
) -> None:
    store.keep(built(), full, H200, PlanSettings())
    graph = bundle.folder / "fused.fp16.onnx"
    graph.write_bytes(graph.read_bytes() + b"\x0a\x00")
    manifest = json.loads((bundle.folder / "bundle.json").read_text())
    manifest["files"]["fused.fp16.onnx"] = {
        "sha256": hashlib.sha256(graph.read_bytes()).hexdigest(),
        "size": graph.stat().st_size,
    }
    (bundle.folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(PlanMismatchError, match="graph was"):
        PlanStore(open_bundle(bundle.folder)).opened(full, H200)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "sidecar", "no sidecar", "no plan"])
def test_a_damaged_plan_is_never_given_out(store: PlanStore, full: Flavour, damage: str) -> None:
    plan = store.keep(built(b"a" * 100), full, H200, PlanSettings()).path
    changes = {"flipped": b"a" * 99 + b"b", "cut": b"a" * 99, "empty": b""}
    if damage in changes:
        plan.write_bytes(changes[damage])
    elif damage == "sidecar":
        plan.with_suffix(".json").write_text("{}")
    elif damage == "no sidecar":
        plan.with_suffix(".json").unlink()
    else:
        plan.unlink()
    with pytest.raises(PlanMismatchError):
        store.opened(full, H200)


def test_of_several_the_plan_that_was_built_hardest_is_taken(
    store: PlanStore, full: Flavour
) -> None:
    for level in (3, 5, 1):
        store.keep(built(b"%d" % level), full, H200, PlanSettings(optimization_level=level))
    assert store.opened(full, H200).content == b"5"
    assert len(store.sidecars()) == 3


def test_every_part_of_what_it_is_built_for_changes_the_key(full: Flavour) -> None:
    settings = PlanSettings()
    keys = [plan_key(plan_identity("0" * 64, full, H200), settings)]
    for graph, flavour, target in (
        ("1" * 64, full, H200),
        ("0" * 64, Flavour("tensorrt_rtx", full.version, None), H200),
        ("0" * 64, Flavour("tensorrt", "11.4.0.107", None), H200),
        ("0" * 64, full, Target("9.1", H200.gpu)),
        ("0" * 64, full, Target("9.0", "another")),
    ):
        keys.append(plan_key(plan_identity(graph, flavour, target), settings))
    for field in dataclasses.fields(PlanSettings):
        value = getattr(settings, field.name)
        changed = f"{value}SM80" if isinstance(value, str) else value + 1
        changed = not value if isinstance(value, bool) else changed
        other = dataclasses.replace(settings, **{field.name: changed})
        keys.append(plan_key(plan_identity("0" * 64, full, H200), other))
    assert len(set(keys)) == len(keys) == 12


def test_timing_cache_is_kept_by_version_and_gpu(store: PlanStore, full: Flavour) -> None:
    assert store.timing_cache(full, H200) == b""
    store.keep(built(cache=b"timings"), full, H200, PlanSettings())
    assert store.timing_cache(full, H200) == b"timings"
    assert store.timing_cache(full, Target("9.0", "another")) == b""
    assert store.timing_cache(dataclasses.replace(full, version="11.5"), H200) == b""


def test_a_full_disk_leaves_the_bundle_as_it_was(
    bundle: Bundle, full: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PlanStore(bundle)
    store.keep(built(b"old"), full, H200, PlanSettings())
    before = files_in(bundle.folder)

    def full_disk(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(PlanError, match="No space left on device; the bundle is as it was"):
        store.keep(built(b"new"), full, H200, PlanSettings())
    assert files_in(bundle.folder) == before


def test_a_disk_that_is_really_full_leaves_no_partial_file(
    bundle: Bundle, full: Flavour, tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    store = PlanStore(bundle)
    (bundle.folder / "plans").mkdir()
    key = plan_key(
        plan_identity(bundle.manifest.files["fused.fp16.onnx"].sha256, full, H200), PlanSettings()
    )
    (bundle.folder / "plans" / f"{key}.plan.partial").symlink_to("/dev/full")
    with pytest.raises(PlanError, match="No space left"):
        store.keep(built(b"x" * 100_000), full, H200, PlanSettings())
    assert files_in(bundle.folder) == {}


def test_an_unwritable_bundle_is_known_before_the_build(bundle: Bundle, rtx: Flavour) -> None:
    (bundle.folder / "plans").write_text("in the way of the folder")
    lines: list[str] = []
    with pytest.raises(PlanError, match=r"cannot keep a plan in .*plans"):
        build_plan(bundle, rtx, Target(), PlanSettings(batch=1), lines.append)
    assert lines == []


def test_a_mismatch_is_told_and_the_plan_is_built_anew(bundle: Bundle, rtx: Flavour) -> None:
    plan = build_plan(bundle, rtx, Target(), PlanSettings(batch=2))
    whole = plan.path.read_bytes()
    plan.path.write_bytes(whole[:-1])
    lines: list[str] = []
    again = ready_plan(bundle, rtx, Target(), 2, say=lines.append)
    assert f"{plan.path.name} is not the file that was built" in lines[0]
    assert again.content == again.path.read_bytes()
    assert len(again.content) > 1_000_000


def test_no_build_refuses_with_the_command_that_builds(bundle: Bundle, rtx: Flavour) -> None:
    with pytest.raises(PlanMismatchError, match=r"has no plan yet; .*cxrsweep export plan"):
        ready_plan(bundle, rtx, H200, may_build=False)


def test_a_plan_made_without_a_gpu_serves_any(bundle: Bundle, rtx: Flavour) -> None:
    portable = build_plan(bundle, rtx, Target(), PlanSettings(batch=2))
    assert ready_plan(bundle, rtx, H200, may_build=False).path == portable.path


def test_the_full_tensorrt_does_not_build_without_a_gpu(bundle: Bundle, full: Flavour) -> None:
    with pytest.raises(PlanError, match="builds only on the GPU"):
        build_plan(bundle, full, Target(), PlanSettings())
