"""Leases: one file per command that sweeps into a run folder, touched as long as it lives.

No lock of the operating system is used, because those do not reach from host to host on every
network file system.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

CLAIMS = "claims"  # folder in the run folder, also of the claims
BEAT_S = 5.0
# Longer than an NFS client keeps the time stamp of a file (acregmax: 60 s) and some beats.
STALE_S = 120.0
_ENDING = ".lease"


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Attributes:
        host: name, for messages.
        place: boot and namespace of the process ids; in the same place, they can be looked up.
        pid, ticks: process and when it started, because ids are given again.
        joins_in: it may sweep beside others.
    """

    host: str
    place: str
    pid: int
    ticks: str
    joins_in: bool


class Leases:
    """All leases of a run, seen by one command.

    Args:
        run: its folder.
        token: of the own lease, whose time stamp tells what time it is on the file server.
    """

    def __init__(self, run: Path, token: str) -> None:
        self.folder = run / CLAIMS
        self._token = token

    def is_live(self, token: str) -> bool:
        """Whether the command that has this lease still sweeps, as far as can be known."""
        if token == self._token:
            return True
        holder, beat = self._read(token)
        if holder and holder.place == _place():
            return _ticks_of(holder.pid) == holder.ticks
        return self._now() - beat < STALE_S

    def others(self) -> dict[str, Holder]:
        """Every other live lease, by token."""
        tokens = [path.stem for path in sorted(self.folder.glob(f"*{_ENDING}"))]
        held = {token: self._read(token)[0] for token in tokens if token != self._token}
        return {token: holder for token, holder in held.items() if holder and self.is_live(token)}

    def beat(self, token: str) -> float | None:
        """When a command gave its last sign of life; None where its process can be looked up."""
        holder, beat = self._read(token)
        return None if holder and holder.place == _place() else beat

    def _read(self, token: str) -> tuple[Holder | None, float]:
        try:  # opened before it is asked for its time: NFS then asks the server
            with (self.folder / f"{token}{_ENDING}").open("rb") as stream:
                beat = os.fstat(stream.fileno()).st_mtime
                return Holder(**json.loads(stream.read())), beat
        except FileNotFoundError:
            return None, float("-inf")
        except (ValueError, TypeError):
            return None, beat

    def _now(self) -> float:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / f"{self._token}{_ENDING}").stat().st_mtime
        return time.time()


class Lease:
    """The life sign of this process on a run.

    Args:
        run: its folder; made where it does not exist.
        joins_in: others may be at work.

    Raises:
        OSError: it cannot be made or written.
    """

    def __init__(self, run: Path, *, joins_in: bool = False) -> None:
        self._run, folder = run, run / CLAIMS
        folder.mkdir(parents=True, exist_ok=True)
        self.token = f"{time.time_ns():x}-{secrets.token_hex(4)}"
        pid = os.getpid()
        holder = Holder(socket.gethostname(), _place(), pid, _ticks_of(pid), joins_in)
        self._path = folder / f"{self.token}{_ENDING}"
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(holder)), encoding="utf-8")
        partial.replace(self._path)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="cxrsweep-lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give it back, and leave no empty folders where nothing was begun."""
        self._closed.set()
        self._thread.join()
        has_begun = (self._run / "run.json").exists()
        for path in self._path.parent.iterdir():
            if path.name.startswith((self.token, *(() if has_begun else ("alone-",)))):
                path.unlink(missing_ok=True)
        if not has_begun:
            with contextlib.suppress(OSError):  # not empty
                self._path.parent.rmdir()
                self._run.rmdir()

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_S):
            with contextlib.suppress(OSError):  # a server that is away for a while
                os.utime(self._path)


def _place() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _ticks_of(pid: int) -> str:
    """When a process was started, in ticks of its kernel; nothing of one that is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # state; starttime: proc(5)
