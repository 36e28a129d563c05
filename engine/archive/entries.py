"""What an archive yields: members, and entries once they have their place in the sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cxrsweep.engine.failures import FailureCode, Refused

END = "<end>"


class MemberKind(StrEnum):
    """How the bytes of a member are reached; the words stand in index.csv."""

    FILE = "file"
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_ZST = "tar.zst"
    ZIP = "zip"


COMPRESSED = frozenset({MemberKind.TAR_GZ, MemberKind.TAR_ZST})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, as listed.

    Attributes:
        name: within the archive, unique there.
        location: path or URL of the file, or of the tar or zip that holds it.
        size: bytes as listed, or -1 where the listing could not tell.
        kind: how to reach its bytes.
        offset: of a tar, where its data begins (decompressed); of a zip, its place in the list.
        check: of a tar, CRC-32 of its header block; of a zip, of its content. Tells whether the
            archive is still the one that was listed.
        refused: failure code, a space and the reason, if it must not be read.
    """

    name: str
    location: str
    size: int = -1
    kind: MemberKind = MemberKind.FILE
    offset: int = 0
    check: int = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One radiograph to be, before anything of it is read.

    Attributes:
        ordinal: place in the sweep, from 0.
        radiograph: its id, unique in the sweep.
        location, size, kind, offset, check, refused: as of Member.
        frame: of a file whose every frame is a row, from 1; 0 where the file is one row.
    """

    ordinal: int
    radiograph: str
    location: str
    size: int
    kind: MemberKind = MemberKind.FILE
    offset: int = 0
    check: int = 0
    refused: str = ""
    frame: int = 0

    def refusal(self) -> Refused | None:
        """Why it must not be read, if so."""
        if not self.refused:
            return None
        code, _, reason = self.refused.partition(" ")
        return Refused(FailureCode(code), reason)


class Archive(Protocol):
    """A listable source of radiographs.

    Attributes:
        name: of the archive, without its folder.
    """

    name: str

    @property
    def prefix(self) -> str | None:
        """What stands before its members' names; None leaves that, and the selection, to others."""
        ...

    def members(self) -> Iterator[Member]:
        """Yield the members in a fixed order."""
        ...


def refusal_text(code: FailureCode, reason: str) -> str:
    """Code and reason as they stand in index.csv."""
    return f"{code} {reason}"
