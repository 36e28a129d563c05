from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from page_reader import Page

from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.evaluation.cases import recipe_of_run
from cxrsweep.engine.report.tally import tally_of

if TYPE_CHECKING:
    from conftest import Swept

EVALUATED = ["--label", "one=finding:<script>alert(3)</script>", "--resamples", "100"]


def invoked(*words: object) -> Result:
    return CliRunner().invoke(cxrsweep, [str(word) for word in words])


def page_of(path: Path, *words: object) -> Page:
    done = invoked("report", *words, "-o", path)
    assert done.exit_code == 0, done.output
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def page(swept: Swept, tmp_path: Path) -> Page:
    return page_of(tmp_path / "report.html", swept.run)


def numbers(column: dict[str, str]) -> dict[str, int]:
    return {name: int(cell.replace(",", "")) for name, cell in column.items()}


def test_counts_are_those_of_the_table(page: Page, swept: Swept) -> None:
    rows = swept.rows
    failures = page.table("Failures by code")
    assert numbers(failures.column(1)) == Counter(r["error"] for r in rows if r["error"])
    assert "fetch it again" in failures.column(2)["TRUNCATED"]
    known = [row for row in rows if row["width"]]
    assert numbers(page.table("Format").column(1)) == Counter(row["kind"] for row in known)
    assert numbers(page.table("Bits").column(1)) == Counter(row["bits"] for row in known)
    small = sum(1 for row in known if int(row["width"]) * int(row["height"]) < 250_000)
    assert 0 < small < len(known)
    assert numbers(page.table("Size").column(1)) == {
        "below 0.25": small,
        "0.25 to 0.5": len(known) - small,
    }
    text = "".join(page.texts)
    assert re.search(r"Radiographs\s*48\s*Scored\s*40\s*83.3 %\s*Failed\s*8\s*16.7 %", text)


