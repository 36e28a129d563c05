"""Files for others, held against what their readers ask for and against the result's own JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cxrsweep.bench.reports.writers import bencher_text, csv_text, github_text
from cxrsweep.bench.results import Result, Rivals, write_result
from cxrsweep.engine.cli import cxrsweep

KINDS = ("latency", "throughput", "cold", "rivals", "gate", "compare")
Results = dict[str, Result]


def plain(result: Result) -> Any:
    return json.loads(result.model_dump_json())


def rows_of(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(result))))


@pytest.mark.parametrize("kind", KINDS)
def test_bencher_file_keeps_its_schema(result_of: Results, kind: str) -> None:
    # https://bencher.dev/v0/bmf.json and the lengths of its reference page.
    benchmarks = json.loads(bencher_text(result_of[kind]))
    assert benchmarks
    for name, measures in benchmarks.items():
        assert 0 < len(name) <= 1024
        assert measures
        for measure, metric in measures.items():
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", measure)
            assert len(measure) <= 64
            assert {"value"} <= metric.keys() <= {"value", "lower_value", "upper_value"}
            assert all(type(number) in (int, float) for number in metric.values())


@pytest.mark.parametrize("kind", KINDS)
def test_github_file_is_what_the_action_reads(result_of: Results, kind: str) -> None:
    # BenchmarkResult of the action: name, unit and value, range and extra as text if at all.
    entries = json.loads(github_text(result_of[kind]))
    assert entries, "the action fails on an empty list"
    for entry in entries:
        assert {"name", "unit", "value"} <= entry.keys()
        assert entry.keys() <= {"name", "unit", "value", "range", "extra"}
        assert type(entry["value"]) in (int, float)
        assert all(isinstance(entry[key], str) for key in entry.keys() - {"value"})
    # It follows an entry from commit to commit by its name.
    assert len({entry["name"] for entry in entries}) == len(entries)


def test_latency_is_in_nanoseconds_for_bencher_and_milliseconds_elsewhere(
    result_of: Results,
) -> None:
    result = result_of["latency"]
    batch = plain(result)["batches"][1]
    file = batch["file_to_scores"]
    found = json.loads(bencher_text(result))["batch 4 from files"]
    # Bencher's own measure `latency` is in ns; 1e-12: rounding of one product.
    assert found["latency"] == pytest.approx(
        {
            "value": file["p50_ms"] * 1e6,
            "lower_value": file["p50_low_ms"] * 1e6,
            "upper_value": file["p50_high_ms"] * 1e6,
        },
        rel=1e-12,
    )
    assert found["latency-p99"]["value"] == pytest.approx(file["p99_ms"] * 1e6, rel=1e-12)
    entries = {entry["name"]: entry for entry in json.loads(github_text(result))}
    entry = entries["batch 4 from network: latency"]
    assert (entry["value"], entry["unit"]) == (batch["p50_ms"], "ms")
    assert entry["extra"].startswith("too noisy")
    low, high = map(float, entry["range"].split(" to "))
    # Six digits are shown.
    assert (low, high) == pytest.approx((batch["p50_low_ms"], batch["p50_high_ms"]), rel=1e-5)
    row = rows_of(result)[5]
    assert (row["batch"], row["from"], row["is_steady"]) == ("4", "files", "False")
    assert {key: float(row[key]) for key in file if key.endswith("_ms")} == {
        key: value for key, value in file.items() if key.endswith("_ms")
    }


def test_throughput_rows_have_the_sweep_and_every_stage(result_of: Results) -> None:
    result = result_of["throughput"]
    told = plain(result)
    rows = {row["name"]: row for row in rows_of(result)}
    sweep = rows["sweep"]
    assert float(sweep["per_s"]) == told["end_to_end_per_s"]
    assert (float(sweep["per_s_low"]), float(sweep["per_s_high"])) == (190.25, 211.75)
    assert float(sweep["efficiency_min"]) == told["efficiency"]["min"]
    assert float(sweep["efficiency_shared"]) == told["efficiency"]["shared"]
    assert float(sweep["mp_per_s"]) == told["end_to_end_per_s"] * told["files"]["megapixels"]
    assert float(rows["all stages, sharing"]["per_s"]) == told["shared_per_s"]
    for stage in told["stages"]:
        row = rows[stage["name"]]
        assert row["what"] == "stage alone"
        for unit in ("per_s", "mp_per_s", "mb_per_s"):
            assert float(row[unit]) == stage[f"ceiling_{unit}"]
    assert {name: row["mark"] for name, row in rows.items() if row["mark"]} == {
        "network": "binds",
        "decode": "next",
    }
    for row in rows.values():
        assert (row["batch"], row["threads"], row["cores"], row["cache"]) == (
            "64", "16", "96", "warm",
        )  # fmt: skip
        assert (row["radiographs"], row["megapixels"], row["kilobytes"]) == ("700", "2.5", "800.0")
        assert row["codecs"].startswith("100 jpeg, 100 png")


def test_throughput_figures_for_trackers(result_of: Results) -> None:
    told = plain(result_of["throughput"])
    found = json.loads(bencher_text(result_of["throughput"]))
    assert found.pop("sweep") == {
        "throughput": {"value": 205.5, "lower_value": 190.25, "upper_value": 211.75},
        "efficiency-shared": {"value": told["efficiency"]["shared"]},
        "efficiency-min": {"value": told["efficiency"]["min"]},
    }
    assert found.pop("all stages, sharing") == {"throughput": {"value": told["shared_per_s"]}}
    assert found == {
        stage["name"]: {"throughput": {"value": stage["ceiling_per_s"]}} for stage in told["stages"]
    }


def test_cold_figures_stand_beside_warm_ones_under_names_of_their_own(result_of: Results) -> None:
    result = result_of["cold"]
    found = json.loads(bencher_text(result))
    warm = {name for name in found if not name.endswith(", cold cache")}
    assert {f"{name}, cold cache" for name in warm} == set(found) - warm
    for name in warm:
        rates = (found[n]["throughput"]["value"] for n in (name, f"{name}, cold cache"))
        assert next(rates) / next(rates) == pytest.approx(3)
    rows = rows_of(result)
    assert [row["cache"] for row in rows] == ["warm"] * 7 + ["cold"] * 7
    assert [row["name"] for row in rows[:7]] == [row["name"] for row in rows[7:]]
    assert float(rows[0]["per_s"]) / float(rows[7]["per_s"]) == pytest.approx(3)


def test_rivals_with_other_scores_are_in_the_table_alone(result_of: Results) -> None:
    result = result_of["rivals"]
    assert isinstance(result, Rivals)
    told = plain(result)["rivals"]
    rows = [row for row in rows_of(result) if row["what"] == "rival"]
    assert [row["scores_agree"] for row in rows] == ["True", "True", "True", "False"]
    for row, rival in zip(rows, told, strict=True):
        for key in ("per_s", "ratio", "ratio_low", "ratio_high", "largest_score_difference"):
            assert float(row[key]) == rival[key]
        ends = float(row["per_s_low"]), float(row["per_s_high"])
        assert ends == (min(rival["per_s_rounds"]), max(rival["per_s_rounds"]))
    found = json.loads(bencher_text(result))
    ratios = {name: measures["rate-ratio"] for name, measures in found.items() if "over" in name}
    assert ratios == {
        f"sweep over {rival['name']}": {
            "value": rival["ratio"],
            "lower_value": rival["ratio_low"],
            "upper_value": rival["ratio_high"],
        }
        for rival in told[:3]
    }


def test_a_ratio_of_one_round_has_no_ends(result_of: Results) -> None:
    rivals = result_of["rivals"]
    assert isinstance(rivals, Rivals)
    one = rivals.rivals[0].model_copy(update={"ratio_low": None, "ratio_high": None})
    result = rivals.model_copy(update={"rivals": [one]})
    (name,) = (name for name in json.loads(bencher_text(result)) if "over" in name)
    assert json.loads(bencher_text(result))[name] == {"rate-ratio": {"value": one.ratio}}
    assert "range" not in json.loads(github_text(result))[-1]
    assert rows_of(result)[-1]["ratio_low"] == ""


@pytest.mark.parametrize("kind", ["gate", "compare"])
def test_verdicts_are_written_with_their_ratios(result_of: Results, kind: str) -> None:
    result = result_of[kind]
    told = plain(result)
    figures = told["stages" if kind == "gate" else "figures"]
    found = json.loads(bencher_text(result))
    rows = rows_of(result)
    for entry, row, figure in zip(json.loads(github_text(result)), rows, figures, strict=True):
        assert entry["value"] == float(row["ratio"]) == figure["ratio"]
        assert found[figure["name"]]["time-ratio"]["upper_value"] == figure["ratio_high"]
        assert row["verdict"] == figure["verdict"]
        assert entry["extra"].startswith(figure["verdict"])
        assert row["against"] == told.get("against", "2026-03-01T05:06:07+0000")


@pytest.mark.parametrize(
    ("kind", "tool"),
    [("latency", "Smaller"), ("throughput", "Bigger"), ("rivals", "Bigger"), ("gate", "Smaller")],
)
def test_command_writes_and_names_the_tool(
    result_of: Results, tmp_path: Path, kind: str, tool: str
) -> None:
    source, target = tmp_path / "result.json", tmp_path / "out.json"
    write_result(source, result_of[kind])
    words = ["bench", "convert", str(source), "--format", "github", "-o", str(target)]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"tool: custom{tool}IsBetter\n"
    assert target.read_text() == github_text(result_of[kind])


def test_the_result_itself_is_never_overwritten(result_of: Results, tmp_path: Path) -> None:
    source = tmp_path / "result.json"
    write_result(source, result_of["gate"])
    before = source.read_bytes()
    words = ["bench", "convert", str(source), "--format", "github", "-o", str(source)]
    done = CliRunner().invoke(cxrsweep, words)
    assert done.exit_code == 2
    assert "write to another file" in done.stderr
    assert source.read_bytes() == before


def test_foreign_files_and_missing_folders_are_told(result_of: Results, tmp_path: Path) -> None:
    source = tmp_path / "foreign.json"
    source.write_text('{"benchmarks": []}')
    words = ["bench", "convert", str(source), "--format", "csv", "-o"]
    done = CliRunner().invoke(cxrsweep, [*words, str(tmp_path / "a.csv")])
    assert done.exit_code == 1
    assert "no result of `cxrsweep bench`" in done.stderr
    assert not (tmp_path / "a.csv").exists()
    done = CliRunner().invoke(cxrsweep, [*words, str(tmp_path / "nowhere" / "a.csv")])
    assert done.exit_code == 2
    assert "no folder that can be written to" in done.stderr
