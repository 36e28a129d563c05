"""`cxrsweep bench rivals`."""

from __future__ import annotations

import contextlib
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

import click

from cxrsweep.bench.options import measured_command, opened_subject
from cxrsweep.bench.results import Rival, Rivals, write_result
from cxrsweep.bench.rivals_race import contestants_on_cpu, raced
from cxrsweep.bench.throughput_command import described_files, described_throughput
from cxrsweep.engine.recipe import recipe_from_toml


@click.command()
@measured_command(rounds=5)
@click.option(
    "--recipe", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Recipe with the weights that the bundle was exported from.  [default: demonstration]",
)  # fmt: skip
def rivals(
    bundle: Path,
    archive: Path | None,
    batch: int | None,
    threads: int,
    rounds: int,
    recipe: Path | None,
    json_file: Path | None,
) -> None:
    """Race the sweep against what else could be written, on the same files.

    PyTorch radiograph by radiograph, a well-written DataLoader loop, and OpenCV with ONNX Runtime,
    each at the best of several settings; all in turn, round after round. Scores are compared after
    timing: a rival with other scores is told, not counted. In every round each stage of the sweep
    is measured alone. Every file of ARCHIVE must decode; without one, synthetic radiographs are
    drawn.

    \b
    Example:
        cxrsweep bench rivals demo/bundle
        cxrsweep bench rivals my-bundle radiographs/ --recipe my-recipe.toml
    """
    _require_rivals()
    with contextlib.ExitStack() as stack:
        if recipe is None:
            recipe = stack.enter_context(as_file(files("cxrsweep.export.demo"))) / "recipe.toml"
        recipe_from_toml(recipe)  # a wrong one is told before anything is measured
        subject = stack.enter_context(opened_subject(bundle, archive, "cpu", batch, threads))
        result = raced(
            subject,
            contestants_on_cpu(subject, recipe),
            rounds,
            lambda line: click.echo(line, err=True),
        )
    click.echo(described_rivals(result))
    if json_file:
        write_result(json_file, result)


def _require_rivals() -> None:
    missing = [name for name in ("torch", "monai", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"the rivals need {', '.join(missing)}; in the checkout of cxrsweep:"
            " pip install -c constraints.txt torch '.[export]'"
        )


def described_rivals(result: Rivals) -> str:
    """Every figure of the race, a line each."""
    head = f"{'':32}{'per s':>8}   sweep is  95 % interval    scores"
    lines = [described_files(result.sweep), head, *map(_line, result.rivals)]
    return "\n".join([*lines, described_throughput(result.sweep)])


def _line(rival: Rival) -> str:
    interval = "of one round"
    if rival.ratio_low is not None and rival.ratio_high is not None:
        interval = f"{rival.ratio_low:.2f} to {rival.ratio_high:.2f}"
    agreement = f"within {rival.largest_score_difference:.0e}"
    if not rival.scores_agree:
        agreement = f"OTHER SCORES, by up to {rival.largest_score_difference:.2g}: does not count"
    return (
        f"{rival.name:32}{rival.per_s:8.1f}   {rival.ratio:.2f} x    {interval:15}  {agreement}"
        f"  ({rival.settings})"
    )
