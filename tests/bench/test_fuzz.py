from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cxrsweep.bench.fuzz_command import described_fuzz
from cxrsweep.bench.mutants import mutants, originals, write_mutants
from cxrsweep.bench.throughput import BenchError
from cxrsweep.engine.cli import cxrsweep


def test_a_seed_makes_the_same_mutants_and_another_others(tmp_path: Path) -> None:
    def all_bytes(folder: Path, seed: int) -> list[bytes]:
        assert write_mutants(folder, 60, seed) == 60 + 50
        return [path.read_bytes() for path in sorted(folder.rglob("*.*"))]

    first = all_bytes(tmp_path / "a", 1)
    assert first == all_bytes(tmp_path / "b", 1)
    assert first != all_bytes(tmp_path / "c", 2)


def test_almost_every_mutant_differs_from_its_original() -> None:
    generator = np.random.default_rng(0)
    files = originals(generator)
    made = list(mutants(files, 300, generator))
    same = sum(content == files[name[7:]] for name, content in made)
    # A byte may be set to what it was, and a run swapped with itself.
    assert same <= 15


@pytest.mark.slow
def test_three_hundred_mutants_get_a_row_each(tmp_path: Path) -> None:
    words = ["bench", "fuzz", "--count", "300", "--seed", "7", "-o", str(tmp_path)]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("350 files, 350 rows: ")
    assert "workers ended 0 times" in done.stdout


def test_a_sweep_that_lost_a_row_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    (tmp_path / "results.csv").write_text("radiograph,status,error\na,ok,\n")
    with pytest.raises(BenchError, match="2 files, 1 rows of 1 radiographs"):
        described_fuzz(tmp_path, 2, 0)
    with pytest.raises(BenchError, match="ended with 1"):
        described_fuzz(tmp_path, 1, 1)
