"""A tar as an archive: headers in, members with the place of their data out."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Self

from cxrsweep.engine.archive.entries import END, Member, MemberKind, refusal_text
from cxrsweep.engine.archive.names import MemberNames
from cxrsweep.engine.archive.remote import base_name
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.archive.streams import ExpansionError, HeaderStream, Source, opened_source
from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.failures import FailureCode

_PIECE = 64 * 1024
_MAX_TRAILER = 16 << 20  # tar programs fill their last record, of 10 KiB unless told, with zeros
_MAX_GLOBAL_HEADERS = 256
_CUT = refusal_text(FailureCode.TRUNCATED, "the tar ends inside this member")


class TarArchive:
    """Lists a tar, plain or compressed, in its own order and once through.

    Args:
        location: path or URL.
        kind: TAR, TAR_GZ or TAR_ZST.
        selection: which members are kept.
    """

    def __init__(self, location: str, kind: MemberKind, selection: Selection) -> None:
        self.location = location
        self.kind = kind
        self.name = base_name(location)
        self.prefix = f"{self.name}::"
        self._selection = selection

    def members(self) -> Iterator[Member]:
        """Yield every file, also those that are refused; where the tar ends badly, an `<end>`.

        Raises:
            ArchiveError: the tar cannot be opened or read, or a package is missing.
        """
        names = MemberNames(
            lambda name: self._selection.keeps(self.prefix + name, name),
            hidden=self._selection.hidden,
        )
        try:
            with closing(opened_source(self.location, self.kind)) as source:
                yield from self._listed(_Headers(source), names)
        except OSError as error:
            raise ArchiveError(
                f"cannot read {self.name}: {error.strerror or type(error).__name__};"
                " mend it or leave it out"
            ) from error

    def _listed(self, headers: _Headers, names: MemberNames) -> Iterator[Member]:
        is_told = False
        for header, is_cut in headers.with_their_end():
            if header.tar.isdir():
                continue
            named = names.named(header.tar.name)
            if named:
                name, unsafe = named
                refused = unsafe or _refusal(header.tar) or (_CUT if is_cut else "")
                yield Member(
                    name,
                    self.location,
                    header.tar.size,
                    self.kind,
                    header.tar.offset_data,
                    header.check,
                    refused,
                )
                is_told = is_told or is_cut
        if headers.damage and not is_told:
            yield Member(END, self.location, -1, self.kind, refused=headers.damage)


@dataclass(frozen=True, slots=True)
class _Header:
    """A member's header and the CRC-32 of the block before its data."""

    tar: tarfile.TarInfo
    check: int

    @classmethod
    def of(cls, tar: tarfile.TarInfo, block: bytes) -> Self:
        return cls(tar, zlib.crc32(block))


class _Headers:
    """The headers of a tar, one after the other, until it ends or is damaged.

    Attributes:
        damage: how it ended, if badly: code and reason.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = HeaderStream(source)
        self._tar: tarfile.TarFile | None = None
        self._offset = -1
        self.damage = ""

    def with_their_end(self) -> Iterator[tuple[_Header, bool]]:
        """Yield every header, and whether the tar ended before the member's data did."""
        held = self._next()
        while held:
            # Only the search for the next header shows whether the data before it is there.
            following = self._next()
            end = held.tar.offset_data + held.tar.size
            yield held, bool(self.damage) and self._source.end() < end
            held = following

    def _next(self) -> _Header | None:
        try:
            return self._parsed()
        except (OSError, MemoryError) as error:
            if not isinstance(error, gzip.BadGzipFile):
                raise
            self._break(FailureCode.CORRUPT, "the compressed data is damaged")
        except ArchiveError:
            raise
        except ExpansionError:
            self._break(FailureCode.TOO_LARGE, "the compressed tar expands far beyond its size")
        except Exception as error:  # noqa: BLE001 (tarfile and decompressors raise anything)
            if self._stream.is_spent or isinstance(error, EOFError):
                self._break_off()
            else:
                self._break(FailureCode.CORRUPT, f"damaged here ({type(error).__name__})")
        return None

    def _parsed(self) -> _Header | None:
        self._stream.begin_member()
        if self._tar is None:
            self._tar = tarfile.TarFile(
                fileobj=self._stream, encoding="utf-8", errors="surrogateescape"
            )
        found = self._tar.next()
        self._tar.members.clear()  # type: ignore[attr-defined] # it would remember every one
        if found is None:
            self._judge_end()
            return None
        if found.offset <= self._offset or found.size < 0:
            raise ValueError("a header that leads backwards")
        if len(self._tar.pax_headers) > _MAX_GLOBAL_HEADERS:
            raise ValueError("too many global headers")
        self._offset = found.offset
        return _Header.of(found, self._stream.last)

    def _judge_end(self) -> None:
        """Tell the end-of-archive marker from everything else that makes the parser stop."""
        if self._stream.is_spent:
            self._break_off()
        elif self._stream.last.strip(b"\0"):
            self._break(FailureCode.CORRUPT, "a header is damaged; what follows it is not read")
        elif self._offset < 0:
            self._break(FailureCode.EMPTY, "the tar has no members")
        else:
            self._judge_trailer()

    def _judge_trailer(self) -> None:
        """Nothing but a few zeros may follow the end: neither a second tar nor a lost rest."""
        seen = 0
        while piece := self._source.read(_PIECE):
            seen += len(piece)
            if piece.strip(b"\0"):
                self._break(
                    FailureCode.REFUSED_MEMBER,
                    "more follows the end of the tar (two joined together?); it is not read",
                )
                return
            if seen > _MAX_TRAILER:
                self._break(FailureCode.CORRUPT, "zeros follow its end: was it copied whole?")
                return

    def _break_off(self) -> None:
        if self._source.end() == 0:
            self._break(FailureCode.EMPTY, "the tar has no bytes")
        else:
            self._break(FailureCode.TRUNCATED, "the tar ends without an end-of-archive marker")

    def _break(self, code: FailureCode, reason: str) -> None:
        self.damage = refusal_text(code, reason)


def _refusal(header: tarfile.TarInfo) -> str:
    if header.issparse():
        return refusal_text(FailureCode.UNSUPPORTED, "a sparse member")
    if header.issym() or header.islnk():
        return refusal_text(FailureCode.REFUSED_MEMBER, "a link")
    if not header.isreg():
        return refusal_text(FailureCode.REFUSED_MEMBER, "neither a file nor a folder")
    return ""
