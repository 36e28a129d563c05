"""Claims: a name in, held by one worker alone out, on any host that sees the run folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

from cxrsweep.engine.runs.leases import Leases

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
_TOKEN = re.compile(r"[0-9a-f]{14,}-[0-9a-f]{8}")
_RESTS = {".partial", ".whole"}


class Claims:
    """What one worker holds.

    A claim is a symbolic link to its owner's name: making one either succeeds whole or says that
    there is one, on network file systems too. What a dead command held is never removed but
    outnumbered: `shard-000017-0` by `shard-000017-1`, which again only one can make. Claims go
    when what they are for is done, so look whether it is done after a claim was taken.

    Args:
        run: folder of the run.
        token: of the command's lease.
        number: of the worker in its command.
    """

    def __init__(self, run: Path, token: str, number: int = 0) -> None:
        self._leases = Leases(run, token)
        self._folder = self._leases.folder
        self._token = token
        self.owner = f"{token}.{number}"

    def take(self, name: str) -> bool:
        """Claim it, unless another that lives holds it; true also of what is held already."""
        while True:
            newest = self._newest(name)
            if newest >= 0:
                owner = self._owner(name, newest)
                if owner == self.owner:
                    return True
                if self._leases.is_live(owner.partition(".")[0]):
                    return False
            if self._made(f"{name}-{newest + 1}"):
                return True

    def holds(self, name: str) -> bool:
        """Whether it is held already, for example by the worker in whose place this one came."""
        newest = self._newest(name)
        return newest >= 0 and self._owner(name, newest) == self.owner

    def drop(self, name: str) -> None:
        """Forget the claims of what is done."""
        for number in range(self._newest(name), -1, -1):
            (self._folder / f"{name}-{number}").unlink(missing_ok=True)

    def permitted(self, count: int) -> bool:
        """Use up one of `count` permits that the workers of one command share."""
        return any(self._made(f"{self._token}.permit-{number}") for number in range(count))

    def clean(self) -> None:
        """Remove what a finished run no longer needs: its claims, and what the dead left."""
        run = self._folder.parent
        for folder in (run, run / "parts", run / "starts", self._folder):
            for path in folder.iterdir():
                is_rest = path.suffix in _RESTS or folder == self._folder
                if is_rest and not any(map(self._leases.is_live, _TOKEN.findall(path.name))):
                    path.unlink(missing_ok=True)

    def _newest(self, name: str) -> int:
        number = 0
        while os.path.lexists(self._folder / f"{name}-{number}"):
            number += 1
        return number - 1

    def _owner(self, name: str, number: int) -> str:
        path = self._folder / f"{name}-{number}"
        with contextlib.suppress(OSError):
            return os.fspath(path.readlink())
        with contextlib.suppress(OSError):
            return path.read_text(encoding="utf-8")
        return ""  # it has just been done

    def _made(self, name: str) -> bool:
        path = self._folder / name
        try:
            path.symlink_to(self.owner)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._made_as_file(path)
        return True

    def _made_as_file(self, path: Path) -> bool:
        """Where the file system has no symbolic links."""
        with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8") as stream:
            stream.write(self.owner)
            return True
        return False
