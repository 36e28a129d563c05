"""A zip as an archive: its central directory in, members out."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing

from cxrsweep.engine.archive.entries import END, Member, MemberKind, refusal_text
from cxrsweep.engine.archive.names import MemberNames
from cxrsweep.engine.archive.remote import RemoteFile, base_name, is_remote
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.failures import FailureCode

_LOCAL_HEADER = 30  # bytes, before the name
_ENCRYPTED = 0x1
# Of these alone zipfile bounds what it decompresses at once; 4 KiB of bzip2 can become gigabytes.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class ZipArchive:
    """Lists a zip in the order of its central directory, which the standard library holds whole.

    Args:
        location: path or URL.
        selection: which members are kept.
    """

    def __init__(self, location: str, selection: Selection) -> None:
        self.location = location
        self.name = base_name(location)
        self.prefix = f"{self.name}::"
        self._selection = selection

    def members(self) -> Iterator[Member]:
        """Yield every file, also those that are refused; for a damaged zip only an `<end>`.

        Raises:
            ArchiveError: the zip cannot be opened or read.
        """
        try:
            archive = opened_zip(self.location)
        except OSError as error:
            raise ArchiveError(
                f"cannot read {self.name}: {error.strerror or type(error).__name__};"
                " mend it or leave it out"
            ) from error
        except ArchiveError:
            raise
        except Exception as error:  # noqa: BLE001 (zipfile raises anything on odd bytes)
            reason = (
                f"no whole zip: its directory at the end is cut off or damaged ({_kind(error)})"
            )
            refused = refusal_text(FailureCode.CORRUPT, reason)
            yield Member(END, self.location, -1, MemberKind.ZIP, refused=refused)
            return
        with closing(archive):
            yield from self._listed(archive.infolist(), archive.start_dir)

    def _listed(self, infos: Sequence[zipfile.ZipInfo], end: int) -> Iterator[Member]:
        names = MemberNames(
            lambda name: self._selection.keeps(self.prefix + name, name),
            hidden=self._selection.hidden,
        )
        if not infos:
            refused = refusal_text(FailureCode.EMPTY, "the zip has no members")
            yield Member(END, self.location, -1, MemberKind.ZIP, refused=refused)
        shared = _overlapping(infos, end)
        for place, info in enumerate(infos):
            if info.is_dir() and not info.file_size:
                continue
            named = names.named(info.filename)
            if named:
                name, unsafe = named
                refused = unsafe or _refusal(info, place in shared)
                yield Member(
                    name, self.location, info.file_size, MemberKind.ZIP, place, info.CRC, refused
                )


def opened_zip(location: str) -> zipfile.ZipFile:
    """Open a zip and read its directory.

    Raises:
        OSError: it cannot be opened.
        BadZipFile: or anything else, on odd bytes.
    """
    return zipfile.ZipFile(RemoteFile(location, "blockcache") if is_remote(location) else location)


def _overlapping(infos: Sequence[zipfile.ZipInfo], end: int) -> set[int]:
    """Places of members that share bytes with another one or with the directory.

    A small zip can name the same compressed bytes a million times; honest ones never do.
    """
    places = sorted(range(len(infos)), key=lambda place: infos[place].header_offset)
    found, reach, holder = set(), 0, -1
    for place in places:
        info = infos[place]
        start = info.header_offset
        stop = start + _LOCAL_HEADER + len(info.orig_filename) + info.compress_size
        if start < reach:
            found |= {place, holder}
        if start < 0 or stop > end:
            found.add(place)
        if stop > reach:
            reach, holder = stop, place
    return found


def _refusal(info: zipfile.ZipInfo, is_shared: bool) -> str:
    if is_shared:
        return _refused("its bytes overlap with another member's, as in a zip bomb")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return _refused("a link")
    if kind not in (0, stat.S_IFREG) or info.is_dir():
        return _refused("neither a file nor a folder")
    if info.flag_bits & _ENCRYPTED:
        return refusal_text(FailureCode.UNSUPPORTED, "an encrypted member")
    if info.compress_type not in _METHODS:
        reason = f"compression method {info.compress_type}"
        return refusal_text(FailureCode.UNSUPPORTED, reason)
    return ""


def _refused(reason: str) -> str:
    return refusal_text(FailureCode.REFUSED_MEMBER, reason)


def _kind(error: Exception) -> str:
    return type(error).__name__
