from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrsweep.bench.gpu.child import Notes, run_home
from cxrsweep.bench.gpu.evidence import Evidence, reason_of, results_of, without_paths
from cxrsweep.bench.gpu.setting import Note, Setting, StepSkipped, setting_from_json
from cxrsweep.bench.gpu.steps import Ended, Step, launched, run_steps
from cxrsweep.bench.spread import Load, percentile, rate_of, spread_of

# Modules that a step's own process can import, with a function for every way to end.
WAYS_TO_END = """
import os, time
from cxrsweep.bench.gpu.setting import StepSkipped

def well(setting, note):
    note("batch", setting.batch)

def badly(setting, note):
    note("before", 1)
    raise ValueError("no kernel in " + str(setting.scratch / "plan.bin"))

def not_here(setting, note):
    raise StepSkipped("torch is not installed")

def aborting(setting, note):
    note("before", 2)
    print("library says: invalid plan", flush=True)
    os.abort()

def hanging(setting, note):
    note("before", 3)
    time.sleep(60)
"""


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    nowhere = tmp_path / "bundle"
    return Setting(tmp_path, tmp_path / "x.json", nowhere, nowhere, None, "cpu", 4, 2)


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Step]:
    (tmp_path / "ways_to_end.py").write_text(WAYS_TO_END)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda way, most_s=30.0: Step(way, f"ways_to_end:{way}", most_s)


def soon(setting: Setting, seconds: float = 30) -> Setting:
    return replace(setting, ends=time.time() + seconds)


def test_a_step_that_fails_skips_or_dies_leaves_the_rest(
    setting: Setting, step: Callable[..., Step], tmp_path: Path
) -> None:
    evidence = Evidence(setting.evidence, {"command": "test"})
    ways = ["badly", "not_here", "aborting", "well"]
    run_steps([step(way) for way in ways], setting, evidence, time.time() + 60)
    steps = json.loads(setting.evidence.read_bytes())["steps"]
    statuses = {name: found["status"] for name, found in steps.items()}
    assert statuses == {
        "badly": "failed",
        "not_here": "skipped",
        "aborting": "failed",
        "well": "ok",
    }
    assert steps["badly"]["reason"] == "ValueError: no kernel in plan.bin"
    assert "ways_to_end.py" in steps["badly"]["trace"]
    assert steps["not_here"]["reason"] == "torch is not installed"
    assert "SIGABRT" in steps["aborting"]["reason"]
    assert "invalid plan" in steps["aborting"]["reason"]
    assert [steps[way]["result"] for way in ("badly", "aborting")] == [{"before": 1}, {"before": 2}]
    assert steps["well"]["result"] == {"batch": 4}
    assert str(tmp_path) not in setting.evidence.read_text()


def test_a_hanging_step_is_ended_and_keeps_what_it_found(
    setting: Setting, step: Callable[..., Step]
) -> None:
    start = time.perf_counter()
    ended = launched(step("hanging"), soon(setting, 3))
    assert time.perf_counter() - start < 20
    assert (ended.status, ended.notes) == ("failed", {"before": 3})
    assert "not done" in ended.reason


def test_steps_after_the_deadline_are_skipped(setting: Setting) -> None:
    now = [100.0]
    told: list[float] = []

    def launch(_: Step, given: Setting) -> Ended:
        told.append(given.ends)
        now[0] += 30
        return Ended("ok", {})

    evidence = Evidence(setting.evidence, {})
    steps = [Step("one", "", 50), Step("two", "", 50), Step("three", "", 50)]
    run_steps(steps, setting, evidence, 162.0, launch=launch, clock=lambda: now[0])
    found = evidence.content["steps"]
    assert told == [150, 162]  # its own limit, then the deadline
    assert [found[name]["status"] for name in ("one", "two", "three")] == ["ok", "ok", "skipped"]
    assert found["three"]["reason"] == "no time left"
    assert found["two"]["seconds"] == 30


