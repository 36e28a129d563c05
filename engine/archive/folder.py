"""A folder as an archive: every regular file below it, in one fixed order, loops harmless."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError


class FolderArchive:
    """Lists a folder recursively.

    Order is by the bytes of the name, folder by folder, so that it is the same on every machine.
    Links are followed; a folder that contains itself through a link is entered once per path down.

    Attributes:
        name: last part of the folder's path.
    """

    def __init__(self, folder: Path, selection: Selection) -> None:
        self.folder = folder
        self.selection = selection
        self.name = folder.resolve().name

    def members(self) -> Iterator[tuple[str, str, int]]:
        """Yield path inside the folder, location and size in bytes.

        Raises:
            ArchiveError: a folder cannot be listed.
        """
        yield from self._below(self.folder, "", frozenset())

    def _below(
        self, folder: Path | str, prefix: str, ancestors: frozenset[tuple[int, int]]
    ) -> Iterator[tuple[str, str, int]]:
        try:
            status = os.stat(folder)  # noqa: PTH116 (one call per folder of millions)
            with os.scandir(folder) as listing:
                children = sorted(listing, key=lambda child: os.fsencode(child.name))
        except OSError as error:
            raise ArchiveError(
                f"cannot list {os.fspath(folder)}: {error.strerror}; nothing was swept"
            ) from error
        identity = (status.st_dev, status.st_ino)
        if identity in ancestors:
            return
        for child in children:
            if child.name.startswith(".") and not self.selection.hidden:
                continue
            radiograph = prefix + child.name
            try:
                target = child.stat()
            except OSError:  # a dangling or endless link keeps its row and fails when it is read
                target = None
            if target and stat.S_ISDIR(target.st_mode):
                yield from self._below(child.path, f"{radiograph}/", ancestors | {identity})
            elif self.selection.keeps(radiograph):
                yield radiograph, child.path, target.st_size if target else -1
