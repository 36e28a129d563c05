"""Plots, read back from their objects: what is drawn is what the result says."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from cxrsweep.bench.reports.plots import STYLE, drawn, write_plot
from cxrsweep.bench.results import Gate, Latency, Result, Rivals, Throughput, write_result
from cxrsweep.engine.cli import cxrsweep

KINDS = ("latency", "throughput", "cold", "rivals", "gate", "compare")
Results = dict[str, Result]


def words_of(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(Text)]  # type: ignore[attr-defined]
    return "\n".join(found)


def lines_of(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """Label -> x and y of a line."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in axes.lines
    }


def check_stages(axes: Axes, result: Throughput) -> None:
    bars = axes.patches[: len(result.stages)]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        stage.name for stage in result.stages
    ]
    assert [bar.get_width() for bar in bars] == [s.ceiling_per_s for s in result.stages]  # type: ignore[attr-defined]
    hatched = [s.name for s, bar in zip(result.stages, bars, strict=True) if bar.get_hatch()]
    assert hatched == [result.binding]
    (binds,) = (text.get_text() for text in axes.texts if "binds" in text.get_text())
    slowest = min(stage.ceiling_per_s for stage in result.stages)
    assert binds == f"{slowest:,.1f} binds"
    lines = {label.split(":")[0]: x for label, (x, _) in lines_of(axes).items()}
    assert set(lines["sweep, end to end"]) == {result.end_to_end_per_s}
    assert set(lines["limit, all stages on the same cores"]) == {result.shared_per_s}
    span = axes.patches[-1].get_extents().transformed(axes.transData.inverted())
    rounds = result.end_to_end_rounds
    # A trip to pixels and back rounds.
    assert (span.x0, span.x1) == pytest.approx((min(rounds), max(rounds)), rel=1e-9)
    assert axes.get_xlim()[1] > max(slowest, result.shared_per_s, *rounds)
    assert "radiographs per second" in axes.get_xlabel()


def test_stages_are_bars_beside_sweep_and_limit(result_of: Results) -> None:
    result = result_of["throughput"]
    assert isinstance(result, Throughput)
    (axes,) = drawn(result).axes
    check_stages(axes, result)
    cut = [text.get_text() for text in axes.texts if "→" in text.get_text()]
    assert cut == ["90,000 →", "5,000 →"]  # more than six times the slowest
    assert "→" in axes.get_xlabel()


def test_a_cold_sweep_has_bars_of_its_own(result_of: Results) -> None:
    warm, cold = drawn(result_of["cold"]).axes
    lengths = [[bar.get_width() for bar in axes.patches[:5]] for axes in (warm, cold)]  # type: ignore[attr-defined]
    assert lengths[0] == pytest.approx([3 * length for length in lengths[1]])
    assert "cold cache" in cold.get_title(loc="left")
    assert "cold" not in warm.get_title(loc="left")


def test_every_percentile_and_rate_of_latency_is_drawn(result_of: Results) -> None:
    result = result_of["latency"]
    assert isinstance(result, Latency)
    *panels, rates = drawn(result).axes
    sizes = [1, 4, 64]
    for axes, start in zip(panels, ("network", "host", "files"), strict=True):
        spreads = [batch.by_start()[start] for batch in result.batches]
        lines = lines_of(axes)
        for percentile in ("p50", "p90", "p95", "p99"):
            values = [getattr(spread, f"{percentile}_ms") for spread in spreads]
            assert lines[percentile] == (sizes, values)
        assert lines["p50 not known to 2 %"] == ([4], [spreads[1].p50_ms])
        (intervals,) = axes.findobj(LineCollection)
        expected = [
            [[size, s.p50_low_ms], [size, s.p50_high_ms]]
            for size, s in zip(sizes, spreads, strict=True)
        ]
        assert np.array_equal(intervals.get_segments(), expected)  # type: ignore[attr-defined]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "64"]
    assert panels[0].get_ylabel() == "milliseconds per batch"
    found = list(lines_of(rates).values())
    assert found == [
        (sizes, [batch.by_start()[start].per_s for batch in result.batches])
        for start in ("network", "host", "files")
    ]
    assert rates.get_ylim()[0] == 0
    assert "radiographs per second" in rates.get_ylabel()


@pytest.mark.parametrize("scale", [0.021, 0.3, 1.0, 7.0])
def test_one_size_of_batch_has_a_scale_that_can_be_read(result_of: Results, scale: float) -> None:
    result = result_of["latency"]
    assert isinstance(result, Latency)
    plain = result.model_dump()
    plain["batches"] = plain["batches"][:1]
    batch = plain["batches"][0]
    for spread in (batch, batch["host_to_scores"], batch["file_to_scores"]):
        spread |= {key: scale * spread[key] for key in spread if key.endswith("_ms")}
    axes = drawn(Latency.model_validate(plain)).axes[0]
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2


