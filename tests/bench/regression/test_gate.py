"""The gate on real revisions: this checkout as a repository of its own, with a slower commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrsweep.bench.regression.environments import working_tree
from cxrsweep.bench.results import Gate, read_result
from cxrsweep.engine.cli import cxrsweep

REPOSITORY = Path(__file__).resolve().parents[3]
FOLDERS = ("engine", "export", "bench")
FILES = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """This tree, committed once."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in FOLDERS:
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in FILES:
        shutil.copy(REPOSITORY / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "as it is")
    return folder


def gated(checkout: Path, seconds: int, json_file: Path, against: str = "HEAD") -> tuple[int, str]:
    words = ["bench", "gate", "--against", against, "--repository", str(checkout)]
    words += ["--seconds", str(seconds), "--json", str(json_file)]
    done = CliRunner().invoke(cxrsweep, words)
    return done.exit_code, done.output


@pytest.mark.slow
def test_a_stage_that_waits_is_named(checkout: Path, tmp_path: Path) -> None:
    lane = checkout / "engine" / "decode" / "fast_lane.py"
    text = lane.read_text(encoding="utf-8")
    first = "        if not carefully and all(is_fast(header) for header in headers):\n"
    assert first in text
    # As long as decoding itself: whatever else this machine does, it shows.
    wait = "        __import__('time').sleep(0.02 * len(contents))\n"
    lane.write_text(text.replace(first, wait + first), encoding="utf-8")
    code, output = gated(checkout, 15, tmp_path / "gate.json")
    assert code == 10, output
    found = read_result(tmp_path / "gate.json")
    assert isinstance(found, Gate)
    stages = {stage.name: stage for stage in found.stages}
    assert stages["decode"].verdict == "slower"
    assert stages["decode"].ratio > 1.2
    assert stages["network"].verdict != "slower"
    assert "slower: " in output
    assert "decode" in output.splitlines()[-1]


def test_an_unknown_revision_measures_nothing(checkout: Path, tmp_path: Path) -> None:
    code, output = gated(checkout, 10, tmp_path / "gate.json", against="no-such-revision")
    assert code == 12
    assert "no-such-revision" in output
    assert not (tmp_path / "gate.json").exists()


def test_outside_a_checkout_nothing_is_measured(tmp_path: Path) -> None:
    code, output = gated(tmp_path, 10, tmp_path / "gate.json")
    assert code == 12
    assert "git" in output


def test_the_new_revision_is_the_checkout_with_its_changes(checkout: Path, tmp_path: Path) -> None:
    (checkout / "engine" / "new.py").write_text("CHANGED = True\n")
    (checkout / ".gitignore").write_text("*.log\n")
    (checkout / "engine" / "noise.log").write_text("ignored")
    (checkout / "my-radiographs").mkdir()
    (checkout / "my-radiographs" / "a.jpg").write_text("somebody's")
    working_tree(checkout, tmp_path / "copy")
    assert (tmp_path / "copy" / "engine" / "new.py").read_text() == "CHANGED = True\n"
    assert not (tmp_path / "copy" / "engine" / "noise.log").exists()
    assert not (tmp_path / "copy" / "my-radiographs").exists()
