"""The option --json FILE of every command that prints figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


def json_option(command: Command) -> Command:
    """The option --json FILE; a folder that is not there is told before anything is measured."""
    return click.option(
        "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False),
        callback=writable, help="Also write JSON.",
    )(command)  # fmt: skip


def writable(_: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Check the folder of a file that an option names.

    Raises:
        click.BadParameter: it cannot be written to.
    """
    if path and not os.access(path.absolute().parent, os.W_OK):
        raise click.BadParameter(f"{path.absolute().parent} is no folder that can be written to")
    return path
