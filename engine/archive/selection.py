"""Which members of an archive are swept: glob patterns in, a yes or no per id out."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Selection:
    """Patterns on ids, as in fnmatch: `*` also crosses `/`.

    Attributes:
        include: an id must match one of these; none given means all.
        exclude: an id must match none of these.
        hidden: also take files and folders whose name starts with a dot.
        path_column: of a CSV or Parquet list, the column that holds the paths.
        id_column: of a CSV or Parquet list, the column that holds the ids.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    path_column: str | None = None
    id_column: str | None = None

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
