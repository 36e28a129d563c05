"""One radiograph given by itself: an archive with one member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cxrsweep.engine.archive.entries import Member
from cxrsweep.engine.archive.remote import base_name, is_remote
from cxrsweep.engine.archive.selection import Selection


class SingleFile:
    """A file that is no archive; its name is its id, also beside other archives.

    Args:
        location: path or URL.
        selection: whether it is kept.
    """

    prefix = ""

    def __init__(self, location: str, selection: Selection) -> None:
        self.name = base_name(location)
        self._location = location
        self._selection = selection

    def members(self) -> Iterator[Member]:
        """Yield the file."""
        if self._selection.keeps(self.name):
            size = -1 if is_remote(self._location) else Path(self._location).stat().st_size
            yield Member(self.name, self._location, size)
