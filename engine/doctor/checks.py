"""One line of the doctor: what was looked at, what was found, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "bad", "absent"]
Need = Literal["cpu", "gpu", "nothing"]

REINSTALL = "pip install --force-reinstall -c constraints.txt ."
GPU_EXTRA = "pip install -c constraints.txt '.[gpu]'"
CAPABILITIES = "compute,utility,video"
GPU_CONTAINER = f"docker run --gpus '\"capabilities={CAPABILITIES}\"'"
# CUDA 13, for which DALI and pycuda are built, needs 580.
GET_DRIVER = f"sudo apt install nvidia-driver-580 (for a container: {GPU_CONTAINER})"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        state: "ok"; "warn" works, but slower or not for long; "bad" does not work; "absent" is
            not there and need not be.
        facts: what was found.
        remedy: the command that mends it; empty where nothing is to mend.
        needed_for: "cpu" for every sweep, "gpu" for a sweep on the GPU alone.
    """

    name: str
    state: State
    facts: str
    remedy: str = ""
    needed_for: Need = "nothing"


def without(name: str, facts: str, remedy: str, *, has_gpu: bool) -> Check:
    """The line for something that only a GPU needs: bad beside a GPU, else merely absent."""
    return Check(name, "bad" if has_gpu else "absent", facts, remedy, "gpu")


def serves(checks: Iterable[Check], need: Need) -> bool:
    """Whether everything that is needed is there."""
    return all(check.state in ("ok", "warn") for check in checks if check.needed_for == need)


def one_line(text: object, longest: int = 200) -> str:
    """The words of a message of several lines, cut where it rambles."""
    words = " ".join(str(text).split())
    return words if len(words) <= longest else words[: longest - 3] + "..."
