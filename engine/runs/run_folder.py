"""The run folder: what a sweep leaves behind; a kill at any instant loses no finished shard."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from cxrsweep.engine.archive import Entry, MemberKind
from cxrsweep.engine.errors import RunError, TableError
from cxrsweep.engine.meter import ShardMeter, shard_meter_from_json
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runs.pseudonyms import Pseudonyms
from cxrsweep.engine.runs.shard import Shard
from cxrsweep.engine.runs.table import Row, columns_of, csv_text, guarded, printable, unguarded

SCHEMA_VERSION = 4
_BEGINNING = r"log(-[0-9a-f-]+)?\.jsonl|run\.json\..*partial"  # may lie there without a record
INDEX_COLUMNS = [
    *("ordinal", "radiograph", "bytes", "kind", "location"),
    *("offset", "check", "refused", "frame"),
]
MAPPING_COLUMNS = ["radiograph", "pseudonym"]
THROUGHPUT_COLUMNS = [
    *("shard", "radiographs", "failed", "pixels", "bytes", "wall_s", "per_s"),
    *("read_s", "gate_s", "decode_s", "network_s", "write_s", "binding"),
]


@contextlib.contextmanager
def replaced(path: Path, *, is_private: bool = False, by: str = "") -> Iterator[IO[str]]:
    """Write a text file beside `path` and rename it when it is whole and on the disk.

    Args:
        path: of the file.
        is_private: only its owner may read it, at any time.
        by: name of who writes, where several may write the same file.
    """
    partial = path.with_name(f"{path.name}{by and f'.{by}'}.partial")
    partial.unlink(missing_ok=True)  # what a kill left may have another mode
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o600 if is_private else 0o666)
    try:
        with os.fdopen(
            descriptor, "w", newline="", encoding="utf-8", errors="surrogateescape"
        ) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


class RunFolder:
    """One run on the disk; any number of workers write to it, each shard is held by one.

    Args:
        folder: made where it does not exist.
        by: name of this worker.
        log: file for `log`; commands that sweep side by side, maybe on several hosts, have one
            each.

    Raises:
        RunError: it is foreign, or cannot be made or written.
    """

    def __init__(self, folder: Path, by: str = "", log: str = "log.jsonl") -> None:
        self.folder = folder
        self.parts = folder / "parts"
        self.starts = folder / "starts"
        self.index = folder / "index.csv"
        self.results = folder / "results.csv"
        self.throughput = folder / "throughput.csv"
        self.mapping = folder / "pseudonyms.csv"
        self.record_file = folder / "run.json"
        self.stage_facts = folder / "stages.json"
        self._by = by
        refuse_foreign(folder)
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            self.starts.mkdir(exist_ok=True)
            self._log = (folder / log).open("a", encoding="utf-8")
        except OSError as error:
            raise RunError(f"cannot write to the run folder {folder}: {error.strerror}") from error

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def log(self, event: str, **facts: object) -> None:
        """Append one line to log.jsonl."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **facts}
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()

    def record(self) -> dict[str, Any] | None:
        """Content of run.json, or None in a new folder.

        Raises:
            RunError: run.json is not readable.
        """
        return read_record(self.folder) if self.record_file.exists() else None

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace run.json."""
        self._write_json(self.record_file, record)

    def write_start(self, name: str, facts: dict[str, Any]) -> None:
        """Tell how a worker was started and how it ended."""
        self._write_json(self.starts / f"{name}.json", facts)

    def all_starts(self) -> list[dict[str, Any]]:
        """What `write_start` wrote, the earliest first."""
        return [json.loads(path.read_bytes()) for path in sorted(self.starts.glob("*.json"))]

    def known_stages(self) -> dict[str, Any] | None:
        """What the first worker measured, or None."""
        try:
            facts: dict[str, Any] = json.loads(self.stage_facts.read_bytes())
        except FileNotFoundError:
            return None
        return facts

    def write_stages(self, facts: dict[str, Any]) -> None:
        """Keep what the first worker measured."""
        self._write_json(self.stage_facts, facts)

    def write_index(self, entries: Iterable[Entry], pseudonyms: Pseudonyms | None = None) -> int:
        """Freeze what will be swept and return how many radiographs that is.

        Args:
            entries: in order.
            pseudonyms: replace the ids; which stands for which is written apart, and both files
                are for their owner alone.
        """
        count = 0
        with contextlib.ExitStack() as stack:
            if pseudonyms:
                mapping = stack.enter_context(replaced(self.mapping, is_private=True, by=self._by))
                entries = _renamed(entries, pseudonyms, mapping)
            is_private = pseudonyms is not None
            stream = stack.enter_context(replaced(self.index, is_private=is_private, by=self._by))
            writer = csv.writer(stream)
            writer.writerow(INDEX_COLUMNS)
            for entry in entries:
                writer.writerow(_index_row(entry))
                count += 1
        return count

    def entries(self) -> Iterator[Entry]:
        """Stream the frozen index."""
        return indexed_entries(self.index)

    def _write_json(self, path: Path, plain: dict[str, Any]) -> None:
        with replaced(path, by=self._by) as stream:
            json.dump(plain, stream, indent=2)
            stream.write("\n")

    def has_parts(self) -> bool:
        """Whether any shard has rows on the disk."""
        return any(self.parts.glob("*.csv"))

    def is_done(self, shard: Shard) -> bool:
        """Whether the shard's rows are on the disk."""
        part = self.parts / shard.part_name
        return part.exists() and part.with_suffix(".json").exists()

    def write_part(
        self, shard: Shard, recipe: Recipe, rows: Sequence[Row], meter: ShardMeter
    ) -> None:
        """Write the rows of a shard and what it cost; it is done once this returns.

        A part that is there already stays: another worker made it, with the same rows.

        Raises:
            TableError: there is not exactly one row per radiograph.
        """
        if len(rows) != shard.count:
            raise TableError(
                f"shard {shard.number} has {len(rows)} rows for {shard.count} radiographs;"
                " this is a fault of cxrsweep, please report it with log.jsonl"
            )
        part, start = self.parts / shard.part_name, time.perf_counter()
        if self.is_done(shard):
            return
        whole = part.with_suffix(f".{self._by}.whole")
        with replaced(whole) as stream:
            stream.write(csv_text([columns_of(recipe)]))
            stream.write(csv_text([guarded(printable(row.radiograph)), *row.cells] for row in rows))
        meter.seconds["write"] += time.perf_counter() - start
        meter.ended = time.time()
        meter.part_sha256 = hashlib.sha256(whole.read_bytes()).hexdigest()
        # Before the part gets its name, so that a finished shard always has its figures.
        with replaced(part.with_suffix(".json"), by=self._by) as figures:
            json.dump(meter.as_json(), figures)
        whole.replace(part)

    def meters(self, shards: Iterable[Shard]) -> Iterator[tuple[Shard, ShardMeter]]:
        """What each finished shard cost.

        Raises:
            TableError: the figures of one are damaged.
        """
        for shard in shards:
            path = (self.parts / shard.part_name).with_suffix(".json")
            try:
                meter = shard_meter_from_json(json.loads(path.read_bytes()))
            except (ValueError, TypeError, AttributeError) as error:
                raise TableError(
                    f"{path} is damaged ({type(error).__name__}); delete it and start the same"
                    " command again to redo this shard"
                ) from error
            yield shard, meter

    def join(self, recipe: Recipe, shards: Sequence[Shard]) -> None:
        """Join the parts into results.csv and what they cost into throughput.csv.

        Raises:
            TableError: a part has another header than the recipe asks for, or lost rows.
        """
        header = csv_text([columns_of(recipe)])
        with replaced(self.results, by=self._by) as stream:
            stream.write(header)
            for shard, meter in self.meters(shards):
                stream.write(self._rows_of(shard, header, meter.part_sha256))
        with replaced(self.throughput, by=self._by) as stream:
            rows = (_throughput_row(shard, meter) for shard, meter in self.meters(shards))
            stream.write(csv_text([THROUGHPUT_COLUMNS]))
            stream.write(csv_text(rows))

    def _rows_of(self, shard: Shard, header: str, sha256: str) -> str:
        """Text of a part without its header, checked to be what was written."""
        path = self.parts / shard.part_name
        content = path.read_bytes()
        text = content.decode("utf-8", "replace")
        rows = sum(1 for _ in csv.reader(io.StringIO(text, newline=""))) - 1
        is_same = hashlib.sha256(content).hexdigest() == sha256
        if not is_same or not text.startswith(header) or rows != shard.count:
            raise TableError(
                f"{path} was changed after it was written ({rows} rows for {shard.count}"
                " radiographs); delete it and start the same command again to redo this shard"
            )
        return text.removeprefix(header)


