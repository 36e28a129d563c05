from __future__ import annotations

import numpy as np
import pytest

from cxrsweep.bench.intervals import Interval
from cxrsweep.bench.regression.verdict import (
    EXIT_CODES,
    GateError,
    StageVerdict,
    Verdict,
    judged,
    overall,
    ratio_interval,
)


def times(
    generator: np.random.Generator, rounds: int, slowdown: float, noise: float
) -> list[float]:
    return (slowdown * generator.lognormal(0, noise, rounds)).tolist()


def verdicts(slowdown: float, noise: float, rounds: int, tries: int) -> list[Verdict]:
    generator = np.random.default_rng(5)
    found = []
    for _ in range(tries):
        # A machine that drifts: all three processes of a round meet the same speed.
        speed = np.exp(np.cumsum(generator.normal(0, 0.05, rounds)))
        old, again, new = (
            (speed * np.asarray(times(generator, rounds, factor, noise))).tolist()
            for factor in (1.0, 1.0, slowdown)
        )
        found.append(judged("decode", old, again, new, 0.05).verdict)
    return found


def test_the_same_revision_is_never_slower() -> None:
    for noise in (0.02, 0.1, 0.3):
        assert Verdict.SLOWER not in verdicts(1.0, noise, 24, 100)


def test_a_slow_down_of_15_percent_is_found_where_noise_allows() -> None:
    found = verdicts(1.15, 0.05, 24, 100)
    assert found.count(Verdict.SLOWER) >= 90
    assert Verdict.NOT_SLOWER not in found


def test_too_much_noise_cannot_tell() -> None:
    found = verdicts(1.15, 0.6, 12, 50)
    assert found.count(Verdict.CANNOT_TELL) >= 45
    assert Verdict.NOT_SLOWER not in found


def test_a_quiet_machine_says_not_slower() -> None:
    assert verdicts(1.0, 0.02, 24, 50).count(Verdict.NOT_SLOWER) == 50


def test_ratio_is_the_median_of_pairs() -> None:
    ratios = [1.0, 1.1, 1.2, 1.3, 0.9, 1.15, 1.05, 1.25, 1.12]
    found = ratio_interval(ratios)
    assert found.value == np.median(ratios)
    assert min(ratios) <= found.low < found.value < found.high <= max(ratios)


@pytest.mark.parametrize("times", [[], [1.0] * 7, [1.0] * 9 + [0.0], [1.0] * 9 + [float("nan")]])
def test_nothing_measured_is_an_error(times: list[float]) -> None:
    with pytest.raises(GateError, match="fewest that tell"):
        ratio_interval(times)


def test_lost_turns_are_an_error() -> None:
    with pytest.raises(GateError, match="no pairs"):
        judged("decode", [1.0] * 9, [1.0] * 9, [1.0] * 8, 0.05)


def test_one_slow_stage_decides_and_no_stage_is_an_error() -> None:
    def stage(verdict: Verdict) -> StageVerdict:
        return StageVerdict("s", Interval(1, 1, 1), Interval(1, 1, 1), verdict)

    fine, open_, slow = map(stage, (Verdict.NOT_SLOWER, Verdict.CANNOT_TELL, Verdict.SLOWER))
    assert overall([fine, open_, slow]) is Verdict.SLOWER
    assert overall([fine, open_]) is Verdict.CANNOT_TELL
    assert overall([fine, fine]) is Verdict.NOT_SLOWER
    assert EXIT_CODES == {"slower": 10, "not slower": 0, "cannot tell": 11}
    with pytest.raises(GateError, match="no stage"):
        overall([])
