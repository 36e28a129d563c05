"""The commands of the engine: options in, one function called, its result printed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.cli import WORDS
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.hardware.placement import Placed, placed_workers, stay_on
from cxrsweep.engine.json_file import json_option, refuse_overwriting
from cxrsweep.engine.options import SweepOptions, next_time
from cxrsweep.engine.progress import BarWatcher, PlainWatcher, Watcher
from cxrsweep.engine.runs.share import share_from
from cxrsweep.engine.supervision.seat import STOPPED, Seat, Telling, seat_from_json


@contextlib.contextmanager
def stopping_gently() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into an event; the second acts as usual."""
    stop = threading.Event()
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def ask(number: int, _: FrameType | None) -> None:
        stop.set()
        click.echo("Stopping after the batches in flight; once more stops at once.", err=True)
        signal.signal(number, before[signal.Signals(number)])

    for kind in kinds:
        signal.signal(kind, ask)
    try:
        yield stop
    finally:
        for kind in kinds:
            signal.signal(kind, before[kind])


@contextlib.contextmanager
def watcher_for_terminal() -> Iterator[Watcher]:
    """A bar where stderr is a terminal, else a plain line a minute."""
    if sys.stderr.isatty():
        with BarWatcher(Console(stderr=True)) as bar:
            yield bar
    else:
        yield PlainWatcher(lambda line: click.echo(line, err=True))


@click.command()
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@click.option(
    "-b", "--bundle", "bundle_folder", required=True, type=click.Path(path_type=Path),
    help="Bundle that scores, from `export onnx` or `demo`.",
)  # fmt: skip
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="Run folder; give the same one again to go on.",
)  # fmt: skip
@click.option("--include", multiple=True, metavar="GLOB", help="Only ids that match; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No ids that match; repeatable.")
@click.option("--hidden", is_flag=True, help="Also files and folders that start with a dot.")
@click.option(
    "--path-column", metavar="NAME", help="Column of a CSV or Parquet list with the paths."
)
@click.option("--id-column", metavar="NAME", help="Column of a CSV or Parquet list with the ids.")
@click.option(
    "--frames", type=click.Choice(["first", "all"]), default="first",
    help="Of DICOM with several frames: the first, or each as a row of its own.",
)  # fmt: skip
@click.option(
    "--view", type=click.Choice(["all", "frontal"]), default="all",
    help="frontal leaves out DICOM whose ViewPosition is neither PA nor AP.",
)  # fmt: skip
@click.option(
    "--id", type=click.Choice(["path", "sop"]), default="path",
    help="Ids: paths, or the SOP instance UIDs of DICOM.",
)  # fmt: skip
@click.option(
    "--pseudonymise", type=click.Path(path_type=Path), metavar="KEYFILE",
    help="Write HMACs of the ids, under the key in this file, and the mapping apart.",
)  # fmt: skip
@click.option(
    "--max-megapixels", type=click.FloatRange(min=0, min_open=True),
    default=Limits.megapixels, help="Larger radiographs fail as TOO_LARGE.",
)  # fmt: skip
@click.option(
    "--max-mebibytes", type=click.FloatRange(min=0, min_open=True),
    default=Limits.mebibytes, help="Larger files fail as TOO_LARGE.",
)  # fmt: skip
@click.option(
    "--shard-size", type=click.IntRange(min=1), default=SweepOptions.shard_size,
    help="Radiographs per shard, the unit of restart.",
)  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(min=1, max=1024),
    help="Radiographs decoded together.  [default: 16 on a CPU, 64 on a GPU]",
)  # fmt: skip
@click.option(
    "--device", default=SweepOptions.device, metavar="auto|cpu|gpu|gpu:N|gpu:N,M|gpu:all",
    help="Where to decode and score; auto takes a GPU that can be used, a list starts a worker on"
    " each.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(min=1),
    help="Processes that sweep side by side and share the threads.  [default: 1, or one per GPU]",
)  # fmt: skip
@click.option(
    "--shards", metavar="I/N|auto|auto/N",
    help="Sweep one of N shares of a run, as one task of an array; see `cxrsweep join`.",
)  # fmt: skip
@click.option("--join-in", is_flag=True, help="Sweep what other sweeps of this run leave.")
@click.option(
    "--until", metavar="HH:MM", help="Begin no shard after this time; go on another night."
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N",
    help="Begin no shard after so many radiographs; go on another time.",
)  # fmt: skip
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N",
    help="Sweep N of the archive's radiographs, always the same ones.",
)  # fmt: skip
@click.option(
    "--no-build", is_flag=True, help="Refuse a bundle without a fitting plan, build none."
)
@click.option(
    "--audit", type=click.FloatRange(0, 1), default=SweepOptions.audit, metavar="FRACTION",
    help="Share of the plain JPEG and PNG that are decoded a second way and compared.",
)  # fmt: skip
@click.option(
    "--no-supervisor", is_flag=True,
    help="Sweep in this process, which a hostile file may end; for debuggers.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(min=1), default=None, help="CPU cores to use.  [default: all]"
)
@click.option("--seat", hidden=True, help="Of a worker; said by the command that starts it.")
def sweep(archives: tuple[str, ...], bundle_folder: Path, output: Path, **asked: object) -> None:
    """Score every radiograph of folders, tars, zips or lists of paths.

    A tar may be plain, .gz or .zst, a list CSV, text or Parquet; all may be URLs, and
    shard-{000..015}.tar stands for sixteen of them. Nothing is extracted to disk.

    One row per file (or frame) in OUTPUT/results.csv, whatever happens to the file. Kill it at any
    time and start the same command again to go on.

    Exit codes: 0 all scored, 3 finished but some radiographs failed, 1 not finished, 2 usage; with
    --shards of the share.

    \b
    Example:
        cxrsweep sweep radiographs/ -b demo/bundle -o run
        cxrsweep sweep list.csv -b demo/bundle -o run --exclude 'masks/*'
        cxrsweep sweep 'shard-{000..015}.tar' -b demo/bundle -o run
        cxrsweep sweep dicom/ -b demo/bundle -o run --view frontal --pseudonymise study.key
        cxrsweep sweep dicom/ -b demo/bundle -o run --shards auto
    """
    placing = (asked.pop("workers"), asked["threads"])
    seat, is_alone = asked.pop("seat"), asked.pop("no_supervisor")
    options = _options_from(asked)
    if is_alone and placing[0] not in (None, 1):
        raise click.UsageError("--workers are started by the supervisor; leave out --no-supervisor")
    if seat:
        _work(archives, bundle_folder, output, options, seat_from_json(str(seat)))
    elif is_alone:
        raise click.exceptions.Exit(_swept_here(archives, bundle_folder, output, options))
    else:
        from cxrsweep.engine.archive import located
        from cxrsweep.engine.runs.identity import refuse_run_inside

        refuse_run_inside(output.absolute(), located(archives))
        placed = placed_workers(options.device, *placing)  # type: ignore[arg-type]
        raise click.exceptions.Exit(_swept_by_workers(output, placed, options))