def log_name(token: str, joins_in: bool) -> str:
    """The log of a command: its own, where others may write to the run from other hosts."""
    return f"log-{token}.jsonl" if joins_in else "log.jsonl"


def refuse_foreign(folder: Path) -> None:
    """Look whether a folder is a run, or empty, or not there.

    Raises:
        RunError: it holds something else.
    """
    if folder.is_dir() and not (folder / "run.json").exists():
        own = ("parts", "starts", "claims", "suspects")
        foreign = [
            child.name
            for child in folder.iterdir()
            if child.name not in own and not re.fullmatch(_BEGINNING, child.name)
        ]
        foreign += [child.name for child in (folder / "parts").glob("*")]
        if foreign and not (folder / "run.json").exists():  # not one that is just being begun
            raise RunError(
                f"{folder} is not empty and not a run folder (it holds {foreign[0]!r});"
                " give -o a new or empty folder"
            )


def _renamed(entries: Iterable[Entry], pseudonyms: Pseudonyms, mapping: IO[str]) -> Iterator[Entry]:
    """Entries with pseudonyms as ids, and a line of the mapping for each."""
    mapping.write(csv_text([MAPPING_COLUMNS]))
    for entry in entries:
        pseudonym = pseudonyms.of(entry.radiograph)
        mapping.write(csv_text([[guarded(printable(entry.radiograph)), pseudonym]]))
        yield replace(entry, radiograph=pseudonym)


