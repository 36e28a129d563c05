"""A Python version in, an environment of it out that packs wheels."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unpack_gpu_runtime import RuntimePackError

REPOSITORY = Path(__file__).resolve().parent.parent
# Files in a wheel would otherwise carry the time of packing, and equal parts would differ.
EPOCH = "315532800"  # 1980-01-01, the earliest that a zip can hold
ASK = """
import json, sys, sysconfig
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2],
    "tag": "cp%d%d" % sys.version_info[:2],
    "soabi": sysconfig.get_config_var("SOABI"),
}))
"""


@dataclass(frozen=True)
class Target:
    """The Python that the host will run.

    Attributes:
        python: version, for example "3.12".
        tag: of its wheels, for example "cp312".
        soabi: `sysconfig.get_config_var("SOABI")`.
        pip: a Python of that version in an environment of its own, with pip.
    """

    python: str
    tag: str
    soabi: str
    pip: Path


def run(words: Sequence[str | Path], **variables: str) -> None:
    """Run a program; what it says goes to stderr.

    Raises:
        RuntimePackError: it fails.
    """
    line = [str(word) for word in words]
    # 2 is stderr: what pip and compilers say is progress, stdout is for the result
    done = subprocess.run(line, env={**os.environ, **variables}, stdout=2, check=False)
    if done.returncode:
        raise RuntimePackError(
            f"status {done.returncode} from `{' '.join(line)}`: its message stands above"
        )


def pip(target: Target, *words: str | Path) -> None:
    """Run the target's pip.

    Raises:
        RuntimePackError: it fails.
    """
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check")
    run([target.pip, "-m", "pip", *quiet, *words], SOURCE_DATE_EPOCH=EPOCH)


def open_target(python: str, work: Path) -> Target:
    """Make an environment of the target Python.

    Raises:
        RuntimePackError: no such Python, or it cannot make environments.
    """
    found = shutil.which(python)
    if found is None:
        raise RuntimePackError(
            f"{python} was not found: install the Python version that the host has, or name it"
            " with --python /path/to/python3.12"
        )
    answer = subprocess.run([found, "-c", ASK], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimePackError(f"{found} is no Python that starts: {answer.stderr.strip()}")
    run([found, "-m", "venv", work / "venv"])
    return Target(**json.loads(answer.stdout), pip=work / "venv" / "bin" / "python")


def pinned(name: str) -> str:
    """The version of a package in constraints.txt.

    Raises:
        RuntimePackError: it has none.
    """
    text = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    line = re.search(rf"^{re.escape(name)}==(\S+)$", text, re.MULTILINE)
    if line is None:
        raise RuntimePackError(f"constraints.txt has no line {name}==VERSION: add one")
    return line[1]
