"""The gate alone: contents in memory to headers."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

from cxrsweep.bench.ceilings import in_threads
from cxrsweep.bench.throughput import Subject
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits


def test_gate(measure_archive: Any, subject: Subject) -> None:
    files = subject.workload.files
    found = measure_archive(
        lambda: in_threads(subject.threads, files, lambda file: header_of(file.content, Limits()))
    )
    for file, header in zip(files, found, strict=True):
        with Image.open(BytesIO(file.content)) as truth:
            said = (header.width, header.height, header.kind)
            assert said == (*truth.size, str(truth.format).lower()), file.entry.radiograph
