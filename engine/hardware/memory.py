"""Keeps the memory of a long sweep flat."""

from __future__ import annotations

import ctypes

# mallopt(3) of glibc: names from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 1 << 23  # smaller ones are kept: fetching pages anew costs time
_ARENAS = 2


def keep_memory_flat() -> bool:
    """Let the C library give large blocks back to the system at once, for the whole process.

    A file and its pixels live in different threads and have every size up to many megabytes. Left
    alone, glibc keeps them in an arena per thread, which grew from 686 MiB at 200 to 853 at 2,000
    radiographs; with few arenas it stays flat.

    Returns:
        Whether the C library took the settings; others than glibc do not have them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = (
        (_M_MMAP_THRESHOLD, _LARGE_BYTES),
        (_M_TRIM_THRESHOLD, _LARGE_BYTES),
        (_M_ARENA_MAX, _ARENAS),
    )
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) for name, value in settings)
