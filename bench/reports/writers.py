"""A result in, text for a spreadsheet or for a tracker of benchmarks out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from cxrsweep.bench.reports.figures import Figure, figures_of
from cxrsweep.bench.results import Gate, Latency, Result, Rivals, Spread, Throughput

Row = dict[str, object]
NS_PER_MS = 1e6


def bencher_text(result: Result) -> str:
    """Bencher Metric Format: benchmark -> measure -> value and its ends.

    Latency is in nanoseconds, as Bencher's own measure of that name is.

    Source: https://bencher.dev/docs/reference/bencher-metric-format
    """
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for figure in figures_of(result):
        scale = NS_PER_MS if figure.unit == "ms" else 1
        metric = {"value": figure.value * scale}
        if figure.low is not None and figure.high is not None:
            metric |= {"lower_value": figure.low * scale, "upper_value": figure.high * scale}
        benchmarks.setdefault(figure.name, {})[figure.measure] = metric
    return json.dumps(benchmarks, indent=2, allow_nan=False) + "\n"


def github_text(result: Result) -> str:
    """What github-action-benchmark reads as customBiggerIsBetter or customSmallerIsBetter.

    Source: https://github.com/benchmark-action/github-action-benchmark#examples
    """
    about = [result.setup.machine_in_words(result.threads), result.files.in_words()]
    if not isinstance(result, Latency):
        about.append(f"batch {result.batch}")
    entries = [_github_entry(figure, about) for figure in figures_of(result)]
    return json.dumps(entries, indent=2, allow_nan=False) + "\n"


def _github_entry(figure: Figure, about: list[str]) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": f"{figure.name}: {figure.measure}",
        "unit": figure.unit,
        "value": figure.value,
    }
    if figure.low is not None and figure.high is not None:
        entry["range"] = f"{figure.low:.6g} to {figure.high:.6g}"
    entry["extra"] = "\n".join([figure.note, *about] if figure.note else about)
    return entry


def csv_text(result: Result) -> str:
    """A row per thing that was measured; every row also says what it was measured with."""
    about = {
        "kind": result.kind,
        **result.setup.model_dump(exclude={"versions"}),
        **result.files.model_dump(),
        "codecs": result.files.codecs_in_words(),
        "threads": result.threads,
    }
    # A row knows its own cache better than the result it stands in.
    rows = [{**row, **about, **row} for row in _rows(result)]
    stream = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _rows(result: Result) -> Iterator[Row]:
    if isinstance(result, Latency):
        for batch in result.batches:
            for start, spread in batch.by_start().items():
                figures = {key: getattr(spread, key) for key in Spread.model_fields}
                yield {"batch": batch.batch, "from": start, **figures}
    elif isinstance(result, Throughput):
        yield from _rows_of_sweep(result)
        if result.cold:
            yield from _rows_of_sweep(result.cold)
    elif isinstance(result, Rivals):
        yield from _rows_of_sweep(result.sweep)
        yield from _rows_of_rivals(result)
    else:
        judged = result.stages if isinstance(result, Gate) else result.figures
        against = result.against if isinstance(result, Gate) else result.first.started
        about = {"threshold": result.threshold, "against": against, "batch": result.batch}
        for figure in judged:
            yield {**figure.model_dump(), **about}


def _rows_of_sweep(result: Throughput) -> Iterator[Row]:
    marks = {result.binding: "binds", result.runner_up: "next"}
    rounds, files, batch = result.end_to_end_rounds, result.files, {"batch": result.batch}
    for name, what, rate in (
        ("sweep", "end to end", result.end_to_end_per_s),
        ("all stages, sharing", "limit", result.shared_per_s),
    ):
        row: Row = {"name": name, "what": what, "per_s": rate, "per_s_low": "", "per_s_high": ""}
        row |= {"mp_per_s": rate * files.megapixels, "mb_per_s": rate * files.kilobytes / 1e3}
        if what == "end to end":
            row |= {"per_s_low": min(rounds), "per_s_high": max(rounds)}
            row |= {f"efficiency_{key}": value for key, value in result.efficiency}
            row["hardware_share"] = result.hardware_share
        yield {**row, "mark": "", "cache": files.cache, **batch}
    for stage in result.stages:
        figures = {key.removeprefix("ceiling_"): value for key, value in stage}
        yield {"what": "stage alone", **figures, "mark": marks.get(stage.name, ""), **batch}


def _rows_of_rivals(result: Rivals) -> Iterator[Row]:
    for rival in result.rivals:
        rounds = rival.per_s_rounds
        figures = rival.model_dump(exclude={"per_s_rounds"})
        ends = {"per_s_low": min(rounds), "per_s_high": max(rounds)}
        yield {"what": "rival", **figures, **ends}
