"""Archives made by the tests, and what they hold as an independent reader sees it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

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
