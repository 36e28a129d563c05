"""Names of members: as an archive writes them in, unique ids or a refusal out.

Nothing is ever extracted, so no name can lead anywhere; an unsafe one still says that the archive
was not made by an honest tool, or not for this use.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cxrsweep.engine.archive.entries import END, refusal_text
from cxrsweep.engine.failures import FailureCode

MAX_NAME = 4096
SHOWN = 255
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_SEPARATORS = re.compile(r"[/\\]")


class MemberNames:
    """Names of one archive.

    Only hashes are kept: a list of millions must not fill the memory with its text. Two names of
    one hash would merely make the second look like a duplicate.

    Args:
        keeps: whether a member of this name is swept.
        hidden: also take names with a part that starts with a dot.
    """

    def __init__(self, keeps: Callable[[str], bool], *, hidden: bool) -> None:
        self._keeps = keeps
        self._hidden = hidden
        self._taken = {hash(END)}
        self._copies: dict[int, int] = {}

    def named(self, written: str) -> tuple[str, str] | None:
        """Name one member.

        Args:
            written: as the archive has it.

        Returns:
            its unique name and why it is refused, if so; None where it is not swept.
        """
        parts = [part for part in written.split("/") if part not in ("", ".")]
        refused = _unsafe(written)
        name = _shown(written) if refused else "/".join(parts)
        is_hidden = not refused and any(part.startswith(".") for part in parts)
        if (is_hidden and not self._hidden) or not self._keeps(name):
            return None
        unique = self._unique(name)
        if unique != name and not refused:
            refused = _refused("a second member of this name; only the first is read")
        return unique, refused

    def _unique(self, name: str) -> str:
        key, unique = hash(name), name
        while hash(unique) in self._taken:
            self._copies[key] = self._copies.get(key, 1) + 1
            unique = f"{name}#{self._copies[key]}"
        self._taken.add(hash(unique))
        return unique


def _unsafe(written: str) -> str:
    if not written.strip("/."):
        return _refused("a member without a name")
    if len(written) > MAX_NAME:
        return _refused(f"a name of {len(written)} characters")
    if "\0" in written:
        return _refused("a name with a NUL character")
    if _ABSOLUTE.match(written):
        return _refused("an absolute path")
    if ".." in written and ".." in _SEPARATORS.split(written):
        return _refused("a path that leads out of the archive")
    return ""


def _shown(written: str) -> str:
    visible = written.replace("\0", "␀") or "<unnamed>"
    return visible if len(visible) <= SHOWN else visible[:SHOWN] + "…"


def _refused(reason: str) -> str:
    return refusal_text(FailureCode.REFUSED_MEMBER, reason)
