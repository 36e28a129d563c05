"""`cxrsweep bench phantoms`."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from cxrsweep.bench.phantom_archive import CODECS, write_phantoms


class Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT in pixels."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Width and height."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{2,5})[xX](\d{2,5})", value)
        if not found:
            self.fail(f"{value!r} is no size such as 2048x2500, from 10 to 99999 pixels")
        return int(found[1]), int(found[2])


@click.command()
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="New or empty folder.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), default=100, help="How many files.")
@click.option("--size", type=Size(), default="2048x2500", help="Width and height in pixels.")
@click.option("--codec", type=click.Choice(list(CODECS)), default="jpeg", help="Format.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Other ones.")
def phantoms(output: Path, count: int, size: tuple[int, int], codec: str, seed: int) -> None:
    """Write an archive of synthetic radiographs, the same bytes for the same words.

    Bytes per pixel and the cost of decoding are near those of real radiographs: for benchmarks
    where no real ones may go. Formats of 16 bits hold 12. Interrupted, it leaves nothing.

    \b
    Example:
        cxrsweep bench phantoms -o phantoms --count 500 --size 2400x2000 --codec dicom-jpeg-ls
    """
    console = Console(stderr=True)
    with contextlib.closing(write_phantoms(output, count, size, codec, seed)) as written:
        seen = track(written, "drawing", count, console=console, disable=not console.is_terminal)
        total = sum(seen)
    click.echo(
        f"{count} files of {size[0]} x {size[1]} pixels in {output}: {total / 1e6:.1f} MB,"
        f" {total / count / (size[0] * size[1]):.3f} bytes per pixel"
    )
