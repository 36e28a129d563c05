"""URLs through fsspec: object stores and web servers, imported only where a URL is given."""

from __future__ import annotations

import re
from typing import IO
from urllib.parse import urlsplit

from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.header import Limits

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_remote(location: str) -> bool:
    """Whether it is a URL; a path never holds two slashes after a colon once it is absolute."""
    return _URL.match(location) is not None


def base_name(location: str) -> str:
    """Last part of a path or URL, without a query that may hold a signature."""
    path = urlsplit(location).path if is_remote(location) else location
    return path.rstrip("/").rpartition("/")[2]


def opened_remote(location: str) -> IO[bytes]:
    """Open the file behind a URL.

    Raises:
        ArchiveError: always, for now.
    """
    raise ArchiveError(f"{location}: URLs are not read yet; give a path")


def folder_of(location: str) -> str:
    """The path or URL without its last part."""
    return location.partition("?")[0].rpartition("/")[0] or "/"


def remote_content(location: str, limits: Limits) -> bytes:
    """Read the file behind a URL.

    Raises:
        Refused: always, for now.
    """
    raise Refused(FailureCode.UNSUPPORTED, "URLs are not read yet")
