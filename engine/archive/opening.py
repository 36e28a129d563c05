"""Opens archives by what they hold and joins them: paths and URLs in, ordered entries out."""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cxrsweep.engine.archive.braces import expanded
from cxrsweep.engine.archive.entries import Archive, Entry, Member, MemberKind
from cxrsweep.engine.archive.folder import FolderArchive
from cxrsweep.engine.archive.manifest import PARQUET, Manifest
from cxrsweep.engine.archive.remote import base_name, is_remote, remote_head
from cxrsweep.engine.archive.remote_folder import RemoteFolder, is_remote_folder
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.archive.single_file import SingleFile
from cxrsweep.engine.archive.streams import BLOCK
from cxrsweep.engine.archive.tar_file import TarArchive
from cxrsweep.engine.archive.zip_file import ZipArchive
from cxrsweep.engine.errors import ArchiveError

GIVE = (
    "give a folder, a tar (plain, .gz or .zst), a zip, a radiograph, or a CSV, text or Parquet"
    " list of paths"
)
_HEAD = 4096
_MAGIC: tuple[tuple[bytes, MemberKind], ...] = (
    (b"\x1f\x8b", MemberKind.TAR_GZ),
    (b"\x28\xb5\x2f\xfd", MemberKind.TAR_ZST),
    *((bytes([first]) + b"\x2a\x4d\x18", MemberKind.TAR_ZST) for first in range(0x50, 0x60)),
    (b"PK\x03\x04", MemberKind.ZIP),
    (b"PK\x05\x06", MemberKind.ZIP),
)
# A damaged or empty archive is still known by its name, and gets its row.
_ENDINGS: tuple[tuple[tuple[str, ...], MemberKind], ...] = (
    ((".tar",), MemberKind.TAR),
    ((".tar.gz", ".tgz"), MemberKind.TAR_GZ),
    ((".tar.zst", ".tzst"), MemberKind.TAR_ZST),
    ((".zip",), MemberKind.ZIP),
)
_NOT_READ = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR"}
LIST_ENDINGS = (".csv", ".txt", ".lst", "")


def located(archives: Sequence[str | Path]) -> list[str]:
    """Absolute paths and URLs of what was asked for; brace lists stay as they are.

    Raises:
        ArchiveError: it is one path instead of a list of them.
    """
    if isinstance(archives, (str, os.PathLike)):
        raise ArchiveError(
            f"archives must be a list, not the single path {os.fspath(archives)!r}: put it in [ ]"
        )
    return [
        str(archive) if is_remote(str(archive)) else str(Path(archive).resolve())
        for archive in archives
    ]


def open_archive(location: str, selection: Selection) -> Archive:
    """Choose the kind of archive by what lies at a path or URL.

    Raises:
        ArchiveError: nothing is there, or it is no kind of archive.
    """
    if is_remote(location):
        if is_remote_folder(location):
            return RemoteFolder(location, hidden=selection.hidden)
    elif Path(location).is_dir():
        return FolderArchive(Path(location), hidden=selection.hidden)
    else:
        _check_local_file(Path(location))
    return _open_file(location, selection)


def open_archives(archives: Sequence[str | Path], selection: Selection) -> Iterator[Entry]:
    """List archives one after the other.

    Args:
        archives: paths and URLs, also with brace lists; with several, ids of files in folders and
            lists start with the archive's name. Ids in tars and zips always do.
        selection: which ids are kept.

    Yields:
        entries with ordinals from 0.

    Raises:
        ArchiveError: an archive cannot be listed, or two would give the same ids.
    """
    paths = [path for archive in located(archives) for path in _expanded(archive)]
    opened = [open_archive(path, selection) for path in paths]
    for name, count in Counter(archive.name for archive in opened).items():
        if count > 1:
            raise ArchiveError(
                f"two archives are named {name!r}, so ids would collide;"
                " sweep their common parent folder instead, or rename one"
            )
    ordinal = 0
    for archive in opened:
        for radiograph, member in _named(archive, len(opened) > 1, selection):
            yield Entry(
                ordinal,
                radiograph,
                member.location,
                member.size,
                member.kind,
                member.offset,
                member.check,
                member.refused,
            )
            ordinal += 1


def _check_local_file(path: Path) -> None:
    if not path.exists():
        raise ArchiveError(f"{path} does not exist; {GIVE}")
    if not path.is_file():
        raise ArchiveError(f"{path} is neither a file nor a folder; {GIVE}")


def _open_file(location: str, selection: Selection) -> Archive:
    head = _head_of(location)
    kind = _kind_of(location, head)
    if kind is MemberKind.ZIP:
        return ZipArchive(location, selection)
    if kind:
        return TarArchive(location, kind, selection)
    if _is_list(location, head):
        return Manifest(location, selection)
    if _is_text(head):
        raise ArchiveError(
            f"{base_name(location)} is no archive, but text (a list must end in .csv, .txt or"
            f" .lst); {GIVE}"
        )
    return SingleFile(location, selection)


def _named(
    archive: Archive, is_one_of_many: bool, selection: Selection
) -> Iterator[tuple[str, Member]]:
    if archive.prefix is not None:
        yield from ((archive.prefix + member.name, member) for member in archive.members())
        return
    prefix = f"{archive.name}/" if is_one_of_many else ""
    for member in archive.members():
        if selection.keeps(prefix + member.name):
            yield prefix + member.name, member


def _expanded(location: str) -> list[str]:
    """A brace list, unless a file is really named so."""
    if not is_remote(location) and Path(location).exists():
        return [location]
    return expanded(location)


def _head_of(location: str) -> bytes:
    try:
        if is_remote(location):
            return remote_head(location, _HEAD)
        with Path(location).open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise ArchiveError(
            f"cannot read {base_name(location)}: {error.strerror or type(error).__name__}; mend it"
            " or leave it out"
        ) from error


def _kind_of(location: str, head: bytes) -> MemberKind | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    for magic, name in _NOT_READ.items():
        if head.startswith(magic):
            raise ArchiveError(
                f"{base_name(location)} is packed with {name}, which is not read; {GIVE}"
            )
    if _is_tar(head):
        return MemberKind.TAR
    lower = base_name(location).lower()
    return next((kind for endings, kind in _ENDINGS if lower.endswith(endings)), None)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _is_list(location: str, head: bytes) -> bool:
    if head.startswith(PARQUET):
        return True
    return Path(base_name(location)).suffix.lower() in LIST_ENDINGS and _is_text(head)


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head[: len(head) - 3].decode("utf-8-sig")  # a character may be cut at the end
    except UnicodeDecodeError:
        return False
    return True
