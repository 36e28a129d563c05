"""Tars and zips opened for reading members again: an entry in, its bytes out."""

from __future__ import annotations

import os
import weakref
import zlib
from typing import Protocol

from cxrsweep.engine.archive.entries import Entry, MemberKind
from cxrsweep.engine.archive.streams import BLOCK, opened_source
from cxrsweep.engine.archive.zip_file import opened_zip
from cxrsweep.engine.failures import FailureCode, Refused


class Container(Protocol):
    """A tar or zip that gives the bytes of its members."""

    def content(self, entry: Entry) -> bytes:
        """Read one member.

        Raises:
            Refused: the archive was changed, or the member is damaged.
        """
        ...


class PlainTar:
    """A local tar: members are read where they lie, by any thread at any time.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, location: str) -> None:
        self._descriptor = os.open(location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Closed when nothing uses it: another thread may still read when it is put away.
        self._closed = weakref.finalize(self, os.close, self._descriptor)
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def content(self, entry: Entry) -> bytes:
        """Read one member with two calls: its header block as a check, then its data.

        Raises:
            Refused: READ_FAILED if the tar was changed.
            OSError: it cannot be read.
        """
        header = os.pread(self._descriptor, BLOCK, entry.offset - BLOCK)
        content = os.pread(self._descriptor, entry.size, entry.offset)
        while 0 < len(content) < entry.size:  # one call reads 2 GiB at most
            more = os.pread(
                self._descriptor, entry.size - len(content), entry.offset + len(content)
            )
            if not more:
                break
            content += more
        _check_unchanged(entry, header, content)
        return content


class StreamedTar:
    """A compressed tar, or one behind a URL: read from front to back by one thread.

    Going back begins at the front again, which for a compressed tar costs all that lies before.
    """

    def __init__(self, location: str, kind: MemberKind) -> None:
        self._location = location
        self._kind = kind
        self._source = opened_source(location, kind)

    def content(self, entry: Entry) -> bytes:
        """Skip to one member and read it.

        Raises:
            Refused: READ_FAILED if the tar was changed.
            OSError: or anything else that a decompressor raises on damage.
        """
        if entry.offset - BLOCK < self._source.tell():
            self._source.close()
            self._source = opened_source(self._location, self._kind)
        self._source.seek(entry.offset - BLOCK)
        header = self._source.read(BLOCK)
        content = self._source.read(entry.size)
        _check_unchanged(entry, header, content)
        return content


class Zip:
    """A zip with its directory in memory, shared by all threads; they take turns at the file.

    Raises:
        OSError: it cannot be opened.
        BadZipFile: it was damaged since it was listed.
    """

    def __init__(self, location: str) -> None:
        self._zip = opened_zip(location)
        self._infos = self._zip.infolist()

    def content(self, entry: Entry) -> bytes:
        """Decompress one member, never to more than the size it declares.

        Raises:
            Refused: READ_FAILED if the zip was changed, CORRUPT if the size is a lie.
            BadZipFile: or anything else that a decompressor raises on damage.
        """
        info = self._infos[entry.offset] if entry.offset < len(self._infos) else None
        if info is None or (info.CRC, info.file_size) != (entry.check, entry.size):
            raise _changed()
        with self._zip.open(info) as member:
            content = member.read(info.file_size)
        if len(content) != entry.size:
            reason = f"declares {entry.size} bytes, has {len(content)}"
            raise Refused(FailureCode.CORRUPT, reason)
        return content


def _check_unchanged(entry: Entry, header: bytes, content: bytes) -> None:
    if zlib.crc32(header) != entry.check or len(content) != entry.size:
        raise _changed()


def _changed() -> Refused:
    return Refused(FailureCode.READ_FAILED, "the archive was changed since it was listed")
