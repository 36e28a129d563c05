"""One regular file in, its whole content out, or why it is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits


def file_content(location: str, limits: Limits) -> bytes:
    """Read one regular file.

    Raises:
        Refused: READ_FAILED with the system's reason, TOO_LARGE above the byte limit.
    """
    with _opened(location, limits) as (descriptor, declared):
        content = whole(descriptor, declared, limits.most_bytes)
        if len(content) > limits.most_bytes:  # it grew, or the system could not tell its size
            raise Refused(FailureCode.TOO_LARGE, f"over {limits.mebibytes:g} MiB")
        return content


def file_head(location: str, limits: Limits, size: int) -> bytes:
    """The first bytes of one regular file; fewer than `size` only where it has no more.

    Raises:
        Refused: as `file_content`.
    """
    with _opened(location, limits) as (descriptor, _):
        return whole(descriptor, size, size - 1)[:size]


@contextmanager
def _opened(location: str, limits: Limits) -> Iterator[tuple[int, int]]:
    """Descriptor and declared size of a regular file within the limits."""
    try:
        # Non-blocking, because opening a named pipe would otherwise wait for a writer for ever.
        descriptor = os.open(location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Refused(FailureCode.READ_FAILED, "not a regular file")
            check_bytes(status.st_size, limits)
            yield descriptor, status.st_size
    except MemoryError as error:
        raise Refused(FailureCode.TOO_LARGE, "no memory for the file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Refused(FailureCode.READ_FAILED, reason) from error


def check_bytes(size: int, limits: Limits) -> None:
    """Refuse what is known to be too large before it is read.

    Raises:
        Refused: TOO_LARGE.
    """
    if size > limits.most_bytes:
        raise Refused(FailureCode.TOO_LARGE, f"{size} bytes, over {limits.mebibytes:g} MiB")


def whole(descriptor: int, declared: int, most: int) -> bytes:
    """All bytes of a file, whatever it says its size is, but hardly more than `most`."""
    # One byte more than declared: exactly the declared size is then the end, in one call.
    first = os.read(descriptor, min(declared, most) + 1)
    if first and len(first) == declared:
        return first
    pieces = [first]
    while pieces[-1] and (room := most + 1 - sum(map(len, pieces))) > 0:
        pieces.append(os.read(descriptor, min(room, 1 << 20)))
    return b"".join(pieces)