@pytest.mark.parametrize("kind", ["gate", "compare"])
def test_ratios_stand_beside_one_and_the_threshold(result_of: Results, kind: str) -> None:
    result = result_of[kind]
    (axes,) = drawn(result).axes
    told = [*(result.stages if isinstance(result, Gate) else result.figures)]  # type: ignore[union-attr]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]  # type: ignore[arg-type]
    for y, figure in enumerate(told):
        assert ([figure.ratio_low, figure.ratio_high], [y, y]) in lines
        assert ([figure.ratio], [y]) in lines
    shapes = [line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1]  # type: ignore[arg-type]
    assert shapes == ["o", "D", "s"]  # a verdict is known by its shape too
    notes = [text.get_text() for text in axes.texts]
    assert all(f.verdict in note for f, note in zip(told, notes, strict=True))
    named = lines_of(axes)
    assert named["1: as fast"][0] == [1, 1]
    assert named["threshold: 1.05"][0] == [1.05, 1.05]
    level = "99%" if kind == "gate" else "95%"
    assert f"{level} interval" in axes.get_xlabel()
    if isinstance(result, Gate):
        assert named["old over itself"] == ([stage.noise for stage in result.stages], [0, 1, 2])


def test_rivals_have_their_ratios_and_the_stages_of_the_sweep(result_of: Results) -> None:
    result = result_of["rivals"]
    assert isinstance(result, Rivals)
    race, stages = drawn(result).axes
    check_stages(stages, result.sweep)
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in race.lines]  # type: ignore[arg-type]
    for y, rival in enumerate(result.rivals):
        assert ([rival.ratio_low, rival.ratio_high], [y, y]) in lines
        assert ([rival.ratio], [y]) in lines
    notes = [text.get_text() for text in race.texts]
    assert ["does not count" in note for note in notes] == [False, False, False, True]


def test_a_ratio_of_one_round_is_drawn_without_interval(result_of: Results) -> None:
    result = result_of["rivals"]
    assert isinstance(result, Rivals)
    one = result.rivals[0].model_copy(update={"ratio_low": None, "ratio_high": None})
    race, _ = drawn(result.model_copy(update={"rivals": [one]})).axes
    assert [list(line.get_xdata()) for line in race.lines] == [[one.ratio], [1, 1]]  # type: ignore[arg-type]
    assert "of one round" in race.texts[0].get_text()
    assert "interval" not in race.get_xlabel()


@pytest.mark.parametrize("kind", KINDS)
def test_title_says_what_was_measured_on_what_and_when(result_of: Results, kind: str) -> None:
    result = result_of[kind]
    words = words_of(drawn(result)).replace("\n", " ")
    assert f"{result.setup.cpu}, {result.threads} of {result.setup.cores} cores" in words
    assert f"{result.files.radiographs} radiographs" in words
    assert f"mean {result.files.megapixels:.2f} MP" in words
    assert result.setup.started[:10] in words
    if kind == "compare":
        assert "first 2026-03-01 05:06, second 2026-03-04 05:06" in words
    if kind != "rivals":
        assert "NVIDIA H200" in words


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_lies_on_another_or_outside(result_of: Results, kind: str) -> None:
    with matplotlib.style.context(["default", STYLE]):
        figure = drawn(result_of[kind])
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]  # type: ignore[attr-defined]
    for axes in figure.axes:  # ticks that lie outside their axis are not drawn
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                for label in (tick.label1, tick.label2):
                    if not low <= tick.get_loc() <= high and label in texts:
                        texts.remove(label)
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_visible()]
    assert len(boxes) > 10
    for text, box in boxes:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for (one, box), (other, second) in combinations(boxes, 2):
        assert not box.overlaps(second), (one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_svg_is_the_same_every_time_and_its_text_is_text(
    result_of: Results, tmp_path: Path, kind: str
) -> None:
    contents = []
    for name in ("one.svg", "two.svg"):
        write_plot(result_of[kind], tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    root = ElementTree.fromstring(contents[0])
    text = " ".join(" ".join(root.itertext()).split())
    assert result_of[kind].setup.cpu in text
    assert str(result_of[kind].setup.bundle) in text  # a $ starts no formula
    assert not re.search(r"<dc:date>", contents[0].decode())


def test_command_draws_a_png(result_of: Results, tmp_path: Path) -> None:
    source, target = tmp_path / "result.json", tmp_path / "plot.png"
    write_result(source, result_of["throughput"])
    done = CliRunner().invoke(cxrsweep, ["bench", "plot", str(source), "-o", str(target)])
    assert done.exit_code == 0, done.output
    assert target.read_bytes().startswith(b"\x89PNG")


def test_another_ending_is_refused(result_of: Results, tmp_path: Path) -> None:
    source = tmp_path / "result.json"
    write_result(source, result_of["gate"])
    words = ["bench", "plot", str(source), "-o", str(tmp_path / "plot.pdf")]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 2
    assert "plot.pdf must end in .svg or .png" in done.stderr


def test_without_matplotlib_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.startswith(("matplotlib", "cxrsweep.bench.reports")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = CliRunner().invoke(cxrsweep, ["bench", "plot", "result.json", "-o", "plot.svg"])
    assert done.exit_code == 1
    assert "pip install -c constraints.txt '.[plots]'" in done.stderr
    # What needs no matplotlib goes on.
    assert CliRunner().invoke(cxrsweep, ["bench", "convert", "--help"]).exit_code == 0
