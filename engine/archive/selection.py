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
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False

    def keeps(self, radiograph: str) -> bool:
        """Whether the id is swept."""
        if self.include and not any(fnmatchcase(radiograph, glob) for glob in self.include):
            return False
        return not any(fnmatchcase(radiograph, glob) for glob in self.exclude)
