"""Workers and whole commands are killed at random moments; the results keep every byte."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workers import workers_of

from cxrsweep.engine import Bundle, SweepOptions, sweep

PROGRAM = [sys.executable, "-c", "from cxrsweep.engine.cli import main; main()"]
KILLS = 6  # of a round; it has to end some time
STARTS = 40
HANG_S = 180.0  # at least: on a busy machine, a worker needs ten seconds to start


class Command:
    """A command that is started again until it ends with its work done."""

    def __init__(self, words: list[str], log: Path) -> None:
        self._words = words
        self._log = log
        self.code: int | None = None
        self.starts = 0
        self._start()

    def _start(self) -> None:
        self.starts += 1
        assert self.starts <= STARTS, self._log.read_text()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*PROGRAM, *self._words], stdout=log, stderr=log)

    def look(self) -> None:
        """Start it again if it was killed, or gave up because its workers were."""
        code = self.process.poll()
        if code in (0, 3):
            self.code = code
        elif code is not None:
            assert code in (1, -signal.SIGKILL), self._log.read_text()
            self._start()


def chaos(commands: list[Command], dice: random.Random, limit_s: float) -> int:
    """Kill until all have ended; how many kills there were."""
    kills, end = 0, time.monotonic() + limit_s
    try:
        while any(command.code is None for command in commands):
            assert time.monotonic() < end, "it hangs"
            time.sleep(dice.uniform(0.05, 1.5) if kills < KILLS else 0.1)
            running = [command for command in commands if command.process.poll() is None]
            if kills < KILLS and running:
                driver = dice.choice(running).process
                workers = workers_of(driver.pid)
                victim = dice.choice(workers) if workers and dice.random() < 0.7 else driver.pid
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
            for command in commands:
                command.look()
    finally:
        for command in commands:
            command.process.kill()
            command.process.wait()
    return kills


@pytest.fixture(scope="module")
def archive(encoded_archive: Path) -> Path:
    """Enough files to be killed in between, one of them broken."""
    originals = sorted(path for path in encoded_archive.rglob("*") if path.is_file())
    for copy in range(15):
        for original in originals:
            os.link(original, original.with_stem(f"{original.stem}-{copy:02d}"))
    (encoded_archive / "broken.jpg").write_bytes(originals[0].read_bytes()[:2000])
    return encoded_archive


@pytest.fixture(scope="module")
def whole(
    archive: Path, light_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, float]:
    """The results of an undisturbed sweep by one worker, and the seconds of the command."""
    run = tmp_path_factory.mktemp("whole") / "run"
    start = time.monotonic()
    words = words_for(archive, light_bundle, run)
    assert subprocess.run([*PROGRAM, *words], check=False, capture_output=True).returncode == 3
    results = (run / "results.csv").read_bytes()
    here = run.with_name("here")
    sweep([archive], light_bundle, here, SweepOptions(shard_size=100, device="cpu"))
    assert (here / "results.csv").read_bytes() == results
    return results, time.monotonic() - start


def words_for(archive: Path, bundle: Bundle, run: Path) -> list[str]:
    words = ["sweep", str(archive), "-b", str(bundle.folder), "-o", str(run)]
    return [*words, "--shard-size", "8", "--batch", "4", "--device", "cpu"]


def check(run: Path, whole: bytes) -> None:
    results = (run / "results.csv").read_bytes()
    ids = [row["radiograph"] for row in csv.DictReader(results.decode().splitlines())]
    assert len(ids) == len(set(ids)) == len(whole.splitlines()) - 1
    assert results == whole
    left = [path.name for path in run.rglob("*") if path.suffix in (".partial", ".whole", ".rows")]
    assert not left


@pytest.mark.slow
def test_three_workers_that_are_killed_leave_the_same_bytes(
    archive: Path,
    light_bundle: Bundle,
    tmp_path: Path,
    whole: tuple[bytes, float],
    chaos_rounds: int,
) -> None:
    for seed in range(chaos_rounds):
        run = tmp_path / f"run-{seed}"
        words = [*words_for(archive, light_bundle, run), "--workers", "3"]
        command = Command(words, tmp_path / f"{seed}.log")
        limit_s = max(HANG_S, 3 * whole[1])
        assert chaos([command], random.Random(seed), limit_s) > 0
        assert command.code == 3
        check(run, whole[0])


@pytest.mark.slow
def test_four_tasks_of_an_array_that_are_killed_leave_the_same_bytes(
    archive: Path,
    light_bundle: Bundle,
    tmp_path: Path,
    whole: tuple[bytes, float],
    chaos_rounds: int,
) -> None:
    for seed in range(chaos_rounds):
        run = tmp_path / f"run-{seed}"
        words = words_for(archive, light_bundle, run)
        log = tmp_path / f"{seed}.log"
        tasks = [Command([*words, "--shards", f"{index}/4"], log) for index in range(4)]
        limit_s = 2 * max(HANG_S, 3 * whole[1])  # four that start share the cores of two
        assert chaos(tasks, random.Random(1000 + seed), limit_s) > 0
        assert sorted(task.code or 0 for task in tasks) == [0, 0, 0, 3]
        assert not (run / "results.csv").exists()
        done = subprocess.run([*PROGRAM, "join", str(run)], check=False, capture_output=True)
        assert done.returncode == 3, done.stderr
        check(run, whole[0])
