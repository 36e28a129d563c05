"""Archives made by the tests, and what they hold as an independent reader sees it."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import zstandard

from cxrsweep.engine.archive import Contents, Entry, open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.header import Limits

Outcome = bytes | str


def outcomes(
    *archives: str | Path, selection: Selection | None = None, limits: Limits | None = None
) -> dict[str, Outcome]:
    """Id -> content, or code of the refusal, in the order of the archive."""
    limits = limits or Limits()
    contents = Contents(limits)
    found: dict[str, Outcome] = {}
    for entry in open_archives(archives, selection or Selection()):
        assert entry.radiograph not in found, "an id has two rows"
        found[entry.radiograph] = outcome(contents, entry)
    return found


def outcome(contents: Contents, entry: Entry) -> Outcome:
    refusal = entry.refusal()
    if refusal:
        return str(refusal.code)
    try:
        return contents.content(entry)
    except Refused as refused:
        return str(refused.code)


def file_info(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def tar_bytes(
    members: Iterable[tuple[tarfile.TarInfo, bytes]], layout: int = tarfile.PAX_FORMAT
) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=layout) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def packed(folder: Path, name: str) -> Path:
    """The files of a folder, in the folder's order, in an archive beside it."""
    path = folder.parent / name
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for file in files:
            tar.add(file, str(file.relative_to(folder)))
    if path.suffix == ".zst":
        path.write_bytes(zstandard.compress(path.read_bytes()))
    return path


def results(run: Path) -> list[list[str]]:
    with (run / "results.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))
