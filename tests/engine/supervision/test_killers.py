"""Files that end DALI's process, through both lanes of a real sweep under a real supervisor."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hostile.corpus import write_files
from hostile.files import GREY, HostileFile, saved
from hostile.killers import heap_sequence, named_killers
from hostile.plain_dali import died_of
from hostile.pngs import png
from hostile.rows import Row
from workers import swept as swept_by_a_worker

from cxrsweep.engine import Bundle
from cxrsweep.engine.supervision.supervise import Watch

OPEN_GATE = Path(__file__).resolve().parent.parent.parent / "hostile" / "open_gate"
KILLERS = {file.name: file for file in named_killers()}
# One of each kind that DALI dies of as the product asks it, without EXIF turns.
DEADLY = (
    "killer-jpeg-tem-8000.jpg",
    "killer-tiff-length-twice-64-cmyk.tiff",
    "killer-no-components.j2k",
)
DEADLY_IN_SMALL_PROCESSES = ("killer-jpeg-tem-512.jpg", "killer-tiff-width-twice-8-alpha.tiff")
EXIF_TWICE = "killer-png-exif-6-1.png"
SIGNALS = {"SIGSEGV", "SIGABRT", "SIGFPE", "SIGBUS"}


def neighbours(count: int) -> list[HostileFile]:
    """Sound files whose names sort before and after the killers'."""
    found = []
    for number in range(count):
        shifted = np.roll(GREY, 5 * number, axis=1)
        letter = "az"[number % 2]
        content = png(shifted, 8, 0) if number % 4 < 2 else saved(shifted, "JPEG")
        name = f"{letter}-neighbour-{number:02d}"
        found.append(HostileFile(name, content, Row.NAMES, shifted))
    return found


def swept(
    files: list[HostileFile],
    bundle: Bundle,
    folder: Path,
    *words: str,
    threads: int | None = None,
) -> tuple[int, dict[str, dict[str, str]], list[str]]:
    """Sweep under a supervisor: exit code, rows by id, and why each worker ended."""
    write_files(files, folder / "archive")
    run = folder / "run"
    command = ["sweep", str(folder / "archive"), "-b", str(bundle.folder), "-o", str(run)]
    lines: list[str] = []
    code = swept_by_a_worker(run, [*command, *words], lines, Watch(stall_s=60), threads)
    with (run / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["radiograph"] for row in rows}) == len(rows) == len(files)
    log = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    deaths = [line["reason"] for line in log if line["event"] == "worker_ended"]
    return code, {row["radiograph"]: row for row in rows}, deaths


@pytest.fixture(scope="module")
def alone(
    demo_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """Rows of the neighbours where there is no killer."""
    folder = tmp_path_factory.mktemp("alone")
    code, rows, deaths = swept(neighbours(8), demo_bundle, folder)
    assert (code, deaths) == (0, [])
    return rows


@pytest.fixture
def open_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of this test let every file into DALI."""
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(OPEN_GATE), before])))


def test_killers_end_plain_dali() -> None:
    """What the other tests of this file stand on: these files kill, and these settings decide."""
    for name in (*DEADLY, *DEADLY_IN_SMALL_PROCESSES):
        assert died_of([KILLERS[name].content]) in SIGNALS, name
    twice = KILLERS[EXIF_TWICE].content
    assert died_of([twice], turns=True) in SIGNALS
    # What the product relies on: DALI is never asked to turn.
    assert died_of([twice], turns=False) == ""
    assert died_of(heap_sequence()) in SIGNALS


def test_killers_end_no_worker_where_the_gate_is_closed(
    demo_bundle: Bundle, tmp_path: Path, alone: dict[str, dict[str, str]]
) -> None:
    files = [*KILLERS.values(), *neighbours(8)]
    code, rows, deaths = swept(files, demo_bundle, tmp_path, threads=1)
    assert (code, deaths) == (3, [])
    assert {name: rows[name] for name in alone} == alone
    for name, killer in KILLERS.items():
        outcome = rows[name]["error"] or "ok"
        assert killer.allows(outcome), (name, outcome)


@pytest.mark.usefixtures("open_gate")
@pytest.mark.parametrize("name", DEADLY)
def test_a_killer_in_the_fast_lane_ends_its_worker_and_nothing_else(
    demo_bundle: Bundle, tmp_path: Path, alone: dict[str, dict[str, str]], name: str
) -> None:
    files = [KILLERS[name], *neighbours(8)]
    code, rows, deaths = swept(files, demo_bundle, tmp_path, threads=1)
    assert len(deaths) == 1
    assert any(kind in deaths[0] for kind in SIGNALS)
    assert code in (0, 3)
    assert {other: rows[other] for other in alone} == alone
    # In the careful lane OpenCV may read the killer or refuse it; it may even die of it.
    assert rows[name]["error"] in {"", "CORRUPT", "DECODER_CRASHED"}


@pytest.mark.slow
@pytest.mark.usefixtures("open_gate")
def test_killers_in_every_batch_do_not_end_the_sweep(
    demo_bundle: Bundle, tmp_path: Path, alone: dict[str, dict[str, str]]
) -> None:
    # Before any sound file: worker after worker dies before it has scored one.
    killers = [
        HostileFile(f"0-{number}-{name}", KILLERS[name].content, KILLERS[name].row)
        for number, name in enumerate(DEADLY * 4)
    ]
    files = [*killers, *neighbours(8)]
    code, rows, deaths = swept(files, demo_bundle, tmp_path, "--batch", "2", threads=1)
    assert len(deaths) == len(killers) // 2
    assert code in (0, 3)
    assert {other: rows[other] for other in alone} == alone


@pytest.mark.usefixtures("open_gate")
def test_harm_that_outlives_its_file_changes_no_neighbour(
    demo_bundle: Bundle, tmp_path: Path, alone: dict[str, dict[str, str]]
) -> None:
    sequence = heap_sequence()
    mutants = [
        HostileFile(f"m-{number:02d}.j2k", content, Row.KILLER_J2K_HEAP)
        for number, content in enumerate(sequence)
    ]
    files = [*mutants, *neighbours(8)]
    code, rows, deaths = swept(files, demo_bundle, tmp_path, threads=1)
    assert code in (0, 3)
    # Where the harm shows depends on the heap, so whether a worker dies is not promised.
    for reason in deaths:
        assert any(kind in reason for kind in SIGNALS), reason
    assert {other: rows[other] for other in alone} == alone
