"""Archives: what a sweep reads, as a stream of entries in a fixed order."""

from cxrsweep.engine.archive.entries import Archive, Entry, open_archives

__all__ = ["Archive", "Entry", "open_archives"]
