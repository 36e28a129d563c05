"""The page cache of the system: files in, the same files gone from memory out, or why they stay."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cxrsweep.engine.errors import CxrsweepError

MOST_SHARE = 0.01  # of the pages may be back or still there, and the files still count as cold


class ColdError(CxrsweepError):
    """Files cannot be read from the disk alone, because the system keeps them in memory."""


def drop_pages(paths: Iterable[str]) -> None:
    """Take files out of the page cache, and look whether they are.

    Args:
        paths: of local files.

    Raises:
        ColdError: they are not; most of them lie in memory by their nature, or are someone else's.
    """
    files = sorted(set(paths))
    remote = [path for path in files if "://" in path]
    if remote:
        raise ColdError(f"{remote[0]} is not on this machine: what holds it may keep it in memory")
    try:
        for path in files:
            _drop(path)
        pages = np.array([resident_pages(path) for path in files], np.int64).sum(axis=0)
    except OSError as error:
        raise ColdError(f"{error.filename}: {error.strerror}") from error
    if pages[0] > MOST_SHARE * pages[1]:
        raise ColdError(
            f"the system keeps {pages[0]} of {pages[1]} pages of the files in memory after"
            " posix_fadvise: their file system lies in memory (tmpfs), another program maps them,"
            " or they belong to another user; copy them to a disk and give the copy"
        )


def load_pages(paths: Iterable[str]) -> None:
    """Read files once, so that they lie in memory as far as it suffices; remote ones are left."""
    for path in sorted(set(paths)):
        if "://" not in path:
            with Path(path).open("rb") as stream:
                while stream.read(1 << 20):
                    pass


def resident_pages(path: str) -> tuple[int, int]:
    """Pages of a file that are in memory, and all of them.

    The system says nothing of files of other users that this one cannot write: all count as there.

    Raises:
        OSError: the file cannot be opened or mapped.
    """
    size = Path(path).stat().st_size
    if not size:
        return 0, 0
    # Not preadv with RWF_NOWAIT: since Linux 5.9 it starts to read what it finds missing.
    with Path(path).open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), size, prot=mmap.PROT_READ)
    view = np.frombuffer(mapped, np.uint8)
    there = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
    mincore = ctypes.CDLL(None, use_errno=True).mincore
    mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    if mincore(view.ctypes.data, size, there.ctypes.data):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return int((there & 1).sum()), len(there)  # the other bits are reserved


def _drop(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)  # pages that are not on the disk yet would stay
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