def _index_row(entry: Entry) -> list[str | int]:
    size = entry.size if entry.size >= 0 else ""
    where = (entry.kind, guarded(entry.location), entry.offset, entry.check)
    return [
        *(entry.ordinal, guarded(entry.radiograph), size, *where, entry.refused, entry.frame or "")
    ]


def _entry_from_row(row: Sequence[str]) -> Entry:
    ordinal, radiograph, size, kind, location, offset, check, refused, frame = row
    return Entry(
        int(ordinal),
        unguarded(radiograph),
        unguarded(location),
        int(size) if size else -1,
        MemberKind(kind),
        int(offset),
        int(check),
        refused,
        int(frame) if frame else 0,
    )


def indexed_entries(index: Path) -> Iterator[Entry]:
    """Stream an index.csv that was verified by its hash."""
    with index.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        rows = csv.reader(stream)
        assert next(rows) == INDEX_COLUMNS, "the index was verified by its hash"
        for ordinal, row in enumerate(rows):
            assert row[0] == str(ordinal), "the index was verified by its hash"
            yield _entry_from_row(row)


def result_rows(folder: Path, recipe: Recipe) -> Iterator[dict[str, str]]:
    """Stream the lines of a finished run's results.csv, cells as they stand there.

    Args:
        folder: of the run.
        recipe: of the run.

    Raises:
        RunError: the run is not finished.
        TableError: the table is damaged.
    """
    path = folder / "results.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream, strict=True)
            if list(rows.fieldnames or ()) != columns_of(recipe):
                raise TableError(
                    f"{path} does not have the columns of its recipe; start the sweep again with"
                    " the same command, or a new run folder"
                )
            yield from rows
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} has no results.csv: the sweep is not finished; start the same command again"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"cannot read {path}: {error}") from error


def _throughput_row(shard: Shard, meter: ShardMeter) -> list[str]:
    counts = (shard.number, meter.radiographs, meter.failed, meter.pixels, meter.bytes)
    seconds = [f"{value:.3f}" for value in meter.seconds.values()]
    timing = [f"{meter.wall_s:.3f}", f"{meter.rate:.3f}", *seconds, meter.binding]
    return [*map(str, counts), *timing]


_RECORD_KEYS = ("status", "bundle", "archives", "counts", "hardware", "versions", "starts")


def read_record(folder: Path) -> dict[str, Any]:
    """Read run.json of a run.

    Raises:
        RunError: the folder is no run, or its run.json is damaged.
    """
    path = folder / "run.json"
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"{folder} is no run folder: cannot read run.json") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); start a new run folder") from error
    found = record.get("schema_version") if isinstance(record, dict) else None
    if found != SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema version {found!r}, this cxrsweep reads"
            f" {SCHEMA_VERSION}; use the version that made the run, or start a new run folder"
        )
    missing = [key for key in _RECORD_KEYS if key not in record]
    if missing:
        raise RunError(f"{path} lacks {', '.join(missing)}; start a new run folder")
    return record
