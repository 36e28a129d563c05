"""Radiographs to look at: a run whose archive is still there in, grey pixels and boxes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from cxrsweep.engine.bundle import file_sha256
from cxrsweep.engine.decode.careful.lane import CarefulLane
from cxrsweep.engine.decode.grey import Uint8
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Reader, Rejected
from cxrsweep.engine.report.tally import Row
from cxrsweep.engine.runs.run_folder import indexed_entries, read_record

_READ_AHEAD = 2  # files; each may be as large as the limits of the run
_LIGHT, _DARK = (0, 215, 255), (20, 20, 20)  # blue, green, red
_THIN = 400  # a line is a pixel wide for every so many of the longer side, and two at least


def greys_of(run: Path, rows: Iterable[Row]) -> Iterator[tuple[Row, Uint8 | Refused]]:
    """Decode radiographs of a run again, one at a time, in processes that may die.

    Args:
        run: its folder; its archive must be where it was.
        rows: which; each once.

    Yields:
        each row in the order of the sweep, with (H, W) uint8 as the sweep saw it before it was
        equalised and fitted, or why there is none.

    Raises:
        RunError: the folder is no run, or its index was changed.
    """
    record, index = read_record(run), run / "index.csv"
    if not index.is_file() or file_sha256(index) != record.get("index_sha256"):
        raise RunError(
            f"{index} is missing or was changed since the sweep; it says where radiographs lie: put"
            " it back, or sweep again into a new run folder"
        )
    wanted = {row.ordinal: row for row in rows}
    entries = (entry for entry in indexed_entries(index) if entry.ordinal in wanted)
    reader, lane = Reader(Limits(**record["limits"]), 1, _READ_AHEAD), CarefulLane(1)
    try:
        for file in reader.read(entries):
            row = wanted[file.entry.ordinal]
            if isinstance(file, Rejected):
                yield row, file.reason
                continue
            (grey,) = lane.greys([file.content], [file.header])
            yield row, grey if isinstance(grey, Refused) else _as_swept(row, grey[..., 0])
    finally:
        reader.close()
        lane.close()


def _as_swept(row: Row, grey: Uint8) -> Uint8 | Refused:
    """A box belongs to the radiograph that was scored, not to what took its name since."""
    height, width = grey.shape
    if row.size is None or row.size == (width, height):
        return grey
    reason = f"it has {width} x {height} pixels now and had {row.size[0]} x {row.size[1]}"
    return Refused(FailureCode.READ_FAILED, f"the file was changed since the sweep: {reason}")


def boxed(grey: Uint8, row: Row, longest: int | None = None) -> Uint8:
    """Draw the lung box into a radiograph.

    Args:
        grey: (H, W), as `greys_of` yields it.
        row: its box; none is drawn where it has none.
        longest: side of the result in pixels, never more than before; None keeps the size.

    Returns:
        (h, w, 3) uint8: blue, green, red.
    """
    height, width = grey.shape
    scale = min(1.0, (longest or max(grey.shape)) / max(grey.shape))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    drawn = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if row.box:
        x0, y0, x1, y1 = (round(place * scale) for place in row.box)
        thin = max(2, round(max(drawn.shape) / _THIN))
        for colour, thickness in ((_DARK, 2 * thin), (_LIGHT, thin)):
            cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), colour, thickness)
    return drawn


def encoded(ending: str, pixels: Uint8) -> bytes:
    """A file of a format that OpenCV writes, such as ".png"."""
    done, content = cv2.imencode(ending, pixels)
    assert done, ending
    return bytes(content)
