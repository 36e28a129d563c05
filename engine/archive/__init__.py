"""Archives: what a sweep reads, as a stream of entries in a fixed order, and their contents."""

from cxrsweep.engine.archive.contents import Contents, is_in_order
from cxrsweep.engine.archive.entries import Archive, Entry, Member, MemberKind
from cxrsweep.engine.archive.opening import located, open_archives

__all__ = [
    "Archive",
    "Contents",
    "Entry",
    "Member",
    "MemberKind",
    "is_in_order",
    "located",
    "open_archives",
]
