"""Runs the steps, each in its own process and time: what one of them breaks, no other feels."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cxrsweep.bench.gpu.evidence import Evidence, Status, without_paths
from cxrsweep.bench.gpu.setting import Setting

LEAST_S = 5.0
STDERR_LENGTH = 600


@dataclass(frozen=True)
class Step:
    """One measurement.

    Attributes:
        name: in the evidence.
        home: "module:function", called with the setting and a function that notes a finding.
        most_s: seconds it may take.
    """

    name: str
    home: str
    most_s: float


@dataclass(frozen=True)
class Ended:
    """How the process of a step ended.

    Attributes:
        status, reason, trace: as in the evidence.
        notes: finding -> value, also of a step that failed half-way.
    """

    status: Status
    notes: dict[str, Any]
    reason: str = ""
    trace: str = ""


Launch = Callable[[Step, Setting], Ended]


def run_steps(
    steps: Sequence[Step],
    setting: Setting,
    evidence: Evidence,
    deadline: float,
    *,
    launch: Launch | None = None,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Run every step that there is time for, and keep how each ended.

    Args:
        steps: the most important first.
        setting: what they are told; the end of each is set here.
        evidence: written after each.
        deadline: on the clock; steps that would begin too near to it are skipped.
        launch: runs one step; the usual one gives it a process.
        say: receives a line per step.
        clock: seconds.
    """
    launch = launch or launched
    for step in steps:
        begun = clock()
        left = deadline - begun
        if left < LEAST_S:
            evidence.add(step.name, "skipped", 0.0, reason="no time left")
            continue
        ends = begun + min(left, step.most_s)
        ended = launch(step, replace(setting, ends=ends))
        more = {name: text for name in ("reason", "trace") if (text := getattr(ended, name))}
        evidence.add(step.name, ended.status, clock() - begun, **more, result=ended.notes)
        say(f"{step.name}: {ended.status}, {clock() - begun:.0f} s {ended.reason}".rstrip())
    evidence.close()


def launched(step: Step, setting: Setting) -> Ended:
    """Run a step in a process of its own, killed with all its children when its time is up."""
    notes = setting.scratch / f"{step.name}.json"
    words = [sys.executable, "-m", "cxrsweep.bench.gpu.child", step.home, str(notes)]
    log = setting.scratch / f"{step.name}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            text=True,
            start_new_session=True,
        )
        try:
            process.communicate(setting.as_json(), timeout=max(setting.left_s, 0.1))
        except subprocess.TimeoutExpired:
            return Ended("failed", _notes(notes), f"not done after {step.most_s:g} s or less")
        finally:
            _kill_all(process)
    found = _notes(notes)
    ended = found.pop("", None)
    if ended is None:  # it did not even get to say why
        last = without_paths(log.read_text(errors="replace")[-STDERR_LENGTH:]).strip()
        return Ended("failed", found, f"its process {_fate(process.returncode)}: {last}")
    return Ended(ended["status"], found, ended["reason"], ended["trace"])


def _kill_all(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _fate(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _notes(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found
