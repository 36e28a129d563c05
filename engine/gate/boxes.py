"""The boxes of ISO base media files, which AVIF and JPEG XL are made of."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cxrsweep.engine.failures import FailureCode, Refused


def boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each box between two bytes.

    Raises:
        Refused: TRUNCATED or CORRUPT, a box that ends after what holds it.

    Source: ISO/IEC 14496-12, 4.2: size 1 means a size of 64 bits follows, 0 that nothing does.
    """
    while start < end:
        if start + 8 > end:
            raise Refused(FailureCode.TRUNCATED, f"a box at byte {start} ends in its header")
        size, name = struct.unpack_from(">I4s", content, start)
        begin = start + 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", content, begin)
            begin += 8
        last = start + size if size else end
        if last > end:
            raise Refused(FailureCode.TRUNCATED, f"a box at byte {start} has {end - start} bytes")
        if last < begin:
            raise Refused(FailureCode.CORRUPT, f"a box of {size} bytes at byte {start}")
        yield name, begin, last
        start = last
