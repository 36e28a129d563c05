"""Bundles and runs in words that a person reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cxrsweep.engine.bundle import MANIFEST, Bundle, GraphAgreement, open_bundle
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.failures import REMEDIES, FailureCode
from cxrsweep.engine.meter import ShardMeter, shard_meter_from_json, total_of
from cxrsweep.engine.plans.precision import described_precision
from cxrsweep.engine.plans.store import PlanStore
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runs.joining import SweepSummary
from cxrsweep.engine.runs.run_folder import read_record

EXAMPLES = 3


def described(folder: Path) -> str:
    """Describe whatever lies in `folder`.

    Raises:
        RunError: neither a bundle nor a run.
        BundleError: a damaged bundle.
    """
    if (folder / MANIFEST).exists():
        return described_bundle(open_bundle(folder))
    if (folder / "run.json").exists():
        return described_run(folder)
    raise RunError(f"{folder} is neither a bundle (no {MANIFEST}) nor a run (no run.json)")


def described_bundle(bundle: Bundle) -> str:
    """Labels, recipe, files and agreement of a verified bundle."""
    manifest, recipe = bundle.manifest, bundle.recipe
    lines = [
        f"Bundle {recipe.name} (schema {manifest.schema_version}), every file verified",
        f"  use          {recipe.intended_use}",
        f"  labels       {', '.join(bundle.labels)} ({recipe.classifier.activation})",
        *_recipe_lines(recipe),
        f"  fingerprint  {bundle.fingerprint[:16]}",
        "Files",
        *(
            f"  {name:<18} {file.size:>10} bytes  sha256 {file.sha256[:16]}"
            for name, file in manifest.files.items()
        ),
        *(
            f"  {part} weights came from sha256 {digest[:16]}"
            for part, digest in manifest.source_weights.items()
        ),
        *_plan_lines(bundle),
        f"Made with {', '.join(f'{tool} {number}' for tool, number in manifest.tools.items())}",
        f"Agreement with PyTorch in fp32, on {manifest.agreement.source}",
        *(_agreement_line(result) for result in manifest.agreement.results),
    ]
    if recipe.attribution:
        lines += ["Attribution", *(f"  {line}" for line in recipe.attribution)]
    return "\n".join(lines)


def _plan_lines(bundle: Bundle) -> list[str]:
    return [
        f"  {path.parent.name}/{path.name}  batch {sidecar.settings.batch},"
        f" {sidecar.identity['flavour']} {sidecar.identity['version']}, for"
        f" {sidecar.identity['gpu']} ({sidecar.identity['compute_capability']}):"
        f" {described_precision(sidecar.precision)}"
        for path, sidecar in PlanStore(bundle).sidecars().items()
    ]


def _recipe_lines(recipe: Recipe) -> list[str]:
    lines = [
        f"  input        {recipe.side} x {recipe.side} uint8, fit {recipe.fit},"
        f" equalise {recipe.equalise}"
    ]
    if recipe.segmenter:
        crop = recipe.crop
        lines.append(
            f"  lungs        segmented at {recipe.segmenter.side} px, threshold"
            f" {recipe.segmenter.threshold:g}, crop margin {crop.margin:g}"
            + (", blackout outside" if crop.blackout else "")
        )
    lines.append(
        f"  classifier   {recipe.classifier.side} px, {recipe.classifier.channels} channel"
    )
    if recipe.thresholds:
        pairs = ", ".join(f"{label} >= {value:g}" for label, value in recipe.thresholds.items())
        lines.append(f"  decisions    {pairs}")
    if recipe.probe != "none":
        lines.append("  probe        also scores the radiograph without its lungs")
    return lines


def _agreement_line(result: GraphAgreement) -> str:
    return (
        f"  {result.graph:<16} {result.runtime:<13}"
        f" scores within {result.largest_score_difference:.1e},"
        f" boxes within {result.largest_box_shift_px:.2f} px,"
        f" {result.decision_flips} decision flips (worst: {result.worst})"
    )


def described_run(folder: Path) -> str:
    """State, counts, timing and failures of a run folder."""
    record = read_record(folder)
    figures = sorted((folder / "parts").glob("*.json"))
    meter = total_of(shard_meter_from_json(json.loads(path.read_text())) for path in figures)
    running = "sweeping, or killed: start the same command again to go on"
    lines = [
        f"Run {folder}: {running if record['status'] == 'sweeping' else record['status']}",
        f"  bundle       {record['bundle']['name']} ({record['bundle']['fingerprint'][:16]})",
        *(f"  archive      {archive}" for archive in record["archives"]),
        f"  started      {', '.join(start['started'] for start in record['starts'])}",
        f"  on           {record['hardware']['cpu']}, {record['hardware']['cores']} cores",
        f"  radiographs  {record['counts']['indexed']} indexed,"
        f" {meter.radiographs - meter.failed} ok, {meter.failed} failed",
        *_timing_lines(meter),
        *_failure_lines(meter.failures),
    ]
    lines += _failure_examples(folder)
    lines.append(f"  use          {record['bundle']['recipe']['intended_use']}")
    return "\n".join(lines)


def described_summary(summary: SweepSummary) -> str:
    """The end of a sweep: counts, rate, seconds per stage, what bound it, where the results are."""
    meter, share = summary.meter, summary.share
    pending = summary.indexed - summary.ok - summary.failed
    equation = f"{summary.indexed} radiographs = {summary.ok} ok + {summary.failed} failed"
    equation += f" + {pending} still to do" if pending else ""
    lines = [f"share {share}: {equation}" if share else equation, *_timing_lines(meter)]
    lines += _failure_lines(meter.failures)
    lines += [f"  note         {note}" for note in summary.notes]
    if not summary.is_finished:
        lines.append("  not finished: start the same command again to go on")
    elif share:
        lines.append(f"  finished, as one of {share.count} shares: cxrsweep join {summary.run}")
    else:
        lines.append(f"  results      {summary.run / 'results.csv'}")
        lines.append(f"  use          {summary.intended_use}")
    return "\n".join(lines)


def summary_as_json(summary: SweepSummary) -> dict[str, Any]:
    """Plain values of the end of a sweep."""
    return {
        "run": str(summary.run),
        "indexed": summary.indexed,
        "ok": summary.ok,
        "failed": summary.failed,
        "is_finished": summary.is_finished,
        "meter": summary.meter.as_json(),
        "intended_use": summary.intended_use,
    }


def _timing_lines(meter: ShardMeter) -> list[str]:
    if not meter.radiographs:
        return []
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in meter.seconds.items())
    megapixels = meter.pixels / meter.radiographs / 1e6
    kilobytes = meter.bytes / meter.radiographs / 1e3
    return [
        f"  rate         {meter.rate:.1f} radiographs/s over {meter.wall_s:.1f} s"
        f" (all files; mean {megapixels:.2f} MP, {kilobytes:.0f} kB)",
        f"  seconds      {seconds} (they overlap)",
        f"  bound by     {meter.binding}",
    ]


def _failure_lines(failures: dict[str, int]) -> list[str]:
    return [
        f"  {code:<12} {count}: {REMEDIES[FailureCode(code)]}"
        for code, count in sorted(failures.items())
    ]


def _failure_examples(folder: Path) -> list[str]:
    """The first few failed rows, from the joined table or from the parts."""
    results = folder / "results.csv"
    paths = [results] if results.exists() else sorted((folder / "parts").glob("*.csv"))
    lines = []
    for row in _failed_rows(paths):
        lines.append(f"    {row['error']:<12} {row['radiograph']!r}")
        if len(lines) == EXAMPLES:
            break
    return [f"  for example, of {folder / 'log.jsonl'}:", *lines] if lines else []


def _failed_rows(paths: Iterable[Path]) -> Iterable[dict[str, Any]]:
    for path in paths:
        with path.open(newline="", encoding="utf-8") as stream:
            yield from (row for row in csv.DictReader(stream) if row["status"] == "failed")
