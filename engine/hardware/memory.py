"""Keeps the memory of a long sweep flat."""

from __future__ import annotations

import ctypes

# mallopt(3) of glibc: names from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 1 << 23  # smaller ones are kept: fetching pages anew costs time
_ARENAS = 2
_LARGEST_BLOCK = 1 << 25  # the most that M_MMAP_THRESHOLD takes
_KEPT_BYTES = 1 << 28


def keep_memory_flat() -> bool:
    """Let the C library give large blocks back to the system at once, for the whole process.

    A file and its pixels live in different threads and have every size up to many megabytes. Left
    alone, glibc keeps them in an arena per thread, which grew from 686 MiB at 200 to 853 at 2,000
    radiographs; with few arenas it stays flat.

    Returns:
        Whether the C library took the settings; others than glibc do not have them.
    """
    return _set(
        (_M_MMAP_THRESHOLD, _LARGE_BYTES),
        (_M_TRIM_THRESHOLD, _LARGE_BYTES),
        (_M_ARENA_MAX, _ARENAS),
    )


def keep_memory_at_hand() -> bool:
    """Let the C library keep what it has for the next file, in a process that ends after a few.

    Fetching the pages of a radiograph's buffers anew takes up to a quarter of its decoding.

    Returns:
        Whether the C library took the settings.
    """
    return _set((_M_MMAP_THRESHOLD, _LARGEST_BLOCK), (_M_TRIM_THRESHOLD, _KEPT_BYTES))


def _set(*settings: tuple[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) for name, value in settings)
