"""The sweep's end of the careful lane: a file in, grey pixels or the reason why not out."""

from __future__ import annotations

import json
import math
import os
import queue
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cxrsweep.engine.decode.careful.child import FILES_PER_PROCESS, MESSAGE_BYTES, Slot
from cxrsweep.engine.decode.grey import Uint8, grey_pixels
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header, Kind

TIMEOUT_S = 60.0
MEMORY_MIB = 4096
# After these a process is gone; after others it goes on.
FATAL = frozenset({FailureCode.DECODER_CRASHED, FailureCode.TIMEOUT})
START_S = 60.0  # of a process that only has to be forked; longer is a machine in trouble
KEPT_BYTES = 64 << 20  # of a memory file: fetching its pages anew costs more than writing them
# One thread each: threads before a fork would be lost in the child.
_SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class _Outcome:
    """What became of one file.

    Attributes:
        pid: of the process that had it.
        answer: (H, W, 1) uint8 as shown, or why there is none.
    """

    pid: int
    answer: Uint8 | Refused

    @property
    def is_crash(self) -> bool:
        return isinstance(self.answer, Refused) and self.answer.code in FATAL


class CarefulLane:
    """Decodes files in processes that may die; started when the first file comes that needs one.

    Native words need none: they are windowed in a thread, without going to a process and back.

    Args:
        processes: files decoded side by side.
        timeout_s: a file that takes longer is given up.
        memory_mib: a file that needs more is given up.
    """

    def __init__(
        self, processes: int, timeout_s: float = TIMEOUT_S, memory_mib: int = MEMORY_MIB
    ) -> None:
        self._processes = processes
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._threads = ThreadPoolExecutor(processes, "cxrsweep-careful")
        self._nursery: subprocess.Popen[bytes] | None = None
        self._workplaces: list[_Workplace] = []
        self._free: queue.SimpleQueue[_Workplace] = queue.SimpleQueue()

    def greys(self, contents: Sequence[bytes], headers: Sequence[Header]) -> list[Uint8 | Refused]:
        """Decode files side by side.

        A process that died may have done harm before it did: whatever else it decoded of these
        files is decoded again by a fresh process, and so is the file that it died of, because the
        harm may have been another's.

        Args:
            contents: whole files.
            headers: what the gate learnt about them.

        Returns:
            for each (H, W, 1) uint8 as shown, or why there is none: DECODER_CRASHED, TIMEOUT,
            TOO_MUCH_MEMORY, or what the decoder says.
        """
        kinds = {header.kind for header in headers if not header.is_native}
        if kinds and (self._nursery is None or self._nursery.poll() is not None):
            self._start(kinds)
        outcomes = list(self._threads.map(self._decoded, contents, headers))
        died = {outcome.pid for outcome in outcomes if outcome.is_crash}
        for place, outcome in enumerate(outcomes):
            if outcome.pid in died:
                outcomes[place] = self._decoded(contents[place], headers[place], is_alone=True)
        return [outcome.answer for outcome in outcomes]

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown()
        self._end()

    def _decoded(self, content: bytes, header: Header, *, is_alone: bool = False) -> _Outcome:
        if header.is_native:
            return _Outcome(os.getpid(), _decoded_here(content, header))
        workplace = self._free.get()
        try:
            if is_alone:
                workplace.refresh()
            outcome = workplace.decoded(content, header, self._timeout_s)
            if is_alone:
                workplace.refresh()
            return outcome
        finally:
            self._free.put(workplace)

    def _end(self) -> None:
        for workplace in self._workplaces:
            workplace.close()
        self._workplaces.clear()
        if self._nursery:
            self._nursery.wait()
            self._nursery = None

    def _start(self, kinds: set[Kind]) -> None:
        self._end()
        self._free = queue.SimpleQueue()
        self._workplaces = [_Workplace() for _ in range(self._processes)]
        numbers = [n for workplace in self._workplaces for n in workplace.theirs.numbers()]
        allowance = (self._memory_mib, math.ceil(self._timeout_s) * FILES_PER_PROCESS)
        words = (",".join(sorted(kinds)), *allowance, *numbers)
        module = "cxrsweep.engine.decode.careful.nursery"
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **_SINGLE},
        )
        for workplace in self._workplaces:
            workplace.handed_over()
            self._free.put(workplace)


