"""A folder behind a URL as an archive: every file below it, in one fixed order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cxrsweep.engine.archive.entries import Member
from cxrsweep.engine.archive.remote import base_name, file_system, tried
from cxrsweep.engine.errors import ArchiveError

MAX_DEPTH = 64  # a web server may answer every path with one more folder


class RemoteFolder:
    """Lists a folder of an object store or web server, one request or more per folder.

    Args:
        location: URL.
        hidden: also take files and folders whose name starts with a dot.
    """

    prefix = None

    def __init__(self, location: str, *, hidden: bool) -> None:
        self.location = location.rstrip("/")
        self.name = base_name(location)
        self._hidden = hidden
        self._system, self._root = file_system(location)

    def members(self) -> Iterator[Member]:
        """Yield the files, named by their path inside the folder.

        Raises:
            ArchiveError: a folder cannot be listed, or folders go too deep.
        """
        stack = [("", self._listed(self._root))]
        while stack:
            prefix, children = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                continue
            name, facts = child
            if facts["type"] == "directory":
                if len(stack) == MAX_DEPTH:
                    raise ArchiveError(f"{self.name} has folders deeper than {MAX_DEPTH}")
                stack.append((f"{prefix}{name}/", self._listed(facts["name"])))
                continue
            size = facts.get("size")
            location = str(self._system.unstrip_protocol(facts["name"]))
            yield Member(prefix + name, location, -1 if size is None else int(size))

    def _listed(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            found = tried(lambda: self._system.ls(folder, detail=True, refresh=True))
        except OSError as error:
            raise ArchiveError(
                f"cannot list {self.name}: {error.strerror}; mend it or leave it out"
            ) from error
        # Some stores list the folder among its own files.
        below = [facts for facts in found if facts["name"].strip("/") != folder.strip("/")]
        named = [(facts["name"].rstrip("/").rpartition("/")[2], facts) for facts in below]
        kept = [child for child in named if self._hidden or not child[0].startswith(".")]
        kept.sort(key=lambda child: child[0])
        return iter(kept)


def is_remote_folder(location: str) -> bool:
    """Whether a URL leads to a folder: it ends with a slash, or the store says so.

    Raises:
        ArchiveError: nothing is there, or it cannot be asked.
    """
    system, path = file_system(location)
    if location.endswith("/"):
        return True
    try:
        return str(tried(lambda: system.info(path))["type"]) == "directory"
    except OSError as error:
        raise ArchiveError(f"cannot open {base_name(location)}: {error.strerror}") from error
