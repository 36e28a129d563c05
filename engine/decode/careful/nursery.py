"""The process that the careful lane's processes are forked from: `python -m` runs it.

It has imported the decoders once and decodes nothing itself, so a new process costs milliseconds.
It has no threads, which is what makes forking it safe; the sweep has many.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import cast

from cxrsweep.engine.decode.careful.child import Allowance, Slot, said_by, serve
from cxrsweep.engine.decode.grey import decoder_of
from cxrsweep.engine.gate.header import Kind
from cxrsweep.engine.hardware.memory import keep_memory_at_hand


def tend(slots: list[Slot], allowance: Allowance) -> None:
    """Keep one process per slot until the sweep closes its ends of them.

    A process that was killed cannot say so; it is said here in its place, on the same socket.

    Args:
        slots: one for each process.
        allowance: of each file.
    """
    pids: dict[int, Slot] = {}
    for slot in slots:
        pids[_forked(slot, allowance)] = slot
    while pids:
        pid, status = os.wait()
        slot = pids.pop(pid)
        exit_code = os.waitstatus_to_exitcode(status)
        if exit_code and not _told(slot, exit_code):
            continue  # the sweep is gone
        if not _is_closed(slot):
            pids[_forked(slot, allowance)] = slot


def _forked(slot: Slot, allowance: Allowance) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the sweep's to handle
        serve(slot, allowance)
        code = 0
    finally:
        os._exit(code)  # no clean-up: what was forked belongs to the parent


def _told(slot: Slot, exit_code: int) -> bool:
    with socket.socket(fileno=os.dup(slot.messages)) as messages:
        try:
            words = {"died": exit_code, "said": said_by(slot)}
            messages.send(json.dumps(words).encode(), socket.MSG_DONTWAIT)
        except OSError:
            return False
    return True


def _is_closed(slot: Slot) -> bool:
    with socket.socket(fileno=os.dup(slot.messages)) as messages:
        try:
            return not messages.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


def main() -> None:
    """Run with: kinds that come first, MiB and seconds allowed, and four descriptors per slot."""
    memory_mib, cpu_s, *numbers = map(int, sys.argv[2:])
    for kind in sys.argv[1].split(","):  # once here instead of in every process
        decoder_of(cast(Kind, kind))
    keep_memory_at_hand()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    slots = [Slot(*numbers[at : at + 4]) for at in range(0, len(numbers), 4)]
    tend(slots, Allowance(memory_mib, cpu_s))


if __name__ == "__main__":
    main()
