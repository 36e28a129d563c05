"""Tar files as streams that only go forward: plain or compressed bytes in, tar bytes out."""

from __future__ import annotations

import gzip
import io
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol, cast

from cxrsweep.engine.archive.entries import COMPRESSED, MemberKind
from cxrsweep.engine.archive.remote import RemoteFile, is_remote
from cxrsweep.engine.errors import ArchiveError

BLOCK = 512
# Of one member: its name, and what tar programs add (owners, times, attributes). The pax parser of
# Python before 3.11.10 takes quadratic time, so a header must not be large.
MAX_HEADERS = 32 * 1024
_MANY_DIGITS = re.compile(rb"\d{100}")  # the same parser: cubic time on a long run of digits
_SKIP = 1 << 20
_ZSTD_WINDOW = 1 << 27  # 128 MiB, what `zstd` itself allows unless asked for more
MAX_EXPANSION = 200
EXPANSION_FLOOR = 1 << 30


class ExpansionError(Exception):
    """A compressed tar gives far more bytes than radiographs can."""


class Readable(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class RawFile(Readable, Protocol):
    """A file on the disk or behind a URL."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset."""
        ...

    def tell(self) -> int:
        """The offset."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Source(Readable, Protocol):
    """What a tar is read from."""

    def seek(self, offset: int, /) -> int:
        """Go to an offset."""
        ...

    def tell(self) -> int:
        """The offset."""
        ...

    def end(self) -> int:
        """How many bytes there are, as far as it is known or was read."""
        ...

    def close(self) -> object:
        """Release the file."""
        ...


class Plain:
    """A tar that is not compressed: goes anywhere.

    Args:
        raw: its file, closed with this.
    """

    def __init__(self, raw: RawFile) -> None:
        self._size = _size_of(raw)
        self.read, self.seek, self.tell = raw.read, raw.seek, raw.tell
        self.close = weakref.finalize(self, raw.close)

    def end(self) -> int:
        """Bytes of the file."""
        return self._size


class Decompressed:
    """The tar inside a compressed file; goes forward alone, in bounded memory.

    Args:
        raw: the compressed file, closed with this.
        kind: TAR_GZ or TAR_ZST.
    """

    def __init__(self, raw: RawFile, kind: MemberKind) -> None:
        self._most = MAX_EXPANSION * _size_of(raw) + EXPANSION_FLOOR
        self._inner = _DECOMPRESSORS[kind](raw)
        self._position = 0
        self.close = weakref.finalize(self, raw.close)

    def read(self, size: int, /) -> bytes:
        """Exactly `size` bytes unless the end comes first.

        Raises:
            ExpansionError: it has given too many already.
        """
        pieces: list[bytes] = []
        while size and (piece := self._inner.read(size)):
            pieces.append(piece)
            size -= len(piece)
            self._position += len(piece)
        if self._position > self._most:
            raise ExpansionError
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def seek(self, offset: int, /) -> int:
        """Read up to an offset ahead, or to the end.

        Raises:
            ValueError: it lies behind.
        """
        if offset < self._position:
            raise ValueError("a compressed tar cannot be read backwards")
        while self._position < offset and self.read(min(offset - self._position, _SKIP)):
            pass
        return self._position

    def tell(self) -> int:
        """The offset in the decompressed tar."""
        return self._position

    def end(self) -> int:
        """How far it came."""
        return self._position


def opened_source(location: str, kind: MemberKind) -> Source:
    """Open a tar.

    Args:
        location: path or URL.
        kind: TAR, TAR_GZ or TAR_ZST.

    Raises:
        OSError: it cannot be opened.
        ArchiveError: a package is missing.
    """
    # Unbuffered: a plain tar is read in small jumps, a compressed one in its decompressor's blocks.
    raw: RawFile = (
        RemoteFile(location, "readahead")
        if is_remote(location)
        else Path(location).open("rb", buffering=0)  # noqa: SIM115 (closed by the source)
    )
    return Decompressed(raw, kind) if kind in COMPRESSED else Plain(raw)


class HeaderStream(io.RawIOBase):
    """What the tar parser sees: it can neither go back nor take more than a header's bytes.

    Args:
        source: the tar.

    Attributes:
        last: what was read last; after a member was found, the block that describes it.
        is_spent: the source had less than was asked for.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._room = 0
        self.last = b""
        self.is_spent = False

    def begin_member(self) -> None:
        """Allow the headers of one more member."""
        self._room = MAX_HEADERS

    def read(self, size: int = -1, /) -> bytes:
        """Read a header.

        Raises:
            ValueError: it is larger than a header can be.
        """
        self._room -= size
        if size < 0 or self._room < 0:
            raise ValueError(f"headers of one member over {MAX_HEADERS} bytes")
        self.last = self._source.read(size)
        if size > BLOCK and _MANY_DIGITS.search(self.last):
            raise ValueError("a header with an endless number")
        self.is_spent = len(self.last) < size
        return self.last

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset ahead.

        Raises:
            ValueError: it lies behind, as after a negative size.
        """
        if whence or offset < self.tell():
            raise ValueError("a header that leads backwards")
        return self._source.seek(offset)

    def tell(self) -> int:
        """The offset."""
        return self._source.tell()


def _size_of(raw: RawFile) -> int:
    size = raw.seek(0, io.SEEK_END)
    raw.seek(0)
    return size


def _gzip(raw: RawFile) -> Readable:
    return gzip.GzipFile(fileobj=raw, mode="rb")


def _zstd(raw: RawFile) -> Readable:
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise ArchiveError(
            "a tar compressed with zstd needs the package zstandard: pip install zstandard"
        ) from error
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return decompressor.stream_reader(cast(IO[bytes], raw), read_across_frames=True)


_DECOMPRESSORS: dict[MemberKind, Callable[[RawFile], Readable]] = {
    MemberKind.TAR_GZ: _gzip,
    MemberKind.TAR_ZST: _zstd,
}
