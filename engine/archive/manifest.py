"""A list of paths as an archive: CSV or Parquet with named columns, or text with a path a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cxrsweep.engine.archive.entries import Member
from cxrsweep.engine.archive.remote import base_name, file_system, folder_of, is_remote, remote_head
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError

MAX_PATH = 4096
MAX_REMOTE_BYTES = 1 << 30
PATH_COLUMNS = ("radiograph", "image", "path", "file", "filename", "location")
CSV_SUFFIX = ".csv"
PARQUET = b"PAR1"
_ROWS_AT_ONCE = 16_384

Row = tuple[int, str, str]


class Manifest:
    """Lists the paths and URLs that a file names, in its order.

    Relative paths start at the file's folder. In a CSV or Parquet the first column found of
    PATH_COLUMNS holds the paths, unless the selection names one; the id is the path as written,
    unless the selection names a column for it.

    Args:
        location: path or URL of the list.
        selection: names the columns.

    Attributes:
        name: the file's name without its ending.
    """

    prefix = None

    def __init__(self, location: str, selection: Selection) -> None:
        self.location = location
        self.name = Path(base_name(location)).stem
        self._selection = selection

    def members(self) -> Iterator[Member]:
        """Yield each radiograph with its size in bytes, -1 where there is no file or only a URL.

        Raises:
            ArchiveError: the list cannot be read, has no such column, a row without a path or id,
                names one id twice, or URLs that no installed package reads.
        """
        seen: dict[int, int] = {}
        schemes: set[str] = set()
        folder = folder_of(self.location)
        try:
            for line, written, radiograph in self._rows():
                self._check(line, written, radiograph, seen)
                location = _location(folder, written)
                if is_remote(location) and (scheme := location.partition(":")[0]) not in schemes:
                    file_system(location)  # what is missing is said now, not once a row
                    schemes.add(scheme)
                yield Member(radiograph, location, _size_of(location))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ArchiveError(f"cannot read the list {self.location}: {error}") from error

    def _check(self, line: int, written: str, radiograph: str, seen: dict[int, int]) -> None:
        for what, text in (("a path", written), ("an id", radiograph)):
            if not text or len(text) > MAX_PATH:
                raise ArchiveError(
                    f"{self.location} line {line}: {what} of {len(text)} characters; every row"
                    f" needs one, of at most {MAX_PATH}"
                )
        # Only hashes are kept: a list of millions must not fill the memory with its text.
        first = seen.setdefault(hash(radiograph), line)
        if first != line:
            raise ArchiveError(
                f"{self.location} line {line}: its id was already named in line {first};"
                " every radiograph must have its own id, so name it once"
            )

    def _rows(self) -> Iterator[Row]:
        with self._opened() as raw:
            if _head(raw, len(PARQUET)) == PARQUET:
                yield from self._parquet_rows(raw)
                return
            with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
                first = text.readline(MAX_PATH)
                text.seek(0)
                yield from self._csv_rows(text) if self._is_csv(first) else _text_rows(text)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        where = self.location
        if is_remote(where):
            yield io.BytesIO(remote_head(where, MAX_REMOTE_BYTES))
            return
        with Path(where).open("rb") as raw:
            yield raw

    def _is_csv(self, first: str) -> bool:
        """By its name, or because its first line has a column that holds paths."""
        if base_name(self.location).lower().endswith(CSV_SUFFIX):
            return True
        columns = next(csv.reader([first]), [])
        return self._found_column(columns) is not None

    def _csv_rows(self, text: IO[str]) -> Iterator[Row]:
        rows = csv.DictReader(text)
        columns = list(rows.fieldnames or ())
        path, radiograph = self._path_column(columns), self._id_column(columns)
        for row in rows:
            yield rows.line_num, row[path] or "", row[radiograph or path] or ""

    def _parquet_rows(self, raw: IO[bytes]) -> Iterator[Row]:
        try:
            from pyarrow import ArrowException, parquet
        except ModuleNotFoundError as error:
            raise ArchiveError(
                f"{self.location} is a Parquet file, which needs the package pyarrow; in the"
                " checkout of cxrsweep: pip install -c constraints.txt '.[parquet]'"
            ) from error
        try:
            table = parquet.ParquetFile(raw)
            columns = table.schema_arrow.names
            path, radiograph = self._path_column(columns), self._id_column(columns)
            wanted = list(dict.fromkeys([path, radiograph or path]))
            line = 0
            for batch in table.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                for row in batch.to_pylist():
                    line += 1
                    yield line, _text(row[path]), _text(row[radiograph or path])
        except ArrowException as error:
            raise ArchiveError(f"cannot read the list {self.location}: {error}") from error

    def _path_column(self, columns: Sequence[str]) -> str:
        found = self._found_column(columns)
        if found is not None:
            return found
        asked = self._selection.path_column
        wanted = repr(asked) if asked else ", ".join(PATH_COLUMNS)
        raise ArchiveError(
            f"{self.location} has the columns {list(columns)}; one must be named {wanted} and hold"
            " the paths (--path-column names another)"
        )

    def _found_column(self, columns: Sequence[str]) -> str | None:
        asked = self._selection.path_column
        if asked:
            return asked if asked in columns else None
        by_lower = {column.strip().lower(): column for column in columns}
        return next((by_lower[name] for name in PATH_COLUMNS if name in by_lower), None)

    def _id_column(self, columns: Sequence[str]) -> str | None:
        asked = self._selection.id_column
        if asked and asked not in columns:
            raise ArchiveError(
                f"{self.location} has the columns {list(columns)}; --id-column asks for {asked!r}"
            )
        return asked


def _text_rows(text: IO[str]) -> Iterator[Row]:
    for line, ended in enumerate(text, 1):
        written = ended.rstrip("\r\n")
        if written and not written.startswith("#"):
            yield line, written, written


def _head(raw: IO[bytes], size: int) -> bytes:
    head = raw.read(size)
    raw.seek(0)
    return head


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _location(folder: str, written: str) -> str:
    if is_remote(written):
        return written
    if is_remote(folder):
        return f"{folder}/{written.lstrip('/')}"
    return str(Path(folder) / written)


def _size_of(location: str) -> int:
    if is_remote(location):
        return -1  # asking would cost a request per row
    try:
        return Path(location).stat().st_size
    except (OSError, ValueError):
        return -1
