"""`cxrsweep bench rivals`."""

from __future__ import annotations

import contextlib
import json
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import click
import numpy as np

from cxrsweep.bench.phantoms import write_whole
from cxrsweep.bench.race import Race, race

PHANTOMS = 40


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument(
    "archive", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--recipe", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Recipe with the weights that the bundle was exported from.  [default: demonstration]",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), default=5, help="Pairs of runs.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write JSON.")
def rivals(
    bundle: Path, archive: Path | None, recipe: Path | None, rounds: int, json_file: Path | None
) -> None:
    """Race the sweep against a well-written PyTorch DataLoader loop on the same files.

    The loop gets its best setting of several; scores are compared after timing; each stage of
    the sweep is measured alone, and E is the sweep's rate over that limit. Every file of ARCHIVE
    must decode; without one, 40 synthetic radiographs are drawn.

    \b
    Example:
        cxrsweep bench rivals demo/bundle
        cxrsweep bench rivals my-bundle radiographs/ --recipe my-recipe.toml
    """
    with contextlib.ExitStack() as stack:
        if archive is None:
            archive = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            write_whole(archive, PHANTOMS, np.random.default_rng(0))
        if recipe is None:
            recipe = stack.enter_context(as_file(files("cxrsweep.export.demo"))) / "recipe.toml"
        result = race(bundle, recipe, archive, rounds, lambda line: click.echo(line, err=True))
    click.echo(described_race(result))
    if json_file:
        json_file.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")


def described_race(result: Race) -> str:
    """Every figure of the race, a line each."""
    agreement = "same scores" if result.scores_agree else "OTHER SCORES, so the ratio is void"
    return "\n".join(
        [
            f"{result.radiographs} radiographs, mean {result.megapixels:.2f} MP and"
            f" {result.kilobytes:.0f} kB, warm cache",
            f"  sweep         {result.sweep_median:.1f}/s ({_span(result.sweep_per_s)})",
            f"  PyTorch loop  {_span(result.loop_per_s)}/s with {result.loop_settings}",
            f"  ratio         {result.ratio:.2f} (median of pairs); {agreement}: within"
            f" {result.largest_score_difference:.1e}",
            f"  read + gate alone  {result.ceiling(lambda c: c.read_and_gate):.1f}/s",
            f"  decode alone       {result.ceiling(lambda c: c.decode):.1f}/s",
            f"  network alone      {result.ceiling(lambda c: c.network):.1f}/s",
            f"  E of the slowest stage {result.efficiency(lambda c: c.least):.2f}; of the limit"
            f" when all stages share the cores ({result.ceiling(lambda c: c.shared):.1f}/s)"
            f" {result.efficiency(lambda c: c.shared):.2f}",
        ]
    )


def _span(rates: list[float]) -> str:
    return f"{min(rates):.1f} to {max(rates):.1f}"
