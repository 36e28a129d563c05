"""Reading alone: files into memory, as the sweep's reader does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxrsweep.bench.ceilings import in_threads
from cxrsweep.bench.page_cache import load_pages
from cxrsweep.bench.throughput import Subject
from cxrsweep.engine.archive import Contents
from cxrsweep.engine.gate.header import Limits


def test_read(measure_archive: Any, subject: Subject) -> None:
    files = subject.workload.files
    contents = Contents(Limits())
    load_pages({file.entry.location for file in files})
    found = measure_archive(
        lambda: in_threads(subject.threads + 1, files, lambda file: contents.content(file.entry)),
        cache="warm",
    )
    contents.close()
    for file, content in zip(files, found, strict=True):
        assert content == Path(file.entry.location).read_bytes(), file.entry.radiograph
