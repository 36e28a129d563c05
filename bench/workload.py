"""The files that a benchmark measures with: an archive that was given, or synthetic radiographs."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxrsweep.bench.phantoms import write_whole
from cxrsweep.bench.results import Files
from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import CxrsweepError
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, Reader, Rejected

PHANTOMS = 40
MOST_BYTES = 2 << 30


class WorkloadError(CxrsweepError):
    """The files cannot be measured with."""


@dataclass(frozen=True)
class Workload:
    """Files that decode.

    Attributes:
        archive: where they lie.
        files: all of them, read and checked.
    """

    archive: Path
    files: list[Checked]

    def described(self) -> Files:
        """How many, how large, of which kinds."""
        sizes = [file.header.width * file.header.height / 1e6 for file in self.files]
        kinds = Counter(file.header.kind for file in self.files)
        return Files(
            radiographs=len(self.files),
            megapixels=float(np.mean(sizes)),
            kilobytes=float(np.mean([file.cost.size / 1e3 for file in self.files])),
            codecs=dict(sorted(kinds.items())),
        )


@contextlib.contextmanager
def opened_workload(archive: Path | None, phantoms: int = PHANTOMS) -> Iterator[Workload]:
    """The files of an archive; without one, synthetic radiographs in a folder that goes away.

    Raises:
        WorkloadError: there is no file, one does not pass the gate, or they are too many to hold.
    """
    with contextlib.ExitStack() as stack:
        if archive is None:
            archive = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            write_whole(archive, phantoms, np.random.default_rng(0))
        yield Workload(archive, _files_of(archive))


def _files_of(archive: Path) -> list[Checked]:
    entries = list(open_archives([archive], Selection()))
    total = sum(max(entry.size, 0) for entry in entries)
    if total > MOST_BYTES:
        raise WorkloadError(
            f"{archive} holds {total / 2**30:.1f} GiB, and a benchmark keeps its files in memory:"
            f" give a part of it, up to {MOST_BYTES >> 30} GiB"
        )
    reader = Reader(Limits(), 2, 32)
    try:
        read = list(reader.read(entries))
    finally:
        reader.close()
    for file in read:
        if isinstance(file, Rejected):
            raise WorkloadError(
                f"every file of {archive} must decode, but {file.entry.radiograph} does not"
                f" ({file.reason.code}: {file.reason.reason}); give a clean part of it"
            )
    if not read:
        raise WorkloadError(f"{archive} has no files; give a folder or archive of radiographs")
    return [file for file in read if isinstance(file, Checked)]