def test_the_file_is_whole_after_every_step(setting: Setting) -> None:
    seen: list[dict[str, object]] = []

    def launch(_: Step, given: Setting) -> Ended:
        seen.append(json.loads(given.evidence.read_bytes())["steps"])
        assert not list(given.evidence.parent.glob("*.partial"))
        return Ended("ok", {"found": len(seen)})

    evidence = Evidence(setting.evidence, {"command": "test"})
    run_steps([Step("a", "", 9), Step("b", "", 9)], setting, evidence, time.time() + 60,
              launch=launch)  # fmt: skip
    assert [list(steps) for steps in seen] == [[], ["a"]]
    assert results_of(setting.evidence) == {"a": {"found": 1}, "b": {"found": 2}}
    assert json.loads(setting.evidence.read_bytes())["ended"]


def test_a_write_that_fails_leaves_the_file_as_it_was(setting: Setting) -> None:
    evidence = Evidence(setting.evidence, {})
    evidence.add("a", "ok", 1.0, result={"x": 1})
    before = setting.evidence.read_bytes()
    with pytest.raises(TypeError):
        evidence.add("b", "ok", 1.0, result={"x": object()})
    assert setting.evidence.read_bytes() == before
    assert not list(setting.evidence.parent.glob("*.partial"))


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("cannot open /a/b-c/plan.bin: no", "cannot open plan.bin: no"),
        ("'/x/y/z.py', line 3", "'z.py', line 3"),
        ("~/runs/one and ../other/two", "one and two"),
        ("5 images/s, read and/or write", "5 images/s, read and/or write"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("folder /x/y/", "folder y"),
    ],
)
def test_reasons_lose_paths_and_nothing_else(text: str, without: str) -> None:
    assert without_paths(text) == without


def test_the_first_error_is_named_where_closing_fails_too() -> None:
    try:
        try:
            raise ValueError("the kernel failed")
        finally:
            raise RuntimeError("cannot close")
    except RuntimeError as error:
        reason = reason_of(error)["reason"]
    assert reason == "ValueError: the kernel failed; then RuntimeError: cannot close"


def test_a_setting_survives_its_way_to_another_process(setting: Setting, tmp_path: Path) -> None:
    for given in (setting, replace(setting, radiographs=tmp_path, ends=5.5, quick=True)):
        assert setting_from_json(given.as_json()) == given


def test_a_step_in_this_process_notes_how_it_ended(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_: Setting, note: Note) -> None:
        note("a", 1)
        raise StepSkipped("nothing to do")

    monkeypatch.setattr("cxrsweep.bench.gpu.files.prepare", lacking)
    run_home("cxrsweep.bench.gpu.files:prepare", setting, Notes(tmp_path / "n.json"))
    noted = json.loads((tmp_path / "n.json").read_bytes())
    assert noted == {"a": 1, "": {"status": "skipped", "reason": "nothing to do", "trace": ""}}


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_percentiles_are_those_of_numpy(count: int, share: float) -> None:
    values = np.random.default_rng(count).normal(size=count)
    assert percentile(values.tolist(), share) == pytest.approx(np.quantile(values, share))


def test_spread_counts_and_orders() -> None:
    spread = spread_of([3.0, 1.0, 2.0])
    assert (spread["least"], spread["p50"], spread["most"], spread["count"]) == (1, 2, 3, 3)


def test_a_rate_is_of_the_passes_after_the_first() -> None:
    passes: list[int] = []
    rate = rate_of(Load(10, 20_000_000, 5_000_000), lambda: passes.append(1), 0.0)
    assert len(passes) == 1 + rate["passes"] == 2
    per_radiograph = rate["megapixels_per_s"] / rate["radiographs_per_s"]
    # Both are rounded to 0.01 of large numbers.
    assert per_radiograph == pytest.approx(2.0, rel=1e-3)
    assert rate["megabytes_per_s"] / rate["radiographs_per_s"] == pytest.approx(0.5, rel=1e-3)
