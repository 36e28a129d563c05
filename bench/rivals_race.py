"""The race: sweep and rivals in turn on the same files, scores compared, limits beside them."""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxrsweep.bench.intervals import Interval, median_interval
from cxrsweep.bench.results import Rival, Rivals
from cxrsweep.bench.rivals.outcome import Outcome, read_outcome
from cxrsweep.bench.throughput import Round, Say, Subject, finished, run_round, throughput_of

AGREEMENT = 1e-4


@dataclass(frozen=True)
class Contestant:
    """A rival in one of its settings.

    Attributes:
        name: of the rival.
        settings: in words.
        module: program below `cxrsweep.bench.rivals`.
        words: its arguments; OUTPUT stands for the file that it writes.
    """

    name: str
    settings: str
    module: str
    words: tuple[str, ...]

    def run(self, output: Path) -> Outcome:
        """Run in a process of its own.

        Raises:
            BenchError: it failed, with what it printed.
        """
        words = [str(output) if word == "OUTPUT" else word for word in self.words]
        finished([sys.executable, "-m", f"cxrsweep.bench.rivals.{self.module}", *words])
        return read_outcome(output)


@dataclass
class _Course:
    """A rival at its best settings, and how its rounds went."""

    contestant: Contestant
    rates: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def run(self, output: Path) -> None:
        outcome = self.contestant.run(output)
        self.rates.append(len(outcome.scores) / outcome.seconds)
        self.scores = outcome.scores


def contestants_on_cpu(subject: Subject, recipe: Path) -> list[list[Contestant]]:
    """Every rival with the settings that are tried, one list per rival."""
    cores = subject.threads
    archive, folder = str(subject.workload.archive), str(subject.bundle)
    alone = (str(recipe), archive, "OUTPUT", str(cores))
    loops = [
        Contestant(
            "PyTorch DataLoader loop",
            f"{workers} workers, batch {batch}",
            "pytorch_loop",
            (str(recipe), archive, "OUTPUT", str(batch), str(workers), str(cores)),
        )
        for workers in sorted({1, cores, cores + 1})
        for batch in (4, 16)
    ]
    threads = [
        Contestant(
            f"OpenCV + ONNX Runtime{note}",
            f"{cores} runs of one core, {decoders} decoding threads, batch {batch}",
            "onnx_threads",
            (folder, archive, "OUTPUT", str(batch), str(cores), str(decoders), resize),
        )
        for resize, note in (("same", ""), ("area", ", area filter"))
        for decoders in sorted({1, cores})
        for batch in (1, 4, 8)
    ]
    return [
        [Contestant("PyTorch, one after the other", f"{cores} cores", "per_image", alone)],
        loops,
        [found for found in threads if found.words[-1] == "same"],
        [found for found in threads if found.words[-1] == "area"],
    ]


def raced(
    subject: Subject, rivals: Sequence[Sequence[Contestant]], rounds: int, say: Say
) -> Rivals:
    """Give every rival its best settings, then let all run in turn, each in its own process.

    Args:
        subject: what sweeps what.
        rivals: from `contestants_on_cpu`.
        rounds: of all, one after the other.
        say: receives a line per step.

    Raises:
        BenchError: a contestant failed, with what it printed.
    """
    done: list[Round] = []
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "outcome.json"
        courses = [_Course(_best(settings, output, say)) for settings in rivals]
        for number in range(rounds):
            done.append(run_round(subject, Path(scratch) / f"run-{number}"))
            for course in courses:
                course.run(output)
            rates = ", ".join(f"{c.contestant.name} {c.rates[-1]:.1f}/s" for c in courses)
            say(f"round {number + 1}: sweep {done[-1].sweep_per_s:.1f}/s, {rates}")
        ours = _scores_of(done[-1].results, subject.kit.bundle.labels)
    sweeps = [found.sweep_per_s for found in done]
    return Rivals(
        sweep=throughput_of(subject, done),
        rivals=[_rival(course, sweeps, ours) for course in courses],
    )


def _best(settings: Sequence[Contestant], output: Path, say: Say) -> Contestant:
    """The fastest of several settings, each tried once."""
    if len(settings) == 1:
        return settings[0]
    rates = {}
    for contestant in settings:
        outcome = contestant.run(output)
        rates[contestant] = len(outcome.scores) / outcome.seconds
        say(f"{contestant.name}, {contestant.settings}: {rates[contestant]:.1f}/s")
    return max(rates, key=lambda contestant: rates[contestant])


def _rival(course: _Course, sweeps: Sequence[float], ours: dict[str, list[float]]) -> Rival:
    difference = _largest_difference(ours, course.scores)
    ratio, interval = ratio_of(sweeps, course.rates)
    return Rival(
        name=course.contestant.name,
        settings=course.contestant.settings,
        per_s=statistics.median(course.rates),
        per_s_rounds=course.rates,
        ratio=ratio,
        ratio_low=interval.low if interval else None,
        ratio_high=interval.high if interval else None,
        scores_agree=difference <= AGREEMENT,
        largest_score_difference=difference,
    )


def ratio_of(sweeps: Sequence[float], rival: Sequence[float]) -> tuple[float, Interval | None]:
    """Ratio of paired rates: median over the rounds, and its interval if there are several."""
    ratios = [[mine / theirs] for mine, theirs in zip(sweeps, rival, strict=True)]
    found = median_interval(ratios) if len(ratios) > 1 else None
    return statistics.median(ratio for (ratio,) in ratios), found


def _scores_of(results: Path, labels: Sequence[str]) -> dict[str, list[float]]:
    with results.open(newline="", encoding="utf-8") as stream:
        return {
            row["radiograph"]: [float(row[label]) for label in labels]
            for row in csv.DictReader(stream)
        }


def _largest_difference(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> float:
    """Over all radiographs and labels; infinite where one has radiographs that the other lacks."""
    if ours.keys() != theirs.keys():
        return float("inf")
    pairs = zip(ours.values(), map(theirs.__getitem__, ours), strict=True)
    return max(abs(a - b) for mine, other in pairs for a, b in zip(mine, other, strict=True))
