"""The bytes of entries: an entry of any kind in, its content out, or why it is refused."""

from __future__ import annotations

import threading
from collections import OrderedDict

from cxrsweep.engine.archive.containers import Container, PlainTar, StreamedTar, Zip
from cxrsweep.engine.archive.entries import COMPRESSED, Entry, MemberKind
from cxrsweep.engine.archive.file_content import check_bytes, file_content, file_head
from cxrsweep.engine.archive.remote import is_remote, remote_content
from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits

MAX_OPEN = 8


def is_in_order(entry: Entry) -> bool:
    """Whether its archive can only be read from front to back."""
    is_stream = entry.kind is MemberKind.TAR and is_remote(entry.location)
    return is_stream or entry.kind in COMPRESSED


def has_head(entry: Entry) -> bool:
    """Whether its first bytes can be read without the rest."""
    return entry.kind is MemberKind.FILE and not is_remote(entry.location)


class Contents:
    """Reads entries; keeps a few tars and zips open.

    Any thread may ask, but entries that are `is_in_order` are for one thread, in their order.

    Args:
        limits: sizes that are refused.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: OrderedDict[tuple[str, MemberKind], Container] = OrderedDict()
        self._lock = threading.Lock()
        self._kept: tuple[tuple[str, MemberKind, int] | None, bytes] = (None, b"")

    def content(self, entry: Entry) -> bytes:
        """Read one entry; a file whose frames are entries is kept until the next such file.

        Raises:
            Refused: READ_FAILED, TOO_LARGE, CORRUPT or UNSUPPORTED.
        """
        if not entry.frame:
            return self._read(entry)
        # One assignment each, so threads may see an older file here, but never a half-set one.
        place, (kept, content) = (entry.location, entry.kind, entry.offset), self._kept
        if kept != place:
            content = self._read(entry)
            self._kept = (place, content)
        return content

    def head(self, entry: Entry, size: int) -> tuple[bytes, bool]:
        """The first bytes of an entry and whether they are all.

        Args:
            entry: to read; only of a file on the disk this spares reading the rest.
            size: of the head, in bytes.

        Raises:
            Refused: as `content`.
        """
        if has_head(entry):
            head = file_head(entry.location, self._limits, size)
            return head, len(head) < size
        return self._read(entry), True

    def _read(self, entry: Entry) -> bytes:
        if entry.kind is MemberKind.FILE:
            if is_remote(entry.location):
                return remote_content(entry.location, self._limits, entry.size)
            return file_content(entry.location, self._limits)
        check_bytes(entry.size, self._limits)
        try:
            return self._container(entry).content(entry)
        except Refused:
            raise
        except ArchiveError as error:  # a package that is missing
            raise Refused(FailureCode.READ_FAILED, str(error)) from error
        except MemoryError as error:
            raise Refused(FailureCode.TOO_LARGE, "no memory for the member") from error
        except NotImplementedError as error:  # zipfile, of rare features
            raise Refused(FailureCode.UNSUPPORTED, "a zip feature that is not read") from error
        except Exception as error:  # zipfile and the decompressors raise anything on odd bytes
            if isinstance(error, OSError) and error.errno is not None:
                reason = error.strerror or type(error).__name__
                raise Refused(FailureCode.READ_FAILED, reason) from error
            reason = f"damaged in its archive ({type(error).__name__})"
            raise Refused(FailureCode.CORRUPT, reason) from error

    def _container(self, entry: Entry) -> Container:
        key = (entry.location, entry.kind)
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = _opened(entry)
                if len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(key)
            return found

    def close(self) -> None:
        """Let go of every open archive; each is closed once no thread reads it."""
        self._open.clear()
        self._kept = (None, b"")


def _opened(entry: Entry) -> Container:
    if entry.kind is MemberKind.ZIP:
        return Zip(entry.location)
    if is_in_order(entry):
        return StreamedTar(entry.location, entry.kind)
    return PlainTar(entry.location)