def _decoded_here(content: bytes, header: Header) -> Uint8 | Refused:
    try:
        return grey_pixels(content, header)
    except Refused as reason:
        return reason
    except MemoryError:
        return Refused(FailureCode.TOO_MUCH_MEMORY, "no memory for it")


class _Workplace:
    """One process's place: what the sweep and the process share.

    Attributes:
        theirs: descriptors of the process.
    """

    def __init__(self) -> None:
        self._messages, messages = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = [os.memfd_create(name, 0) for name in ("given", "made", "said")]
        self.theirs = Slot(messages.detach(), *files)
        self._pid = 0  # of the process, once it said so
        self._is_worn = False
        self._had: tuple[int, bytes | None] = (0, None)  # the process and a file that it keeps

    def handed_over(self) -> None:
        """Close the process's end of the socket here, so that its end is noticed."""
        os.close(self.theirs.messages)

    def decoded(self, content: bytes, header: Header, timeout_s: float) -> _Outcome:
        """Have one file decoded, or one frame of it: a file of many is handed over once."""
        pid = self._pid = self._pid or self._message(START_S)["pid"]
        is_same = self._had[0] == pid and self._had[1] is content
        self._had = (pid, content if header.frame else None)
        if not is_same:
            _written(self.theirs.given, content)
        request = {"size": len(content), "header": asdict(header), "is_same_file": is_same}
        self._messages.send(json.dumps(request).encode())
        try:
            return _Outcome(pid, self._pixels(self._answer(pid, header, timeout_s)))
        except Refused as reason:
            return _Outcome(pid, reason)
        finally:
            self._give_back()

    def refresh(self) -> None:
        """Let a process that has decoded anything make room for a new one."""
        if self._pid and self._is_worn:
            self._messages.send(b"{}")
            self._pid = 0

    def _give_back(self) -> None:
        for descriptor in (self.theirs.given, self.theirs.made):
            if os.fstat(descriptor).st_size > KEPT_BYTES:
                os.ftruncate(descriptor, 0)

    def _pixels(self, answer: dict[str, Any]) -> Uint8:
        self._is_worn = True
        if not answer["left"]:
            self._pid = 0
        if "code" in answer:
            raise Refused(FailureCode(answer["code"]), answer["reason"])
        shape = tuple(answer["shape"])
        pixels = np.frombuffer(os.pread(self.theirs.made, int(np.prod(shape)), 0), np.uint8)
        return pixels.reshape(shape)

    def close(self) -> None:
        """Close everything; the process ends when it notices."""
        self._messages.close()
        for descriptor in self.theirs.numbers()[1:]:
            os.close(descriptor)

    def _answer(self, pid: int, header: Header, timeout_s: float) -> dict[str, Any]:
        try:
            answer = self._message(timeout_s)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._message(START_S)  # that it died
            self._pid = 0
            why = f"{header.kind} not decoded in {timeout_s:g} s"
            raise Refused(FailureCode.TIMEOUT, why) from None
        if "died" in answer:
            self._pid = 0
            raise _crash(answer, header)
        return answer

    def _message(self, timeout_s: float) -> dict[str, Any]:
        waiting = select.poll()
        waiting.register(self._messages, select.POLLIN)
        if not waiting.poll(timeout_s * 1e3):
            raise TimeoutError
        words = self._messages.recv(MESSAGE_BYTES)
        if not words:
            raise Refused(FailureCode.DECODER_CRASHED, "the careful lane ended")
        message: dict[str, Any] = json.loads(words)
        if "pid" in message:
            self._is_worn = False
        return message


def _crash(message: dict[str, Any], header: Header) -> Refused:
    number = -message["died"]
    how = signal.Signals(number).name if number > 0 else f"exit code {-number}"
    said = f" ({message['said']})" if message["said"] else ""
    return Refused(FailureCode.DECODER_CRASHED, f"{header.kind} killed its decoder: {how}{said}")


def _written(descriptor: int, content: bytes) -> None:
    view, written = memoryview(content), 0
    while written < len(view):
        written += os.pwrite(descriptor, view[written:], written)
