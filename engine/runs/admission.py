"""Who may sweep into a run folder: one command alone, or several that say that they join in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cxrsweep.engine.errors import RunError
from cxrsweep.engine.runs.claims import Claims
from cxrsweep.engine.runs.leases import STALE_S, Holder, Lease, Leases
from cxrsweep.engine.runs.run_folder import refuse_foreign

LOOK_S = 1.0


@contextlib.contextmanager
def admitted(
    run: Path, *, joins_in: bool, say: Callable[[str], None] = lambda _: None
) -> Iterator[Lease]:
    """Hold a lease on a run; but for who joins in, no one else may have one.

    Args:
        run: its folder; made where it does not exist.
        joins_in: others may be at work.
        say: told when it waits for a sign of life of one that may be dead.

    Raises:
        RunError: the folder is no run or cannot be written, or another command sweeps into it.
    """
    refuse_foreign(run)
    try:
        lease = Lease(run, joins_in=joins_in)
    except OSError as error:
        raise RunError(f"cannot write to the run folder {run}: {error.strerror}") from error
    try:
        if not joins_in:
            _be_alone(run, lease.token, say)
        yield lease
    finally:
        lease.close()


def described_holders(holders: Iterable[Holder]) -> str:
    """Host and process of each."""
    return ", ".join(f"{holder.host}, process {holder.pid}" for holder in holders)


def _be_alone(run: Path, token: str, say: Callable[[str], None]) -> None:
    """Wait for what may be dead, but for nothing that lives.

    Raises:
        RunError: another one lives.
    """
    leases, claims = Leases(run, token), Claims(run, token)
    beats: dict[str, float | None] = {}
    while True:
        is_taken = claims.take("alone")  # of two that start at the same time, by one
        others = {
            other: holder
            for other, holder in leases.others().items()
            if holder.joins_in or not is_taken
        }
        if is_taken and not others:
            return
        is_first = not beats
        for other in others:
            beat = leases.beat(other)
            if beat is None or beat != beats.setdefault(other, beat):
                raise RunError(
                    f"another sweep is writing to {run} ({described_holders(others.values())});"
                    " wait for it, join in with --join-in, or give another -o"
                )
        if is_first and others:
            who = described_holders(others.values())
            say(f"waiting up to {STALE_S:.0f} s for a sign of life of {who}")
        time.sleep(LOOK_S)
