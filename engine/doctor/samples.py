"""The small files that the doctor decodes, and what each must decode to."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

SIDE = 48, 32  # width and height
REFERENCES = "references.npz"
LIST = "samples.json"


@dataclass(frozen=True)
class Sample:
    """One small file.

    Attributes:
        name: its codec, in words.
        content: the whole file.
        sha256: of its grey pixels, row by row.
        reference: (H, W) uint8 grey pixels, for the files that decoders round differently; None
            where every decoder must give the same.
        tolerance: grey levels that a pixel may differ from the reference.
    """

    name: str
    content: bytes
    sha256: str
    reference: NDArray[np.uint8] | None
    tolerance: int


def samples() -> list[Sample]:
    """Every sample, in the order of their list."""
    folder = files("cxrsweep.engine.doctor").joinpath("samples")
    with np.load(io.BytesIO(folder.joinpath(REFERENCES).read_bytes())) as kept:
        references = dict(kept)
    return [
        Sample(
            entry["name"],
            folder.joinpath(entry["file"]).read_bytes(),
            entry["sha256"],
            references.get(entry["file"]),
            entry["tolerance"],
        )
        for entry in json.loads(folder.joinpath(LIST).read_text())
    ]


def pixel_hash(grey: NDArray[np.uint8]) -> str:
    """SHA-256 of grey pixels, row by row."""
    return sha256(np.ascontiguousarray(grey).tobytes()).hexdigest()
