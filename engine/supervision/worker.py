"""The process that sweeps, started by the supervisor: `python -m` runs the command line in it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from cxrsweep.engine.cli import main

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with(supervisor: int) -> None:
    """Ask the kernel to end this process with its supervisor, however that ends.

    Args:
        supervisor: its process id.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it ended before the kernel was asked
        sys.exit(1)


def talk_through(descriptor: int) -> None:
    """Let Python's stderr go here; the other one is left to what the C libraries print.

    Args:
        descriptor: of the terminal, or of the supervisor's pipe.
    """
    sys.stderr = open(descriptor, "w", buffering=1, encoding="utf-8", errors="replace")  # noqa: SIM115


if __name__ == "__main__":
    die_with(int(sys.argv.pop(1)))
    talk_through(int(sys.argv.pop(1)))
    main()