def _swept_by_workers(output: Path, placed: list[Placed], options: SweepOptions) -> int:
    # Not needed for --help, and half a second to import.
    from cxrsweep.engine.describe import described_summary
    from cxrsweep.engine.supervision.fleet import Order, swept_by_workers

    words = click.get_current_context().meta[WORDS]
    order = Order(output, words, placed, options.until, options.share, options.joins_in)
    with watcher_for_terminal() as watcher:
        ended = swept_by_workers(order, watcher)
    if isinstance(ended, int):
        return ended
    click.echo(described_summary(ended))
    return ended.exit_code


def _work(
    archives: tuple[str, ...], bundle_folder: Path, output: Path, options: SweepOptions, seat: Seat
) -> None:
    stay_on(seat.cores)  # before threads are started
    from cxrsweep.engine.bundle import open_bundle
    from cxrsweep.engine.sweeping import opened_run, sweep_run

    options = replace(options, device=seat.device, threads=seat.threads, until=seat.until)
    watcher, bundle = Telling(said), open_bundle(bundle_folder)
    with (
        stopping_gently() as stop,
        opened_run(archives, bundle, output, options, seat, watcher, stop) as run,
    ):
        sweep_run(run, watcher, stop)
        watcher.noted(run.notes)
        if stop.is_set():
            raise click.exceptions.Exit(STOPPED)


def said(line: str) -> None:
    """Progress goes to stderr."""
    click.echo(line, err=True)


def _swept_here(
    archives: tuple[str, ...], bundle_folder: Path, output: Path, options: SweepOptions
) -> int:
    # Only what sweeps needs these, and they take a second to import.
    from cxrsweep.engine.bundle import open_bundle
    from cxrsweep.engine.describe import described_summary
    from cxrsweep.engine.sweeping import sweep as run_sweep

    bundle = open_bundle(bundle_folder)
    with stopping_gently() as stop, watcher_for_terminal() as watcher:
        summary = run_sweep(archives, bundle, output, options, watcher=watcher, stop=stop)
    click.echo(described_summary(summary))
    return summary.exit_code


def _options_from(asked: dict[str, object]) -> SweepOptions:
    kept = ("include", "exclude", "hidden", "path_column", "id_column", "frames", "view", "id")
    selection = Selection(**{key: asked[key] for key in kept})  # type: ignore[arg-type]
    limits = Limits(asked["max_megapixels"], asked["max_mebibytes"])  # type: ignore[arg-type]
    rest = {key: asked[key] for key in ("shard_size", "batch", "threads", "device") if asked[key]}
    rest |= {key: asked[key] for key in ("audit", "pseudonymise", "sample", "limit")}
    rest |= {"may_build": not asked["no_build"], "joins_in": asked["join_in"]}
    try:
        if asked["until"]:
            rest["until"] = next_time(str(asked["until"]), time.time())
        if asked["shards"]:
            rest["share"] = share_from(str(asked["shards"]), os.environ)
    except RunError as error:
        raise click.UsageError(str(error)) from error
    return SweepOptions(selection, limits, **rest)  # type: ignore[arg-type]


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
def join(run: Path, json_file: Path | None) -> None:
    """Check that every part of a run is there and whole, and write its results.csv.

    For runs that an array of tasks sweeps with `sweep --shards`. Says which shards are missing and
    how to make them.

    Exit codes: 0 all scored, 3 some radiographs failed, 1 shards are missing or damaged.

    \b
    Example:
        cxrsweep join run
    """
    from cxrsweep.engine.describe import described_summary, summary_as_json
    from cxrsweep.engine.runs.joining import joined

    refuse_overwriting([json_file], run=run)
    summary = joined(run)
    click.echo(described_summary(summary))
    if json_file:
        json_file.write_text(json.dumps(summary_as_json(summary), indent=2) + "\n")
    raise click.exceptions.Exit(summary.exit_code)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def inspect(folder: Path) -> None:
    """Say in words what a bundle or a run folder is.

    \b
    Example:
        cxrsweep inspect demo/bundle
        cxrsweep inspect demo/run
    """
    from cxrsweep.engine.describe import described

    click.echo(described(folder))
