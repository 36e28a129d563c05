"""Opens archives by kind and joins them: paths in, one ordered stream of entries out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cxrsweep.engine.archive.folder import FolderArchive
from cxrsweep.engine.archive.manifest import MANIFEST_SUFFIXES, ManifestArchive
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError


@dataclass(frozen=True)
class Entry:
    """One radiograph to be, before anything of it is read.

    Attributes:
        ordinal: place in the sweep, from 0.
        radiograph: its id, unique in the sweep.
        location: where its bytes are.
        size: bytes as listed, or -1 where the listing could not tell.
    """

    ordinal: int
    radiograph: str
    location: str
    size: int


class Archive(Protocol):
    """A listable source of radiographs."""

    name: str

    def members(self) -> Iterator[tuple[str, str, int]]:
        """Yield id within the archive, location and size in bytes, in a fixed order."""
        ...


def open_archive(path: Path, *, hidden: bool) -> Archive:
    """Choose the kind of archive by what lies at `path`.

    Raises:
        ArchiveError: nothing is there, or it is no kind of archive.
    """
    if path.is_dir():
        return FolderArchive(path, hidden=hidden)
    if path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file():
        return ManifestArchive(path)
    if not path.exists():
        raise ArchiveError(f"{path} does not exist; give a folder, or a .csv or .txt list of paths")
    raise ArchiveError(
        f"{path} is no archive: give a folder, or a list of paths ending in"
        f" {', '.join(MANIFEST_SUFFIXES)}"
    )


def open_archives(paths: Sequence[Path], selection: Selection) -> Iterator[Entry]:
    """List archives one after the other.

    Args:
        paths: folders or manifests; with several, ids start with the archive's name.
        selection: which ids are kept.

    Yields:
        entries with ordinals from 0.

    Raises:
        ArchiveError: an archive cannot be listed, or two would give the same ids.
    """
    archives = [open_archive(path, hidden=selection.hidden) for path in paths]
    names = [archive.name for archive in archives]
    for name in names:
        if names.count(name) > 1:
            raise ArchiveError(
                f"two archives are named {name!r}, so ids would collide;"
                " sweep their common parent folder instead, or rename one"
            )
    ordinal = 0
    for archive in archives:
        prefix = f"{archive.name}/" if len(archives) > 1 else ""
        for radiograph, location, size in archive.members():
            if selection.keeps(prefix + radiograph):
                yield Entry(ordinal, prefix + radiograph, location, size)
                ordinal += 1
