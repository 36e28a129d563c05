"""URLs through fsspec: object stores and web servers, imported only where a URL is given."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cxrsweep.engine.archive.file_content import check_bytes
from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits

ATTEMPTS = 4
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
BLOCK_BYTES = 8 << 20
NO_PARTS = "the server does not give parts of files, so download it first"

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LASTING = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError),
    *(ValueError, TypeError, ImportError, NotImplementedError, MemoryError),
)
_BUSY = (408, 425, 429)
T = TypeVar("T")


def is_remote(location: str) -> bool:
    """Whether it is a URL; a path never holds two slashes after a colon once it is absolute."""
    return _URL.match(location) is not None


def base_name(location: str) -> str:
    """Last part of a path or URL, without a query that may hold a signature."""
    path = urlsplit(location).path if is_remote(location) else location
    return path.rstrip("/").rpartition("/")[2] or urlsplit(location).netloc


def folder_of(location: str) -> str:
    """The path or URL without its last part."""
    return location.partition("?")[0].rpartition("/")[0] or "/"


def file_system(location: str) -> tuple[Any, str]:
    """File system of a URL and the path in it.

    Raises:
        ArchiveError: a package is missing, or nobody knows such URLs.
    """
    try:
        import tenacity  # noqa: F401 (to be missed here, not after hours)
        from fsspec.core import url_to_fs

        system, path = url_to_fs(location)
    except ImportError as error:
        raise ArchiveError(
            f"a URL that starts with {location.partition(':')[0]}:// needs a package that is not"
            f" installed ({error}); in the checkout of cxrsweep:"
            " pip install -c constraints.txt '.[cloud]'"
        ) from error
    except ValueError as error:
        # Not which URL: this may become the reason of a row, which names no file.
        raise ArchiveError(
            f"a URL that starts with {location.partition(':')[0]}:// is of no known kind; give s3,"
            " gs, az or https"
        ) from error
    return system, path


def tried(call: Callable[[], T]) -> T:
    """Call something on the network, again and with longer waits while it fails for a moment.

    Raises:
        OSError: it failed for good; the text never holds the URL, which may hold a signature.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    waits = wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=waits,
        retry=retry_if_exception(_is_transient),
        reraise=True,
    )
    try:
        return retrying(call)
    except MemoryError:
        raise
    except FileNotFoundError as error:
        raise OSError(errno.ENOENT, "not found") from error
    except PermissionError as error:
        raise OSError(errno.EACCES, "no permission") from error
    except ValueError as error:  # what fsspec raises when a web server ignores the range
        raise OSError(errno.EIO, NO_PARTS) from error
    except Exception as error:  # every store's client has errors of its own
        tries = f" in {ATTEMPTS} tries" if _is_transient(error) else ""
        raise OSError(errno.EIO, f"{type(error).__name__}{tries}") from error


class RemoteFile(io.RawIOBase):
    """A file behind a URL that can be read anywhere, in large blocks.

    Args:
        location: URL.
        cache: fsspec's kind of cache.

    Raises:
        ArchiveError: a package is missing.
        OSError: it cannot be opened, or the server does not give parts of files.
    """

    def __init__(self, location: str, cache: str) -> None:
        system, path = file_system(location)
        settings = {"block_size": BLOCK_BYTES, "cache_type": cache}
        self._file = tried(lambda: system.open(path, "rb", **settings))
        try:
            self._file.seek(0, io.SEEK_END)
            self._file.seek(0)
        except (OSError, ValueError) as error:
            raise OSError(errno.EIO, NO_PARTS) from error

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, tried again where that failed for a moment."""
        content: bytes = tried(lambda: self._file.read(size))
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset."""
        at: int = self._file.seek(offset, whence)
        return at

    def tell(self) -> int:
        """The offset."""
        at: int = self._file.tell()
        return at

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Release the connection."""
        if not self.closed:
            self._file.close()
        super().close()


def remote_content(location: str, limits: Limits, size: int = -1) -> bytes:
    """Read the whole file behind a URL.

    Args:
        location: URL.
        limits: largest file.
        size: as listed, or -1.

    Raises:
        Refused: READ_FAILED after the last attempt, TOO_LARGE above the byte limit.
    """
    check_bytes(size, limits)
    try:
        content = remote_head(location, limits.most_bytes + 1)
    except MemoryError as error:
        raise Refused(FailureCode.TOO_LARGE, "no memory for the file") from error
    except (OSError, ArchiveError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Refused(FailureCode.READ_FAILED, reason or type(error).__name__) from error
    if len(content) > limits.most_bytes:
        raise Refused(FailureCode.TOO_LARGE, f"over {limits.mebibytes:g} MiB")
    return content


def remote_head(location: str, size: int) -> bytes:
    """The first bytes of the file behind a URL, also from a server that gives no parts.

    Raises:
        ArchiveError: a package is missing.
        OSError: it cannot be read.
    """
    system, path = file_system(location)

    def head() -> bytes:
        pieces: list[bytes] = []
        left = size
        with system.open(path, "rb", cache_type="none") as file:
            while left and (piece := file.read(left)):  # a stream gives what has come so far
                pieces.append(piece)
                left -= len(piece)
        return b"".join(pieces)

    return tried(head)


def _is_transient(error: BaseException) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in _BUSY
    return isinstance(error, Exception) and not isinstance(error, _LASTING)
