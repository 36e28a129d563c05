"""Batches: which files are decoded together, and which of them not in the worker."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from dicom_files import native_file, smooth

from cxrsweep.engine.archive import Entry
from cxrsweep.engine.decode.batches import batches_of
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, Cost

Encoded = Callable[..., bytes]


def test_suspects_are_never_decoded_in_the_worker(encoded: Encoded) -> None:
    dicom = native_file(smooth(16, False, (40, 30)).astype(np.uint16), 16)
    files = [
        Checked(Entry(number, "", "", 0), Cost(0, 0.0, 0.0), content, header_of(content, Limits()))
        for number, content in enumerate([encoded(".jpg"), dicom, encoded(".jpg"), dicom])
    ]
    batches = {
        file.entry.ordinal: (batch.is_fast, file.header.is_native)
        for batch in batches_of(files, 4, 1_000_000, frozenset({2, 3}))
        for file in batch.files  # type: ignore[union-attr]
    }
    # JPEG is fast and native DICOM needs no process, unless a worker died while it had them.
    assert batches == {0: (True, False), 1: (False, True), 2: (False, False), 3: (False, False)}
