"""What happens in a process of the careful lane: files in, grey pixels out, one after the other."""

from __future__ import annotations

import json
import os
import resource
import socket
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header

MESSAGE_BYTES = 16_384
# Harm that a file did to memory and that nobody noticed ends with the process.
FILES_PER_PROCESS = 256
STDERR_BYTES = 400


@dataclass(frozen=True)
class Slot:
    """What a process shares with the sweep: file descriptors that both have.

    Attributes:
        messages: sequential packets, JSON both ways.
        given: memory file with the content of the radiograph's file; empty if the process kept it.
        made: memory file for the pixels.
        said: memory file that is the process's stderr.
    """

    messages: int
    given: int
    made: int
    said: int

    def numbers(self) -> tuple[int, int, int, int]:
        """The four descriptors, to hand them on."""
        return self.messages, self.given, self.made, self.said


@dataclass(frozen=True)
class Allowance:
    """What one file may take.

    Attributes:
        memory_mib: beyond what the process has before it.
        cpu_s: of processor time, all files of the process together.
    """

    memory_mib: int
    cpu_s: int


def serve(slot: Slot, allowance: Allowance) -> None:
    """Answer requests until this process is worn; without one, the sweep has ended.

    Args:
        slot: shared with the sweep.
        allowance: held by the kernel.
    """
    os.dup2(slot.said, 2)
    _hold_to(allowance)
    given = _Given(slot.given)
    with socket.socket(fileno=os.dup(slot.messages)) as messages:
        messages.send(json.dumps({"pid": os.getpid()}).encode())
        for left in reversed(range(FILES_PER_PROCESS)):
            request = json.loads(messages.recv(MESSAGE_BYTES) or b"{}")
            if not request:
                return
            os.ftruncate(slot.said, 0)
            answer = _answer(slot, given, request)
            messages.send(json.dumps({**answer, "left": left}).encode())


def said_by(slot: Slot) -> str:
    """The end of what a library printed on stderr, on one line."""
    size = os.fstat(slot.said).st_size
    tail = os.pread(slot.said, STDERR_BYTES, max(size - STDERR_BYTES, 0))
    return " ".join(tail.decode("utf-8", "replace").split())


class _Given:
    """The file that is asked about; kept as long as only frames of it are."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._content = b""

    def content(self, request: dict[str, Any]) -> bytes:
        if not request["is_same_file"]:
            self._content = b""  # before there are two
            self._content = os.pread(self._descriptor, request["size"], 0)
        content = self._content
        if not request["header"]["frame"]:
            self._content = b""
        return content


def _answer(slot: Slot, given: _Given, request: dict[str, Any]) -> dict[str, Any]:
    try:
        grey = grey_pixels(given.content(request), Header(**request["header"]))
        _write(slot.made, np.ascontiguousarray(grey).data.cast("B"))
    except Refused as refused:
        if "Insufficient memory" in said_by(slot):  # OpenCV says so, and answers with nothing
            return _refusal(FailureCode.TOO_MUCH_MEMORY, "OpenCV has no memory for it", slot)
        return _refusal(refused.code, refused.reason, slot)
    except MemoryError:
        return _refusal(FailureCode.TOO_MUCH_MEMORY, "no memory for it", slot)
    return {"shape": grey.shape}


def _refusal(code: FailureCode, reason: str, slot: Slot) -> dict[str, Any]:
    said = said_by(slot)
    return {"code": code, "reason": f"{reason} ({said})" if said else reason}


def _write(descriptor: int, content: memoryview) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], written)


def _hold_to(allowance: Allowance) -> None:
    with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123 (pathlib costs more)
        own = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    most = own + (allowance.memory_mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (allowance.cpu_s, allowance.cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
