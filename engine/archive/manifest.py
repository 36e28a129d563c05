"""A list of paths as an archive: a CSV with a header, or a text file with one path a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from cxrsweep.engine.errors import ArchiveError

MANIFEST_SUFFIXES = (".csv", ".txt", ".lst")
MAX_PATH = 4096
PATH_COLUMNS = ("radiograph", "image", "path", "file", "filename", "location")


class ManifestArchive:
    """Lists the paths that a file names, in its order; relative ones start at the file's folder.

    In a CSV the first column found of PATH_COLUMNS holds the paths. The id is the path as written.

    Attributes:
        name: the file's name without its ending.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem

    def members(self) -> Iterator[tuple[str, str, int]]:
        """Yield path as written, location and size in bytes (-1 where there is no file).

        Raises:
            ArchiveError: the list cannot be read, has no path column, a row without a path, or
                names one twice.
        """
        seen: dict[int, int] = {}
        try:
            for line, written in self._paths():
                if not written or len(written) > MAX_PATH:
                    raise ArchiveError(
                        f"{self.path} line {line}: a path of {len(written)} characters; every row"
                        f" needs one, of at most {MAX_PATH}"
                    )
                # Only hashes are kept: a list of millions must not fill the memory with its text.
                first = seen.setdefault(hash(written), line)
                if first != line:
                    raise ArchiveError(
                        f"{self.path} line {line}: {written!r} was already named in line {first};"
                        " every radiograph must have its own id, so name it once"
                    )
                location = self.path.parent / written
                yield written, str(location), _size_of(location)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ArchiveError(f"cannot read the list {self.path}: {error}") from error

    def _paths(self) -> Iterator[tuple[int, str]]:
        with self.path.open(newline="", encoding="utf-8-sig") as stream:
            if self.path.suffix.lower() != ".csv":
                for line, text in enumerate(stream, 1):
                    written = text.rstrip("\r\n")
                    if written and not written.startswith("#"):
                        yield line, written
                return
            rows = csv.DictReader(stream)
            column = self._path_column(rows.fieldnames or ())
            for row in rows:
                yield rows.line_num, row[column] or ""

    def _path_column(self, columns: Sequence[str]) -> str:
        by_lower = {column.strip().lower(): column for column in columns}
        for wanted in PATH_COLUMNS:
            if wanted in by_lower:
                return by_lower[wanted]
        raise ArchiveError(
            f"{self.path} has the columns {list(columns)}; one must be named"
            f" {', '.join(PATH_COLUMNS)} and hold the paths"
        )


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1
