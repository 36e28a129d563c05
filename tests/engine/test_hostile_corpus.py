"""One sweep over every odd, broken and crafted file that is known to trouble a decoder."""

from __future__ import annotations

import contextlib
import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile.corpus import corpus, made, write_files
from hostile.files import COLOUR, GREY, HostileFile, saved
from hostile.pngs import png
from hostile.rows import Row
from numpy.typing import NDArray

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.decode.careful.lane import CarefulLane
from cxrsweep.engine.decode.fast_lane import Decoder, is_fast
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits
from cxrsweep.engine.recipe import recipe_from_mapping
from cxrsweep.engine.runs.joining import SweepSummary

TESTS = Path(__file__).resolve().parent.parent
# Two grey levels: colours become grey in whole numbers or in floats, lossy decoders and
# windows round at two places.
TOLERANCE = 2
OPTIONS = SweepOptions(device="cpu", threads=2, shard_size=100, audit=0)


def cell_of(name: str) -> str:
    """An id as results.csv has it, by its document: bytes as \\xNN, formulas with an apostrophe."""
    text = "".join(
        f"\\x{ord(letter) - 0xDC00:02x}" if 0xDC80 <= ord(letter) <= 0xDCFF else letter
        for letter in name
    )
    return f"'{text}" if text[0] in "=+-@\t\r'" else text


def neighbours() -> list[HostileFile]:
    """Sound files of four formats whose names sort right after those of hostile ones."""
    found = []
    names = [file.name for file in corpus() if "/" not in file.name and len(file.name) < 100]
    for number, name in enumerate(names[::12]):
        shifted = np.roll(GREY, 3 * number, axis=1)
        colour = np.roll(COLOUR, number, axis=0)
        made_of = (
            (".png", png(shifted, 8, 0)),
            (".jpg", saved(colour, "JPEG")),
            (".webp", saved(shifted, "WEBP", lossless=True)),
            (".tiff", saved(colour, "TIFF")),
        )
        ending, content = made_of[number % 4]
        found.append(HostileFile(f"{name}.neighbour-{number}{ending}", content, Row.NAMES, GREY))
    return found


@pytest.fixture(scope="module")
def swept(
    demo_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SweepSummary, list[list[str]]]:
    """The sweep of the corpus with neighbours between: its summary and its rows."""
    return _swept([*corpus(), *neighbours()], demo_bundle, tmp_path_factory.mktemp("corpus"))


def _swept(
    files: list[HostileFile], bundle: Bundle, folder: Path
) -> tuple[SweepSummary, list[list[str]]]:
    write_files(files, folder / "archive")
    summary = sweep([folder / "archive"], bundle, folder / "run", OPTIONS)
    with (folder / "run" / "results.csv").open(newline="", encoding="utf-8") as stream:
        return summary, list(csv.reader(stream))


def test_corpus_is_large_the_same_each_time_and_has_a_file_for_every_row() -> None:
    files = corpus()
    assert len(files) >= 400
    assert {file.row for file in files} == set(Row)
    assert [(file.name, file.content) for file in made()] == [
        (file.name, file.content) for file in files
    ]
    assert sum(len(file.content) for file in files) < 10e6
    assert all(file.codes or file.has_any_picture or file.picture is not None for file in files)


def test_script_writes_every_file(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hostile", str(tmp_path / "made")]
    done = subprocess.run(words, cwd=TESTS, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{len(corpus())} files, ")
    written = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    found = {str(path.relative_to(tmp_path / "made")): path.read_bytes() for path in written}
    assert found == {file.name: file.content for file in corpus()}


def test_every_file_has_one_right_row(swept: tuple[SweepSummary, list[list[str]]]) -> None:
    summary, (columns, *rows) = swept
    files = [*corpus(), *neighbours()]
    assert summary.is_finished
    assert summary.indexed == summary.ok + summary.failed == len(rows) == len(files)
    named = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert set(named) == {cell_of(file.name) for file in files}
    wrong = []
    for file in files:
        row = named[cell_of(file.name)]
        outcome = "ok" if row["status"] == "ok" else row["error"]
        shape = (int(row["height"]), int(row["width"])) if outcome == "ok" else None
        is_other_size = file.picture is not None and shape not in (None, file.picture.shape)
        if not file.allows(outcome) or is_other_size:
            wrong.append((file.name, outcome, shape, sorted(file.codes)))
    assert not wrong, "\n".join(map(str, wrong))


def test_no_neighbour_of_hostile_files_changes_by_a_byte(
    swept: tuple[SweepSummary, list[list[str]]], demo_bundle: Bundle, tmp_path: Path
) -> None:
    _, (_, *rows) = swept
    alone, (_, *expected) = _swept(neighbours(), demo_bundle, tmp_path)
    assert alone.ok == len(neighbours()) >= 60
    names = {row[0] for row in expected}
    assert [row for row in rows if row[0] in names] == expected
    # Each has other pixels: rows that could be exchanged would show nothing.
    assert len({tuple(row[1:]) for row in expected}) > len(expected) // 2


def passed() -> Iterator[tuple[HostileFile, Header]]:
    """Files whose pixels are known and that the gate lets pass."""
    for file in corpus():
        if file.picture is None:
            continue
        with contextlib.suppress(Refused):  # whether rightly, the sweep's rows show
            yield file, header_of(file.content, Limits())


def off_by(found: NDArray[np.uint8], picture: NDArray[np.uint8]) -> int:
    """The largest difference in grey levels; 256 of another shape."""
    if found.shape != picture.shape:
        return 256
    return int(np.abs(found.astype(int) - picture.astype(int)).max())


def test_careful_lane_shows_what_an_independent_reader_shows() -> None:
    files = list(passed())
    lane = CarefulLane(2)
    try:
        greys = lane.greys([file.content for file, _ in files], [header for _, header in files])
    finally:
        lane.close()
    wrong, right = [], 0
    for (file, _), grey in zip(files, greys, strict=True):
        assert file.picture is not None
        if isinstance(grey, Refused):
            if not file.allows(grey.code):
                wrong.append((file.name, grey.reason))
        elif (most := off_by(grey[..., 0], file.picture)) > TOLERANCE:
            wrong.append((file.name, f"off by {most}"))
        else:
            right += 1
    assert not wrong, "\n".join(map(str, wrong))
    assert right >= 250


def test_fast_lane_shows_what_an_independent_reader_shows() -> None:
    decoders: dict[int, Decoder] = {}
    wrong, right = [], 0
    for file, header in passed():
        if not is_fast(header):
            continue
        assert file.picture is not None
        # A letterbox as large as the longer side shows every pixel as it is.
        side = max(header.width, header.height)
        if side not in decoders:
            words = {"name": "corpus", "side": side, "fit": "letterbox"}
            classifier = {"side": 64, "labels": ["none"]}
            recipe = recipe_from_mapping({**words, "classifier": classifier}, "corpus")
            decoders[side] = Decoder(recipe, batch=1, threads=1)
        decoded = decoders[side].decode([file.content], [header])
        top, left = -(-(side - header.height) // 2), -(-(side - header.width) // 2)
        shown = decoded.pixels[0, 0, top : top + header.height, left : left + header.width]
        if decoded.refused:
            if not file.allows(decoded.refused[0].code):
                wrong.append((file.name, decoded.refused[0].reason))
        elif (most := off_by(shown, file.picture)) > TOLERANCE:
            wrong.append((file.name, f"off by {most}"))
        else:
            right += 1
    for decoder in decoders.values():
        decoder.close()
    assert not wrong, "\n".join(map(str, wrong))
    assert right >= 100
