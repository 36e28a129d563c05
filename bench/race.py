"""The race: sweep and rival in turn on the same files, then scores compared, limits beside them."""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cxrsweep.bench.ceilings import Ceilings, measured_ceilings
from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.bundle import open_bundle
from cxrsweep.engine.errors import CxrsweepError
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.hardware.machine import cores, hardware_facts, package_versions
from cxrsweep.engine.reader import Checked, Reader
from cxrsweep.engine.stages import CPU_BATCH

BATCH = CPU_BATCH
AGREEMENT = 1e-4


class RaceError(CxrsweepError):
    """A contestant did not finish."""


@dataclass(frozen=True)
class Race:
    """Results of a race.

    Attributes:
        radiographs, megapixels, kilobytes: how many files, and their means.
        sweep_per_s, loop_per_s: radiographs/s of every round, in pairs.
        loop_settings: workers and batch of the loop: its best of those tried.
        ratio: median over the pairs of sweep over loop.
        largest_score_difference: between the two, over all radiographs and labels.
        ceilings: of each stage of the sweep alone, measured again in every round.
    """

    radiographs: int
    megapixels: float
    kilobytes: float
    sweep_per_s: list[float]
    loop_per_s: list[float]
    loop_settings: str
    ratio: float
    largest_score_difference: float
    ceilings: list[Ceilings]

    @property
    def sweep_median(self) -> float:
        """Radiographs/s of the sweep, median of the rounds."""
        return statistics.median(self.sweep_per_s)

    @property
    def scores_agree(self) -> bool:
        """Whether the two gave the same scores; a faster wrong answer does not count."""
        return self.largest_score_difference <= AGREEMENT

    def efficiency(self, limit_of: Callable[[Ceilings], float]) -> float:
        """Rate of the sweep over a limit: median over the rounds, each with its own limit."""
        return statistics.median(
            rate / limit_of(ceilings)
            for rate, ceilings in zip(self.sweep_per_s, self.ceilings, strict=True)
        )

    def ceiling(self, stage_of: Callable[[Ceilings], float]) -> float:
        """Radiographs/s of one stage alone, median of the rounds."""
        return statistics.median(map(stage_of, self.ceilings))

    def as_json(self) -> dict[str, object]:
        """Every figure, with what it was measured on."""
        plain = asdict(self)
        plain["efficiency"] = {
            "min": self.efficiency(lambda ceilings: ceilings.least),
            "shared": self.efficiency(lambda ceilings: ceilings.shared),
        }
        plain |= {"scores_agree": self.scores_agree, "batch": BATCH, "cache": "warm"}
        return {**plain, "hardware": hardware_facts(), "versions": package_versions()}


def race(
    bundle_folder: Path,
    recipe: Path,
    archive: Path,
    rounds: int,
    say: Callable[[str], None] = lambda _: None,
) -> Race:
    """Let the sweep and the PyTorch loop run in turn, each in its own process.

    Args:
        bundle_folder: exported from `recipe`.
        recipe: names the weights for the loop.
        archive: folder in which every file decodes.
        rounds: pairs.
        say: receives one line per step.

    Raises:
        RaceError: a file does not decode, or a contestant failed, with what it printed.
    """
    bundle, threads = open_bundle(bundle_folder), cores()
    entries = list(open_archives([archive], Selection()))
    reader = Reader(Limits(), threads, BATCH)
    files = list(reader.read(entries))
    reader.close()
    headers = [file.header for file in files if isinstance(file, Checked)]
    if len(headers) < len(files) or not files:
        raise RaceError(f"every file of {archive} must decode, and there must be one")
    say(f"{len(entries)} files, {threads} cores; in every round also each stage alone")
    with tempfile.TemporaryDirectory() as scratch:
        settings = _best_loop_settings(recipe, archive, Path(scratch), threads, say)
        sweep_rates, loop_rates, ceilings = [], [], []
        for number in range(rounds):
            run = Path(scratch) / f"run-{number}"
            sweep_rates.append(_sweep_rate(bundle_folder, archive, run))
            rate, loop_scores = _loop_rate(recipe, archive, Path(scratch), settings)
            loop_rates.append(rate)
            ceilings.append(measured_ceilings(bundle, entries, BATCH, threads))
            say(f"round {number + 1}: sweep {sweep_rates[-1]:.1f}/s, loop {rate:.1f}/s")
        difference = _largest_difference(run / "results.csv", bundle.labels, loop_scores)
    return Race(
        len(files),
        statistics.mean(header.width * header.height for header in headers) / 1e6,
        statistics.mean(file.cost.size for file in files) / 1e3,
        sweep_rates,
        loop_rates,
        f"{settings[0]} workers, batch {settings[1]}",
        statistics.median(s / r for s, r in zip(sweep_rates, loop_rates, strict=True)),
        difference,
        ceilings,
    )


def _best_loop_settings(
    recipe: Path, archive: Path, scratch: Path, threads: int, say: Callable[[str], None]
) -> tuple[int, int]:
    tried = {
        (workers, batch): _loop_rate(recipe, archive, scratch, (workers, batch))[0]
        for workers in sorted({1, threads, threads + 1})
        for batch in (4, 16)
    }
    for (workers, batch), rate in tried.items():
        say(f"loop with {workers} workers and batch {batch}: {rate:.1f}/s")
    return max(tried, key=lambda setting: tried[setting])


def _sweep_rate(bundle: Path, archive: Path, run: Path) -> float:
    program = str(Path(sys.executable).with_name("cxrsweep"))
    words = ["sweep", str(archive), "-b", str(bundle), "-o", str(run), "--batch", str(BATCH)]
    _finished([program, *words])
    meter = json.loads((run / "run.json").read_bytes())["meter"]
    rate: float = meter["radiographs"] / meter["wall_s"]
    return rate


def _loop_rate(
    recipe: Path, archive: Path, scratch: Path, settings: tuple[int, int]
) -> tuple[float, dict[str, list[float]]]:
    output = scratch / "loop.json"
    words = [str(recipe), str(archive), str(output), str(settings[1]), str(settings[0])]
    words.append(str(cores()))
    _finished([sys.executable, "-m", "cxrsweep.bench.rivals.pytorch_loop", *words])
    result = json.loads(output.read_bytes())
    return result["radiographs"] / result["seconds"], result["scores"]


def _finished(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RaceError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def _largest_difference(
    results: Path, labels: Sequence[str], loop_scores: dict[str, list[float]]
) -> float:
    with results.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return max(
        abs(float(row[label]) - score)
        for row in rows
        for label, score in zip(labels, loop_scores[row["radiograph"]], strict=True)
    )
