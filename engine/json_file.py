"""The option --json FILE of every command that prints figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
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
    """Check a file that an option names.

    Returns:
        it; of a symbolic link, what it leads to: files are replaced, and the link stays.

    Raises:
        click.BadParameter: its folder cannot be written to, or it is there and no plain file.
    """
    if not path:
        return None
    path = path.resolve()
    if not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"{path.parent} is no folder that can be written to")
    if path.exists() and not path.is_file():
        raise click.BadParameter(f"{path} is no plain file; name one, or a new one")
    return path


def refuse_overwriting(
    outputs: Iterable[Path | None], inputs: Iterable[Path] = (), run: Path | None = None
) -> None:
    """Refuse to write over what is read, or two things into one file.

    Args:
        outputs: files to write, None where one was not asked for.
        inputs: files that are read.
        run: a run folder; of what lies in it, pages alone may be replaced.

    Raises:
        click.UsageError: naming the file.
    """
    wanted = [path.resolve() for path in outputs if path]
    if len(set(wanted)) < len(wanted):
        raise click.UsageError(f"two outputs would be one file, {wanted[0]}; name each its own")
    read = {path.resolve() for path in inputs}
    for path in wanted:
        is_of_run = run and path.exists() and path.is_relative_to(run.resolve())
        if path in read or (is_of_run and path.suffix != ".html"):
            raise click.UsageError(f"{path} is read here or part of the run; write to another file")
