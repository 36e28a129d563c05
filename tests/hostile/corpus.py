"""The whole corpus: every family's files in, a folder out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from hostile import (
    bombs,
    dicoms,
    jpeg2000s,
    jpegs,
    killers,
    names,
    others,
    pngs,
    tiffs,
    webps_and_bmps,
)
from hostile.files import HostileFile, families


def made() -> Iterator[HostileFile]:
    """Make all files, the same at every call and on every machine with the same libraries."""
    yield from families(
        *(jpegs.sound_jpegs, jpegs.rare_processes, jpegs.odd_markers, jpegs.damage),
        *(jpegs.orientations, pngs.kinds, pngs.turns_and_checksums, pngs.damage),
        *(tiffs.kinds, tiffs.rare, tiffs.damage, jpeg2000s.kinds, jpeg2000s.damage),
        *(webps_and_bmps.webps, webps_and_bmps.bmps, webps_and_bmps.pnms),
        *(others.later_formats, others.foreign_formats, others.no_pictures),
        *(dicoms.syntaxes, dicoms.lossy, dicoms.not_read, dicoms.sizes, dicoms.nested),
        *(dicoms.broken, dicoms.headers, bombs.huge_headers, bombs.jpegs, bombs.whole_pictures),
        *(names.odd_names, killers.named_killers, killers.random_mutants),
    )


@cache
def corpus() -> tuple[HostileFile, ...]:
    """All files, made once."""
    found = tuple(made())
    assert len({file.name for file in found}) == len(found), "a name twice"
    return found


def write_files(files: Iterable[HostileFile], folder: Path) -> None:
    """Write files below a folder, names as they are, bytes that are no UTF-8 too."""
    for file in files:
        path = os.fsencode(folder) + b"/" + os.fsencode(file.name)
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 (bytes)
        with open(path, "wb") as stream:  # noqa: PTH123 (bytes)
            stream.write(file.content)
