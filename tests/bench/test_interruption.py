"""Real signals to real commands: no process, no temporary folder and no half archive is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrsweep.bench.phantom_archive import PARTIAL
from cxrsweep.engine.cli import cxrsweep

PROGRAM = [sys.executable, "-c", "from cxrsweep.engine.cli import main; main()"]
REPOSITORY = Path(__file__).resolve().parents[2]
MANY = ("--count", "5000", "--size", "900x900")


@dataclass
class Started:
    """A command in a session of its own, by which all that it starts can be found again."""

    process: subprocess.Popen[str]
    temporary: Path

    def members(self) -> list[int]:
        """Living processes of the session."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended while it was looked at
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.process.pid and state not in "ZX":
                    found.append(int(folder.name))
        return found

    def wait_until(self, has_come: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not has_come():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def left(self) -> tuple[list[int], list[Path]]:
        """Processes and temporary files a moment after the end; the kernel ends some by itself."""
        deadline = time.monotonic() + 20
        while self.members() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.members(), list(self.temporary.iterdir())


def started(tmp_path: Path, *words: str) -> Started:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "bench", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    return Started(process, temporary)


def has_files(folder: Path) -> bool:
    return any(folder.rglob("*.jpg"))


def press_ctrl_c(command: Started) -> None:
    """As a terminal does: to every process of the group in front."""
    os.killpg(command.process.pid, signal.SIGINT)


def press_it_twice(command: Started) -> None:
    press_ctrl_c(command)
    time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        press_ctrl_c(command)


def terminate(command: Started) -> None:
    command.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("interrupt", [press_ctrl_c, press_it_twice, terminate])
def test_interrupted_phantoms_leave_nothing(
    tmp_path: Path, interrupt: Callable[[Started], None]
) -> None:
    archive = tmp_path / "archive"
    command = started(tmp_path, "phantoms", "-o", str(archive), *MANY)
    command.wait_until(lambda: has_files(archive))
    interrupt(command)
    _, errors = command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert "Aborted!" in errors
    assert "Traceback" not in errors
    assert command.left() == ([], [])
    assert not archive.exists()


def test_a_folder_that_was_there_stays_and_is_empty_again(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    command = started(tmp_path, "phantoms", "-o", str(archive), *MANY)
    command.wait_until(lambda: has_files(archive))
    terminate(command)
    command.process.communicate(timeout=60)
    assert command.left() == ([], [])
    assert list(archive.iterdir()) == []


def test_killed_phantoms_look_like_none_and_the_next_run_says_how_to_go_on(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    command = started(tmp_path, "phantoms", "-o", str(archive), *MANY)
    command.wait_until(lambda: has_files(archive))
    command.process.kill()
    command.process.communicate(timeout=60)
    assert command.left()[0] == []
    # Names that begin with a dot are no files of an archive.
    assert [path.name for path in archive.iterdir()] == [PARTIAL]
    words = ["bench", "phantoms", "-o", str(archive), "--count", "1", "--size", "64x48"]
    again = CliRunner().invoke(cxrsweep, words)
    assert again.exit_code == 1
    assert f"remove {archive / PARTIAL} and start again" in again.output


def gate(tmp_path: Path) -> Started:
    if not (shutil.which("git") and (REPOSITORY / ".git").exists()):
        pytest.skip("no git checkout to take revisions from")
    words = ("gate", "--against", "HEAD", "--repository", str(REPOSITORY), "--seconds", "60")
    return started(tmp_path, *words)


def runs(command: Started, word: bytes) -> int:
    """Processes of the command with a word in their own."""
    count = 0
    for member in command.members():
        with contextlib.suppress(OSError):
            count += word in Path(f"/proc/{member}/cmdline").read_bytes()
    return count


@pytest.mark.parametrize("interrupt", [press_ctrl_c, terminate])
def test_a_gate_interrupted_while_it_installs_leaves_nothing(
    tmp_path: Path, interrupt: Callable[[Started], None]
) -> None:
    command = gate(tmp_path)
    command.wait_until(lambda: runs(command, b"\0install\0") > 0)
    time.sleep(1.5)  # pip starts processes of its own and makes folders
    interrupt(command)
    command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert command.left() == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", [press_it_twice, terminate])
def test_a_gate_interrupted_while_it_measures_leaves_nothing(
    tmp_path: Path, interrupt: Callable[[Started], None]
) -> None:
    command = gate(tmp_path)
    command.wait_until(lambda: runs(command, b"regression.worker") == 3)
    time.sleep(3)  # the last one gets ready, and turns begin
    interrupt(command)
    command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert command.left() == ([], [])
