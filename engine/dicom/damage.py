"""What a library raises on damaged bytes in, one refusal out that quotes nothing of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cxrsweep.engine.failures import FailureCode, Refused


@contextmanager
def refused_if_damaged(what: str) -> Iterator[None]:
    """Turn any exception of the block but Refused into Refused.

    Args:
        what: is damaged, for the reason.

    Raises:
        Refused: CORRUPT.
    """
    try:
        yield
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  pydicom raises anything, RecursionError too
        # From None: pydicom's messages quote the header.
        reason = f"{what} is damaged ({type(error).__name__})"
        raise Refused(FailureCode.CORRUPT, reason) from None
