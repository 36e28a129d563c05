"""Pseudonyms: a key file and ids in, HMACs of the ids out."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cxrsweep.engine.errors import RunError

DIGITS = 32  # of 64: with 128 bits, two ids in 10^7 meet with a chance of 10^-25
MARK_DIGITS = 16
MIN_KEY_BYTES = 16
MAX_KEY_BYTES = 1 << 20
_MARK = b"cxrsweep: the key of a run"  # not an id: a path has no such beginning


class Pseudonyms:
    """Replaces ids by HMAC-SHA256 under a key.

    Args:
        key: secret bytes.

    Attributes:
        mark: tells keys apart and nothing else of them.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.mark = self._hex(_MARK)[:MARK_DIGITS]

    def of(self, text: str) -> str:
        """The pseudonym of an id or path: the first 32 hex digits of the HMAC of its bytes."""
        return self._hex(text.encode("utf-8", "surrogateescape"))[:DIGITS]

    def of_all(self, texts: Sequence[str]) -> list[str]:
        """Pseudonyms in the same order."""
        return [self.of(text) for text in texts]

    def _hex(self, message: bytes) -> str:
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


def pseudonyms_from(keyfile: Path) -> Pseudonyms:
    """Read a key: all bytes of a file that no one but its owner can read.

    Raises:
        RunError: it does not exist, is no regular file, is too short, or others can read it.
    """
    make = f"(umask 077; head -c 32 /dev/urandom > {keyfile})"
    try:
        descriptor = os.open(keyfile, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RunError(f"there is no key {keyfile}; make one and keep it: {make}") from error
    except OSError as error:
        raise RunError(f"cannot read the key {keyfile}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RunError(f"the key {keyfile} is no regular file; make one: {make}")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise RunError(
                f"others than its owner may use the key {keyfile} (mode"
                f" {stat.S_IMODE(status.st_mode):o}); if it is still secret: chmod 600 {keyfile}"
            )
        key = os.read(descriptor, MAX_KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise RunError(
            f"the key {keyfile} has {len(key)} bytes; it needs {MIN_KEY_BYTES} to {MAX_KEY_BYTES};"
            f" make one: {make}"
        )
    return Pseudonyms(key)
