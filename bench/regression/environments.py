"""Revisions installed side by side: a tree of files in, a Python that has it out."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from cxrsweep.bench.interruption import run_to_end
from cxrsweep.bench.regression.verdict import GateError

Say = Callable[[str], None]
PACKAGES = ("engine", "export", "bench")
_SITES = ("site-packages", "dist-packages")


def repository_of(folder: Path) -> Path:
    """Top of the git checkout around a folder.

    Raises:
        GateError: there is none, or no git.
    """
    return Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())


def revision_tree(repository: Path, revision: str, target: Path) -> None:
    """Write the files of a commit.

    Raises:
        GateError: git knows no such revision.
    """
    try:
        commit = _git(
            repository, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"
        )
    except GateError as error:
        raise GateError(
            f"{repository} has no revision {revision!r}; `git log` lists them"
        ) from error
    packed = _git(repository, "archive", "--format=tar", commit.decode().strip())
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(target, filter="data")


def working_tree(repository: Path, target: Path) -> None:
    """Copy the project's files as they are now: what git tracks, and new files in its packages.

    Whatever else lies in a checkout stays there: it may be an archive of radiographs.

    Raises:
        GateError: git does not answer.
    """
    listed = _git(repository, "ls-files", "-z", "--cached")
    new = ("ls-files", "-z", "--others", "--exclude-standard", "--", *PACKAGES)
    listed += _git(repository, *new)
    for name in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
        source = repository / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)


def environment_with(tree: Path, folder: Path, reference: Path, say: Say) -> Path:
    """Make an environment and install a tree into it.

    Where its dependencies are those of the reference, what is installed here serves it; else they
    are installed as well, which takes minutes and a network.

    Args:
        tree: of the project.
        folder: of the environment, not there yet; its parent also holds what installing needs.
        reference: a tree whose dependencies this Python has.
        say: receives a line per step.

    Returns:
        its Python.

    Raises:
        GateError: it cannot be made.
    """
    scratch = folder.parent
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], scratch)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    if _dependencies(tree) == _dependencies(reference):
        (site,) = folder.glob("lib/python*/site-packages")
        found = [path for path in sys.path if Path(path).name in _SITES]
        (site / "beside.pth").write_text("".join(f"{path}\n" for path in found))
        _run([*install, "--no-deps", str(tree)], scratch)
    else:
        say("other dependencies: installing them, which takes minutes")
        constraints = tree / "constraints.txt"
        words = ["--constraint", str(constraints)] if constraints.is_file() else []
        _run([*install, *words, str(tree)], scratch)
    return python


def _dependencies(tree: Path) -> list[str]:
    try:
        project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
        dependencies: list[str] = project["project"]["dependencies"]
    except (OSError, ValueError, KeyError) as error:
        raise GateError(f"the revision has no pyproject.toml with dependencies: {error}") from error
    return sorted(dependencies)


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise GateError("git is not installed; the gate takes revisions from it") from error
    if done.returncode:
        raise GateError(f"git {' '.join(words)}: {done.stderr.decode().strip()}")
    return done.stdout


def _run(command: Sequence[str], scratch: Path) -> None:
    # pip's temporary folders lie in ours, so that they go with it if pip is interrupted.
    done = run_to_end(command, {**os.environ, "TMPDIR": str(scratch)})
    if done.returncode:
        raise GateError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
