"""Turns of three processes: which measure decides."""

from __future__ import annotations

import numpy as np

from cxrsweep.bench.regression.race import Turns
from cxrsweep.bench.regression.verdict import Measure, Verdict

ROUNDS = 20


def turns(time_noise: float, slowdown: float, waiting: float, *, old_tells: bool = True) -> Turns:
    """A stage of one second, all of it on the CPU.

    Args:
        time_noise: of the time alone.
        slowdown: factor on the CPU time, and so on the time.
        waiting: factor on the time alone.
        old_tells: the old revision tells its CPU time.
    """
    generator = np.random.default_rng(3)
    found = Turns("decode", 1)
    for process, used in enumerate(found.used):
        for _ in range(ROUNDS):
            cpu_s = generator.lognormal(0, 0.01) * (slowdown if process == 2 else 1)
            time_s = cpu_s * generator.lognormal(0, time_noise) * (waiting if process == 2 else 1)
            one: dict[Measure, float] = {"time": time_s, "CPU time": cpu_s}
            if process < 2 and not old_tells:
                del one["CPU time"]
            used.append(one)
    return found


def test_cpu_time_shows_what_time_cannot_on_a_noisy_machine() -> None:
    found = turns(0.6, 1.15, 1).judged(0.05)
    assert (found.verdict, found.measure) == (Verdict.SLOWER, "CPU time")
    assert 1.1 < found.ratio.value < 1.2


def test_waiting_shows_in_time_alone() -> None:
    found = turns(0.01, 1, 1.3).judged(0.05)
    assert (found.verdict, found.measure) == (Verdict.SLOWER, "time")


def test_cpu_time_alone_never_says_not_slower() -> None:
    found = turns(0.6, 1, 1).judged(0.05)
    assert (found.verdict, found.measure) == (Verdict.CANNOT_TELL, "time")


def test_a_revision_that_tells_no_cpu_time_is_judged_by_time() -> None:
    found = turns(0.6, 1.15, 1, old_tells=False).judged(0.05)
    assert (found.verdict, found.measure) == (Verdict.CANNOT_TELL, "time")
    quiet = turns(0.01, 1.15, 1, old_tells=False).judged(0.05)
    assert (quiet.verdict, quiet.measure) == (Verdict.SLOWER, "time")


def test_a_stage_without_cpu_time_is_judged_by_time() -> None:
    found = turns(0.01, 1, 1)
    found.used[0][3]["CPU time"] = 0.0
    assert found.judged(0.05).verdict is Verdict.NOT_SLOWER
