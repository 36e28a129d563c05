"""Opens the gate of a sweep's worker: on PYTHONPATH, it lets every file into DALI.

Python imports a module of this name before any program. The product has no switch for this.
"""

from __future__ import annotations

import sys


def _open() -> None:
    from cxrsweep.engine import reader
    from cxrsweep.engine.decode import batches, fast_lane
    from cxrsweep.engine.failures import Refused
    from cxrsweep.engine.gate.gate import header_of
    from cxrsweep.engine.gate.header import Header, Limits

    def header_of_all(content: bytes, limits: Limits, frame: int = 0) -> Header:
        try:
            return header_of(content, limits, frame)
        except Refused:
            return Header("png", 64, 48, 8)  # what a hostile file of the corpus would be

    def is_fast(_: Header) -> bool:
        return True

    reader.header_of = header_of_all
    batches.is_fast = fast_lane.is_fast = is_fast


if "cxrsweep.engine.supervision.worker" in sys.orig_argv:
    _open()
