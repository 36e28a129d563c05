from __future__ import annotations

import subprocess

import pytest

from cxrsweep.engine.archive.braces import expanded
from cxrsweep.engine.errors import ArchiveError


@pytest.mark.parametrize(
    "pattern",
    [
        "shard-{000..015}.tar",
        "{8..11}.tar",
        "{08..11}.tar",
        "{3..1}",
        "{train,test}/x",
        "a{b,c}d{0..2}e",
        "{a,}b",
        "plain",
        "{single}",
        "{}",
        "{a..b.tar",
    ],
)
def test_brace_lists_are_those_of_the_shell(pattern: str) -> None:
    shell = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True
    )
    assert expanded(pattern) == shell.stdout.splitlines()


@pytest.mark.parametrize("pattern", ["{0..999999999}", "{1..999}{1..999}", "{0..99999999999999}"])
def test_endless_lists_are_refused(pattern: str) -> None:
    with pytest.raises(ArchiveError, match="more than 100000 paths"):
        expanded(pattern)


def test_braces_within_braces_are_refused() -> None:
    with pytest.raises(ArchiveError, match="braces within braces"):
        expanded("{a,b{1,2}}")
