"""A folder as an archive: every regular file below it, in one fixed order, loops harmless."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cxrsweep.engine.archive.entries import Member
from cxrsweep.engine.errors import ArchiveError

Identity = tuple[int, int]


class FolderArchive:
    """Lists a folder recursively.

    Order is by the bytes of the name, folder by folder, so that it is the same on every machine.
    Links are followed; a folder that contains itself through a link is entered once per path down.

    Args:
        folder: to list.
        hidden: also take files and folders whose name starts with a dot.

    Attributes:
        name: last part of the folder's path.
    """

    prefix = None

    def __init__(self, folder: Path, *, hidden: bool) -> None:
        self.folder = folder
        self.hidden = hidden
        self.name = folder.resolve().name

    def members(self) -> Iterator[Member]:
        """Yield the files, named by their path inside the folder.

        Raises:
            ArchiveError: the folder itself cannot be listed; one below it becomes a member.
        """
        # A stack of open folders, not recursion: Python's limit is less deep than a file system's.
        identity, children = self._listed(os.fspath(self.folder))
        stack = [("", frozenset({identity}), children)]
        while stack:
            prefix, ancestors, children = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                continue
            target = _target_of(child)
            if target is None or not stat.S_ISDIR(target.st_mode):
                size = target.st_size if target else -1
                yield Member(prefix + child.name, child.path, size)
                continue
            try:
                identity, below = self._listed(child.path)
            except ArchiveError:  # one row that fails when it is read, instead of no night
                yield Member(prefix + child.name, child.path)
                continue
            if identity not in ancestors:
                stack.append((f"{prefix}{child.name}/", ancestors | {identity}, below))

    def _listed(self, folder: str) -> tuple[Identity, Iterator[os.DirEntry[str]]]:
        try:
            status = os.stat(folder)  # noqa: PTH116 (one call per folder of millions)
            with os.scandir(folder) as listing:
                children = [child for child in listing if self._is_wanted(child)]
        except OSError as error:
            raise ArchiveError(
                f"cannot list {folder}: {error.strerror}; mend its permissions or leave it out"
            ) from error
        children.sort(key=lambda child: os.fsencode(child.name))
        return (status.st_dev, status.st_ino), iter(children)

    def _is_wanted(self, child: os.DirEntry[str]) -> bool:
        return self.hidden or not child.name.startswith(".")


def _target_of(child: os.DirEntry[str]) -> os.stat_result | None:
    """Status of what it is or links to; a dangling or endless link has none, but keeps its row."""
    try:
        return child.stat()
    except OSError:
        return None
