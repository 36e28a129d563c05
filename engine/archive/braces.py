"""Brace lists: `shard-{000..015}.tar` and `{train,test}/x` in, the paths they stand for out."""

from __future__ import annotations

import re
from itertools import product

from cxrsweep.engine.errors import ArchiveError

MAX_PATHS = 100_000
_GROUP = re.compile(r"\{([0-9]+\.\.[0-9]+|[^{}]*,[^{}]*)\}")


def expanded(pattern: str) -> list[str]:
    """Expand a path or URL as a shell would; groups cannot hold groups.

    Raises:
        ArchiveError: it stands for too many paths, or has a group within a group.
    """
    pieces = _GROUP.split(pattern)
    choices = [[p] if at % 2 == 0 else _choices(p, pattern) for at, p in enumerate(pieces)]
    if len(pieces) > 1 and any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise ArchiveError(f"{pattern}: braces within braces are not read; name the paths singly")
    total = 1
    for group in choices:
        total *= len(group)
    if total > MAX_PATHS:
        raise _too_many(pattern)
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(group: str, pattern: str) -> list[str]:
    first, dots, last = group.partition("..")
    if not dots or "," in group:
        return group.split(",")
    if abs(int(last) - int(first)) >= MAX_PATHS:
        raise _too_many(pattern)
    step = 1 if int(first) <= int(last) else -1
    is_padded = any(len(end) > 1 and end.startswith("0") for end in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    return [f"{number:0{width}d}" for number in range(int(first), int(last) + step, step)]


def _too_many(pattern: str) -> ArchiveError:
    return ArchiveError(f"{pattern} stands for more than {MAX_PATHS} paths; give fewer at a time")
