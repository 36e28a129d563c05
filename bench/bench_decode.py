"""Decoding alone: contents in memory to equalised and fitted pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxrsweep.bench.kits import USUAL_SHARE, Pixels, decoded, opened_decoder
from cxrsweep.bench.throughput import Subject
from cxrsweep.engine.reader import Checked

# DALI and OpenCV round colour and the shrinking filter at other places; equalisation before the
# filter is exact, so it does not multiply the difference.
MOST_LEVELS = 2


def test_decode(measure_archive: Any, subject: Subject, batches: list[list[Checked]]) -> None:
    pytest.importorskip("torch", reason="the reference needs PyTorch")
    from cxrsweep.bench.rivals.pixels import Preparation

    kit = subject.kit
    with opened_decoder(kit, subject.batch, USUAL_SHARE) as decoder:

        def decode_all() -> list[Pixels]:
            pixels = [decoded(decoder, group).pixels for group in batches]
            kit.wait_for(pixels[-1])
            return pixels

        found = measure_archive(decode_all)
        pixels = np.concatenate([kit.on_host(part) for part in found]).astype(np.int16)
    reference = Preparation(kit.bundle.recipe)
    for file, one in zip((file for group in batches for file in group), pixels, strict=True):
        truth = reference.fitted(Path(file.entry.location))
        assert np.abs(one - truth).max() <= MOST_LEVELS, file.entry.radiograph
