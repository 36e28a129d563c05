"""The race of two revisions: two processes of the old and one of the new take turns."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any, Self

from cxrsweep.bench.interruption import end_group
from cxrsweep.bench.regression.verdict import (
    FEWEST_PAIRS,
    GateError,
    Measure,
    StageVerdict,
    Verdict,
    judged,
)

PASS_S = 0.15  # of one turn: long against the clock and a switch of processes
LOOK_EVERY = 4  # rounds
ORDERS = tuple(permutations(range(3)))
_KEYS: dict[Measure, str] = {"time": "seconds", "CPU time": "cpu_s"}

Say = Callable[[str], None]


class Worker:
    """A measuring process.

    Args:
        python: of the revision's environment.
        words: arguments of its program.
        scratch: folder for its temporary ones.

    Raises:
        GateError: it does not start; a revision without the program cannot be measured.
    """

    def __init__(self, python: Path, words: Sequence[str], scratch: Path) -> None:
        command = [str(python), "-m", "cxrsweep.bench.regression.worker", *words]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C reaches the gate alone, which ends the whole group
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        try:
            self.stages: list[str] = self._answer()["ready"]
        except BaseException:
            end_group(self._process)
            raise

    def used(self, stage: str, times: int) -> dict[Measure, float]:
        """What some passes took: of a revision that does not tell its CPU time, time alone.

        Raises:
            GateError: the process ended.
        """
        assert self._process.stdin
        self._process.stdin.write(json.dumps([stage, times]) + "\n")
        self._process.stdin.flush()
        told = self._answer()
        return {measure: told[key] for measure, key in _KEYS.items() if key in told}

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        assert self._process.stderr
        line = self._process.stdout.readline()
        if not line:
            said = self._process.stderr.read()[-2000:]
            if "regression.worker" in said and "No module named" in said:
                said = "the revision is older than this gate; compare with a later one"
            raise GateError(f"a measuring process ended: {said.strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_group(self._process)


@dataclass
class Turns:
    """What one stage took per pass, by process: old, old again, new.

    Attributes:
        times: passes in one turn.
        used: of each turn.
    """

    stage: str
    times: int
    used: tuple[list[dict[Measure, float]], ...] = field(default_factory=lambda: ([], [], []))

    def judged(self, threshold: float) -> StageVerdict:
        """The verdict so far: by time, unless CPU time alone shows that it is slower."""
        by = [
            judged(self.stage, old, again, new, threshold, measure)
            for measure, (old, again, new) in self._columns().items()
        ]
        return next((found for found in by if found.verdict is Verdict.SLOWER), by[0])

    def _columns(self) -> dict[Measure, list[list[float]]]:
        """What all three processes tell, and what took no CPU time not at all: time comes first."""
        every = [turn for turns in self.used for turn in turns]
        told = [key for key in _KEYS if all(turn.get(key, 0) > 0 for turn in every)]
        return {
            key: [[turn[key] for turn in turns] for turns in self.used] for key in told or ["time"]
        }


@contextmanager
def opened_workers(
    old: Path, new: Path, words: Sequence[str], scratch: Path
) -> Iterator[list[Worker]]:
    """Two processes of the old revision and one of the new."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(python, words, scratch)) for python in (old, old, new)]


def raced_revisions(
    workers: Sequence[Worker], threshold: float, seconds: float, say: Say
) -> list[StageVerdict]:
    """Let the processes take turns until every stage is judged or time is up.

    Args:
        workers: old, old again, new.
        threshold: share, for example 0.05.
        seconds: most to measure for.
        say: receives a line now and then.

    Raises:
        GateError: nothing was measured.
    """
    stages = [stage for stage in workers[0].stages if stage in workers[2].stages]
    turns = [_calibrated(workers, stage) for stage in stages]
    begun, rounds = time.perf_counter(), 0
    while True:
        for turn in turns:
            for place in ORDERS[rounds % len(ORDERS)]:
                used = workers[place].used(turn.stage, turn.times)
                turn.used[place].append({key: value / turn.times for key, value in used.items()})
        rounds += 1
        is_late = time.perf_counter() - begun > seconds
        if rounds < FEWEST_PAIRS or not (is_late or rounds % LOOK_EVERY == 0):
            continue
        verdicts = [turn.judged(threshold) for turn in turns]
        if is_late or all(found.verdict is not Verdict.CANNOT_TELL for found in verdicts):
            say(f"{rounds} rounds of {len(turns)} stages, three processes in turn")
            return verdicts


def _calibrated(workers: Sequence[Worker], stage: str) -> Turns:
    """Passes that fill a turn, from the slowest of one warm pass each."""
    for worker in workers:
        worker.used(stage, 1)
    slowest = max(worker.used(stage, 1)["time"] for worker in workers)
    if slowest <= 0:
        raise GateError(f"a pass of {stage} took no time: nothing was measured")
    return Turns(stage, max(1, round(PASS_S / slowest)))
