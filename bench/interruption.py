"""Ctrl-C and SIGTERM in the midst of a benchmark: every process ends, every temporary file goes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

_KINDS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def cleaning_up() -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into KeyboardInterrupt, so that whatever is open is closed.

    The second is passed over, until the program has ended: it would leave the rest behind. The
    third acts as the system does and ends it at once.
    """
    before = {kind: signal.getsignal(kind) for kind in _KINDS}
    is_interrupted = False

    def interrupt(_: int, __: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        for kind in _KINDS:
            signal.signal(kind, _pass_over)
        raise KeyboardInterrupt

    for kind in _KINDS:
        signal.signal(kind, interrupt)
    try:
        yield
    finally:
        if not is_interrupted:
            for kind, handler in before.items():
                signal.signal(kind, handler)


def _pass_over(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)


def run_to_end(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; where this one is interrupted, that one ends with all it started.

    Args:
        command: program and words.
        environment: None is this process's.

    Returns:
        exit code and what it printed.
    """
    # A group of its own: Ctrl-C reaches this process alone, which then ends the whole group.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env=environment,
    )
    try:
        printed, errors = process.communicate()
    except BaseException:
        end_group(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill a process that leads a group, and the group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
