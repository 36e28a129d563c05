"""Thumbnails: a run in; the archive's radiographs, decoded as a sweep does, 8 x 8 out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxrsweep.engine.bundle import file_sha256
from cxrsweep.engine.decode.batches import CPU_BATCH_PIXELS, Batch, batches_of
from cxrsweep.engine.decode.fast_lane import Decoder
from cxrsweep.engine.errors import EvaluationError
from cxrsweep.engine.evaluation.metrics import Floats
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.hardware.machine import cores
from cxrsweep.engine.reader import Reader
from cxrsweep.engine.recipe import Classifier, Recipe
from cxrsweep.engine.runs.run_folder import indexed_entries, read_record
from cxrsweep.engine.runs.table import printable

SIDE = 8
BATCH = 16
_DECODED = 64  # decoded to this side, then averaged in blocks
_PLAIN = Recipe(name="thumbnail", side=_DECODED, classifier=Classifier(side=_DECODED, labels=["x"]))


def thumbnails_of(run: Path, radiographs: Sequence[str]) -> Floats:
    """Decode radiographs of a run again: grey, stretched, not equalised.

    Args:
        run: its folder; its archive must be where it was.
        radiographs: N ids as results.csv has them.

    Returns:
        (N, 64) in [0, 1]; a row of nan where the file cannot be read any more.

    Raises:
        EvaluationError: the index was changed, or no file can be read.
        RunError: the folder is no run.
    """
    record, index = read_record(run), run / "index.csv"
    if not index.is_file() or file_sha256(index) != record.get("index_sha256"):
        raise EvaluationError(f"{index} is missing or was changed; thumbnails need it as it was")
    place = {radiograph: number for number, radiograph in enumerate(radiographs)}
    found = np.full((len(radiographs), SIDE * SIDE), np.nan)
    wanted = (e for e in indexed_entries(index) if printable(e.radiograph) in place)
    threads = cores()
    reader = Reader(Limits(**record["limits"]), threads + 1, 3 * BATCH)
    decoder = Decoder(_PLAIN, BATCH, threads)
    try:
        for batch in batches_of(reader.read(wanted), BATCH, CPU_BATCH_PIXELS):
            if isinstance(batch, Batch):
                _fill(found, place, batch, decoder)
    finally:
        reader.close()
        decoder.close()
    if np.isnan(found).all():
        raise EvaluationError(
            f"no radiograph of {run} can be read where it was swept ({record['archives'][0]});"
            " bring the archive back, or leave out --thumbnails"
        )
    return found


def _fill(found: Floats, place: dict[str, int], batch: Batch, decoder: Decoder) -> None:
    files = batch.files
    decoded = decoder.decode([f.content for f in files], [f.header for f in files])
    block = _DECODED // SIDE
    for number, file in enumerate(files):
        if number not in decoded.refused:
            blocks = decoded.pixels[number, 0].reshape(SIDE, block, SIDE, block)
            found[place[printable(file.entry.radiograph)]] = blocks.mean((1, 3)).ravel() / 255