def test_quantiles_are_those_of_the_scores(page: Page, swept: Swept) -> None:
    table = page.table("Score below which")
    for label in ("one", "two"):
        scores = [float(row[label]) for row in swept.rows if row["status"] == "ok"]
        (cells,) = [row for row in table.rows if row[0] == label]
        wanted = np.quantile(scores, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf")
        # Half a step of 0.0001, and half of the last decimal that is written.
        np.testing.assert_allclose([float(c) for c in cells[1:6]], wanted, atol=1.01e-4, rtol=0)
    flagged = sum(row["one_flag"] == "1" for row in swept.rows)
    assert table.column(7)["one"] == f"{flagged} ({100 * flagged / 40:.1f} %)"
    assert table.column(6) == {"one": "0.5", "two": "none"}


@pytest.mark.parametrize("label", ["one", "two"])
def test_bars_have_the_heights_of_their_counts(page: Page, swept: Swept, label: str) -> None:
    drawing = page.drawing(f"Histogram of the score {label}")
    scores = np.array([float(row[label]) for row in swept.rows if row["status"] == "ok"])
    wanted = np.bincount(np.floor(scores * 40 + 1e-9).astype(int).clip(max=39), minlength=40)
    left, wide = drawing.scale("x", "middle")
    _, tall = drawing.scale("y", "end")
    found = np.zeros(40)
    for bar in drawing.of("rect"):
        place = (float(bar["x"]) - left) / wide * 40
        assert place == pytest.approx(round(place), abs=0.01)  # two decimals are written
        found[round(place)] = float(bar["height"]) / -tall
    np.testing.assert_allclose(found, wanted, atol=0.01)
    assert bool(drawing.of("polyline")) == (label == "one")  # its threshold


def test_pace_is_that_of_the_shards(page: Page, swept: Swept) -> None:
    with (swept.run / "throughput.csv").open(newline="") as stream:
        shards = list(csv.DictReader(stream))
    assert len(shards) == 8
    table = page.table("Seconds by stage")
    for stage in ("read", "gate", "decode", "network", "write"):
        spent = sum(float(shard[f"{stage}_s"]) for shard in shards)
        bound = sum(float(shard["wall_s"]) for shard in shards if shard["binding"] == stage)
        assert float(table.column(1)[stage]) == pytest.approx(spent, abs=0.051)  # one decimal
        assert float(table.column(2)[stage]) == pytest.approx(bound, abs=0.051)
    drawing = page.drawing("Radiographs per second")
    _, tall = drawing.scale("y", "end")
    heights = [float(bar["height"]) / -tall for bar in drawing.of("rect")]
    rates = [int(shard["radiographs"]) / float(shard["wall_s"]) for shard in shards]
    # Two decimals are written; a bar is one unit high at least.
    np.testing.assert_allclose(heights, np.maximum(rates, 1 / -tall), atol=0.02 / -tall)
    lanes = page.drawing("Stage that the sweep waited for")
    names = [text for a, text in lanes.texts if a["class"] == "tick end"]
    assert set(names) == {shard["binding"] for shard in shards}


def test_page_can_be_read_aloud(swept: Swept, tmp_path: Path) -> None:
    words = [swept.run, swept.labels, *EVALUATED, "--by", "<i>site", "--images"]
    page = page_of(tmp_path / "report.html", *words)
    assert page.unclosed == []
    (root,) = page.of("html")
    assert root["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.of(landmark)) == 1
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(table.caption for table in page.tables)
    assert all(cell["scope"] in ("col", "row") for cell in page.of("th"))
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 30 for svg in page.of("svg"))
    assert all(image["alt"] for image in page.of("img"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    named = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    assert named <= set(ids)
    assert {link["href"].removeprefix("#") for link in page.of("a")} <= set(ids)


def test_page_asks_for_nothing_and_runs_nothing(swept: Swept, tmp_path: Path) -> None:
    page = page_of(tmp_path / "report.html", swept.run, "--images")
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {
        t for t, _ in page.elements
    }
    for _, attributes in page.elements:
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    policies = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    assert policies[0].startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "url(" not in (tmp_path / "report.html").read_text()


def test_text_of_others_stays_text(swept: Swept, tmp_path: Path) -> None:
    words = [swept.run, swept.labels, *EVALUATED, "--by", "<i>site", "--images"]
    page = page_of(tmp_path / "report.html", *words)
    text = "".join(page.texts)
    for foreign in ("<script>alert(3)</script>", "<script>B", "<i>site", "<b>empty"):
        assert foreign in text
    assert "<script>alert(1)<script>.jpg" in text
    constant = '"><img src=x onerror=alert(2)> & more.png'
    assert constant in text
    assert f"Radiograph {constant}" in {image["alt"] for image in page.of("img")}
    assert not {"script", "i", "b"} & {tag for tag, _ in page.elements}


def test_it_says_once_that_it_is_no_diagnosis(page: Page) -> None:
    assert "".join(page.texts).lower().count("a diagnosis") == 1


def test_figures_and_curves_are_those_of_evaluate(swept: Swept, tmp_path: Path) -> None:
    page = page_of(tmp_path / "report.html", swept.run, swept.labels, *EVALUATED)
    words = ["evaluate", swept.run, swept.labels, *EVALUATED, "--json", tmp_path / "e.json"]
    assert invoked(*words).exit_code == 0
    found = json.loads((tmp_path / "e.json").read_text())["labels"]["one"]
    cells = page.table("Figures with their intervals").column(1)
    auc = found["auc"]
    wanted = f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    assert cells["AUC"] == wanted
    assert int(cells["True positive"]) == found["confusion"]["true_positive"]
    for start, name in (("ROC", "roc"), ("Precision", "precision_recall"), ("Cal", "calibration")):
        drawing = page.drawing(start)
        left, wide = drawing.scale("x", "middle")
        low, tall = drawing.scale("y", "end")
        points = [point.split(",") for point in drawing.of("polyline")[1]["points"].split()]
        drawn = np.array(points, float)
        curve = found["curves"][name]
        # Places are written with two decimals.
        np.testing.assert_allclose((drawn[:, 0] - left) / wide, curve["x"], atol=1e-4)
        np.testing.assert_allclose((drawn[:, 1] - low) / tall, curve["y"], atol=1e-4)


def test_pictures_show_radiographs_with_their_boxes(swept: Swept, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    page = page_of(path, swept.run, "--images")
    assert path.stat().st_mode & 0o777 == 0o600
    rows = {row["radiograph"]: row for row in swept.rows if row["status"] == "ok"}
    best = sorted(rows, key=lambda name: -float(rows[name]["one"]))[:8]
    alts = [image["alt"].split(" with its")[0] for image in page.of("img")]
    assert alts[:8] == [f"Radiograph {name}" for name in best]
    boxed = 0
    for image in page.of("img")[:8]:
        content = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).astype(int)
        row = rows[image["alt"].removeprefix("Radiograph ").removesuffix(" with its lung box")]
        longest = max(int(row["width"]), int(row["height"]))
        assert max(pixels.shape) == min(240, longest)
        yellow = (pixels[..., 2] - pixels[..., 0]) > 100
        assert yellow.any() == ("no_lung" not in row["flags"])
        if yellow.any():
            boxed += 1
            across, down = np.flatnonzero(yellow.any(0)), np.flatnonzero(yellow.any(1))
            scale = min(1, 240 / longest)
            found = [across[0], down[0], across[-1] + 1, down[-1] + 1]
            wanted = [int(row[side]) * scale for side in ("x0", "y0", "x1", "y1")]
            # A line of two pixels around a rounded edge, blurred by the JPEG.
            np.testing.assert_allclose(found, wanted, atol=3)
    assert boxed > 0


def test_failed_radiographs_have_a_picture_or_the_reason(swept: Swept, tmp_path: Path) -> None:
    page = page_of(tmp_path / "report.html", swept.run, "--images")
    text = "".join(page.texts)
    assert "No picture: NOT_AN_IMAGE" in text
    assert "CONSTANT" in text
    assert sum("onerror" in image["alt"] for image in page.of("img")) == 1


def test_pictures_need_the_archive(
    swept: Swept, tmp_path: Path, movable: Callable[[], None]
) -> None:
    movable()
    done = invoked("report", swept.run, "--images", "-o", tmp_path / "report.html")
    assert done.exit_code == 1
    assert "bring the archive back, or leave out --images" in done.stderr
    assert not (tmp_path / "report.html").exists()
    page_of(tmp_path / "report.html", swept.run)


def test_same_run_gives_the_same_page(swept: Swept, tmp_path: Path) -> None:
    page_of(tmp_path / "a.html", swept.run)
    page_of(tmp_path / "b.html", swept.run)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_page_lies_in_the_run_folder_and_the_sweep_goes_on(swept: Swept, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(swept.run, run)
    done = invoked("report", run)
    assert done.exit_code == 0, done.output
    assert (run / "report.html").exists()
    bundle = swept.run.parent / "bundle"
    words = ["sweep", swept.archive, "-b", bundle, "-o", run, "--shard-size", 6]
    assert invoked(*words, "--no-supervisor").exit_code == 3


def test_hundred_thousand_rows_are_a_small_page(swept: Swept, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(swept.run, run, ignore=shutil.ignore_patterns("results.csv"))
    head, *rows = (swept.run / "results.csv").read_text().splitlines()
    with (run / "results.csv").open("w") as stream:
        stream.write(head + "\n")
        for number in range(100_000):
            stream.write(rows[number % len(rows)] + "\n")
    page = page_of(tmp_path / "report.html", run)
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    counted = sum(numbers(page.table("Failures by code").column(1)).values())
    failed = [not row["error"] for row in swept.rows].count(False)
    rest = [row["error"] != "" for row in swept.rows[: 100_000 % len(rows)]].count(True)
    assert counted == 100_000 // len(rows) * failed + rest


def test_tally_needs_no_more_memory_for_more_rows(swept: Swept) -> None:
    recipe, rows = recipe_of_run(swept.run), swept.rows

    def repeated(count: int) -> Iterator[dict[str, str]]:
        return (rows[number % len(rows)] for number in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        tally_of(recipe, repeated(count), 8)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(12_000) < peak(1_000) + 50_000  # a row alone takes over 500 bytes


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda text: text.replace("ok,,0.", "ok,,x."), "row 2 of results.csv is damaged"),
        (lambda text: text.replace("TRUNCATED", "LOST"), "is damaged ('LOST'"),
        (lambda text: text.replace("radiograph,", "file,", 1), "does not have the columns"),
        (None, "the sweep is not finished; start the same command again"),
    ],
)
def test_damaged_tables_are_told(
    swept: Swept, tmp_path: Path, changed: Callable[[str], str] | None, words: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(swept.run, run)
    results = run / "results.csv"
    if changed is None:
        results.unlink()
    else:
        results.write_text(changed(results.read_text()))
    done = invoked("report", run)
    assert done.exit_code == 1
    assert words in done.stderr


def test_options_of_evaluate_need_labels(swept: Swept) -> None:
    done = invoked("report", swept.run, "--group", "patient")
    assert done.exit_code == 2
    assert "--group needs LABELS" in done.stderr
