"""Which members of an archive are swept: glob patterns in, a yes or no per id out."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from cxrsweep.engine.errors import ArchiveError

Frames = Literal["first", "all"]
View = Literal["all", "frontal"]
Id = Literal["path", "sop"]


@dataclass(frozen=True)
class Selection:
    """Patterns on ids as listed, as in fnmatch: `*` also crosses `/`; and what is asked of DICOM.

    Attributes:
        include: an id must match one of these; none given means all.
        exclude: an id must match none of these.
        hidden: also take files and folders whose name starts with a dot.
        path_column: of a CSV or Parquet list, the column that holds the paths.
        id_column: of a CSV or Parquet list, the column that holds the ids.
        frames: of DICOM with several, the first one or all, a row each.
        view: all, or without DICOM whose ViewPosition names one that is not frontal.
        id: in the results the id as listed, which is a path, or the SOP instance UID of DICOM
            that no file before it has.

    Raises:
        ArchiveError: frames, view or id is none of its words.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    path_column: str | None = None
    id_column: str | None = None
    frames: Frames = "first"
    view: View = "all"
    id: Id = "path"

    def __post_init__(self) -> None:
        for name, words in (("frames", Frames), ("view", View), ("id", Id)):
            asked, known = getattr(self, name), get_args(words)
            if asked not in known:
                raise ArchiveError(f"{name} is {asked!r}; it can be {' or '.join(known)}")

    @property
    def needs_survey(self) -> bool:
        """Whether anything is asked that only the files themselves tell."""
        return (self.frames, self.view, self.id) != ("first", "all", "path")

    def keeps(self, *names: str) -> bool:
        """Whether a radiograph is swept.

        Args:
            names: its id; of a tar or zip also its name inside, which a pattern may mean.
        """
        if self.include and not _match(names, self.include):
            return False
        return not _match(names, self.exclude)


def _match(names: tuple[str, ...], globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs for name in names)
