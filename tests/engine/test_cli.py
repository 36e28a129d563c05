from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cxrsweep.engine import Bundle
from cxrsweep.engine.cli import LazyGroup, cxrsweep

PROGRAM = Path(sys.executable).with_name("cxrsweep")


def commands_below(group: LazyGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, (home, _) in group.homes.items():
        module, attribute = home.split(":")
        command = getattr(import_module(module), attribute)
        below = (*path, name)
        found += commands_below(command, below) if isinstance(command, LazyGroup) else [below]
    return found


COMMANDS = commands_below(cxrsweep)  # type: ignore[arg-type]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_with_an_example(words: tuple[str, ...], flag: str) -> None:
    done = CliRunner().invoke(cxrsweep, [*words, flag])
    assert done.exit_code == 0
    assert "Example" in done.output
    examples = [line.strip() for line in done.output.split("Example")[1].splitlines()]
    assert any(line.startswith(" ".join(["cxrsweep", *words])) for line in examples)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is(words: tuple[str, ...]) -> None:
    context = click.Context(cxrsweep, **cxrsweep.context_settings)
    command: click.Command = cxrsweep
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command = found
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name


def test_help_imports_neither_dali_nor_openvino_nor_torch() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from cxrsweep.engine.cli import cxrsweep\n"
        "assert CliRunner().invoke(cxrsweep, ['--help']).exit_code == 0\n"
        "heavy = {'numpy', 'nvidia', 'openvino', 'torch', 'cv2', 'pydantic', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_is_the_packages() -> None:
    from importlib.metadata import version

    done = CliRunner().invoke(cxrsweep, ["--version"])
    assert version("cxrsweep") in done.output


def test_sweep_prints_results_on_stdout_and_progress_on_stderr(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["sweep", str(small_archive), "-b", str(demo_bundle.folder), "-o", str(run)]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    assert "12 radiographs = 12 ok + 0 failed" in done.stdout
    assert "bound by" in done.stdout
    assert "never a diagnosis" in done.stdout
    assert "sweeping 12 radiographs, 0 already done" in done.stderr
    assert "sweeping" not in done.stdout


def test_sweep_with_failures_ends_with_3_and_says_what_to_do(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    (small_archive / "x.txt").write_text("text")
    words = ["sweep", str(small_archive), "-b", str(demo_bundle.folder), "-o", str(tmp_path / "r")]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 3
    assert "NOT_AN_IMAGE 1: the content is no known image format" in done.stdout


def test_options_reach_the_sweep(small_archive: Path, demo_bundle: Bundle, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["sweep", str(small_archive), "-b", str(demo_bundle.folder), "-o", str(run)]
    words += ["--include", "*.png", "--exclude", "study-1/*", "--max-megapixels", "0.04"]
    words += ["--shard-size", "1", "--batch", "2", "--threads", "1"]
    done = CliRunner().invoke(cxrsweep, words)
    record = json.loads((run / "run.json").read_text())
    assert record["selection"] == {
        "include": ["*.png"],
        "exclude": ["study-1/*"],
        "hidden": False,
        "path_column": None,
        "id_column": None,
        "frames": "first",
        "view": "all",
        "id": "path",
    }
    assert record["limits"]["megapixels"] == 0.04
    assert record["shard_size"] == 1
    assert record["counts"]["failures"] == {"TOO_LARGE": 2}
    assert done.exit_code == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep", "nowhere", "-b", "nowhere", "-o", "run"], "is not a bundle"),
        (["inspect", "."], "neither a bundle"),
    ],
)
def test_errors_are_one_message_without_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_missing_arguments_are_usage_errors() -> None:
    assert CliRunner().invoke(cxrsweep, ["sweep"]).exit_code == 2
    assert CliRunner().invoke(cxrsweep, ["swep"]).exit_code == 2


def test_inspect_describes_a_bundle_and_a_run(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    (small_archive / "=bad, name.jpg").write_bytes(b"text")
    run = str(tmp_path / "run")
    bundle = str(demo_bundle.folder)
    CliRunner().invoke(cxrsweep, ["sweep", str(small_archive), "-b", bundle, "-o", run])
    about_run = CliRunner().invoke(cxrsweep, ["inspect", run]).stdout
    for words in ("finished", "13 indexed, 12 ok, 1 failed", "NOT_AN_IMAGE", "=bad, name.jpg"):
        assert words in about_run
    assert "killed" not in about_run
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record["status"], record["counts"] = "sweeping", {"indexed": 13}  # as a kill leaves it
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    about_killed = CliRunner().invoke(cxrsweep, ["inspect", run]).stdout
    assert "sweeping, or killed: start the same command again to go on" in about_killed
    assert "13 indexed, 12 ok, 1 failed" in about_killed
    about_bundle = CliRunner().invoke(cxrsweep, ["inspect", bundle]).stdout
    assert "normal, pneumonia, covid" in about_bundle


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, demo_recipe: Path) -> None:
    # As on a machine with the plain install: importing torch fails.
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("cxrsweep.export.")]:
        monkeypatch.delitem(sys.modules, name)
    done = CliRunner().invoke(cxrsweep, ["export", "onnx", str(demo_recipe), "-o", "x"])
    assert done.exit_code == 1
    assert "pip install -c constraints.txt '.[export]'" in done.stderr


def test_program_is_installed_and_runs(demo_bundle: Bundle) -> None:
    assert shutil.which(PROGRAM)
    done = subprocess.run(
        [PROGRAM, "inspect", demo_bundle.folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Bundle cxrsweep-demo")
    assert done.stderr == ""


def test_full_disk_is_one_message(
    small_archive: Path, demo_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxrsweep.engine.runs.run_folder import RunFolder

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "parts/000000.csv.partial")

    monkeypatch.setattr(RunFolder, "write_part", full)
    words = ["sweep", str(small_archive), "-b", str(demo_bundle.folder), "-o", str(tmp_path / "r")]
    done = CliRunner().invoke(cxrsweep, [*words, "--no-supervisor"])
    assert done.exit_code == 1
    assert "No space left on device: parts/000000.csv.partial; what was finished" in done.stderr
