"""What must be known of files before the index is frozen: listed entries in, rows-to-be out.

Which frames a DICOM file has, which view it is of and what its UID is stand in its header, so every
listed file is opened once more before the sweep; only where one of these is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace

from cxrsweep.engine.archive.ahead import Ahead, size_in_memory
from cxrsweep.engine.archive.contents import Contents, has_head
from cxrsweep.engine.archive.entries import Entry, refusal_text
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.dicom.facts import FileFacts, is_frontal
from cxrsweep.engine.dicom.header import file_facts
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.gate import holds_dicom
from cxrsweep.engine.gate.header import Limits

HEAD_BYTES = 128 * 1024
MAX_FRAMES = 10_000
FILES_AHEAD = 256
SAY_EVERY_S = 60.0
NOTHING = FileFacts(1, "", "", False)  # of what is no DICOM or cannot be read


@dataclass
class SurveyCounts:
    """How many files, not frames, were what.

    Attributes:
        kept: are swept.
        not_frontal: left out, because they name another view.
        without_view: of the kept, name no view.
        by_uid: of the kept, have their SOP instance UID as id.
        without_uid: of the kept, have none.
        uid_again: of the kept, have one that came before.
        rows: of the kept, frames counted each.
    """

    kept: int = 0
    not_frontal: int = 0
    without_view: int = 0
    by_uid: int = 0
    without_uid: int = 0
    uid_again: int = 0
    rows: int = 0

    def as_json(self) -> dict[str, int]:
        """Plain values for run.json."""
        return asdict(self)

    def described(self, selection: Selection) -> list[str]:
        """A line for each thing that was asked for."""
        lines = []
        if selection.view == "frontal":
            lines.append(
                f"view: {self.kept} kept, {self.not_frontal} not frontal left out,"
                f" {self.without_view} of the kept say no view"
            )
        if selection.id == "sop":
            lines.append(
                f"id: {self.by_uid} by SOP instance UID; {self.without_uid} without one and"
                f" {self.uid_again} whose UID came before keep their path"
            )
        if selection.frames == "all":
            lines.append(f"frames: {self.kept} files have {self.rows} rows")
        return lines


class Survey:
    """Opens every listed file once.

    A file that cannot be read or is damaged stays one entry with its path as id: the sweep gives it
    its row.

    Args:
        selection: what is asked.
        limits: sizes that are refused.
        threads: files read side by side.
        say: receives a line a minute.

    Attributes:
        counts: grow while `entries` is taken from.
    """

    def __init__(
        self, selection: Selection, limits: Limits, threads: int, say: Callable[[str], None]
    ) -> None:
        self._selection = selection
        self._limits = limits
        self._threads = threads
        self._say = say
        # Only hashes are kept: the ids of millions must not fill the memory with their text.
        self._taken: set[int] = set()
        self.counts = SurveyCounts()

    def entries(self, listed: Iterable[Entry]) -> Iterator[Entry]:
        """Yield what is swept, in the order of the archive.

        Args:
            listed: with paths as ids.

        Yields:
            entries with new ordinals, one per frame where that is asked for.
        """
        self._say("survey: opening every file once, for its frames, view or UID")
        last, files, ordinal = time.monotonic(), 0, 0
        with closing(Ahead[_Surveyed](self._limits, self._threads, FILES_AHEAD)) as ahead:
            for entry, facts in ahead.made(listed, self._surveyed, _size_read):
                files += 1
                if time.monotonic() - last >= SAY_EVERY_S:
                    last = time.monotonic()
                    self._say(f"survey: {files} files")
                for row in self._rows(entry, facts):
                    yield replace(row, ordinal=ordinal)
                    ordinal += 1
        self.counts.rows = ordinal

    def _surveyed(self, entry: Entry, contents: Contents) -> _Surveyed:
        if entry.refused:
            return entry, NOTHING
        try:
            head, is_whole = contents.head(entry, HEAD_BYTES)
            facts = self._facts(head, is_whole)
            return entry, facts or self._facts(contents.content(entry), True) or NOTHING
        except Refused:
            return entry, NOTHING

    def _facts(self, content: bytes, is_whole: bool) -> FileFacts | None:
        """Facts of a file, None where there is too little of it to tell."""
        if not holds_dicom(content):
            return NOTHING
        try:
            facts = file_facts(content, self._limits)
        except Refused:
            if is_whole:
                raise
            return None
        return facts if is_whole or facts.has_pixels else None

    def _rows(self, entry: Entry, facts: FileFacts) -> Iterator[Entry]:
        if self._selection.view == "frontal" and not self._is_kept(facts.view):
            return
        self.counts.kept += 1
        radiograph = self._id_of(entry, facts.sop_instance_uid)
        frames = facts.frames if self._selection.frames == "all" else 1
        if frames == 1:
            yield replace(entry, radiograph=radiograph)
        elif frames > MAX_FRAMES:
            reason = f"the header declares over {MAX_FRAMES} frames"
            refused = refusal_text(FailureCode.TOO_LARGE, reason)
            yield replace(entry, radiograph=radiograph, refused=refused)
        else:
            for frame in range(1, frames + 1):
                unique = self._unique(f"{radiograph}#frame={frame}")
                yield replace(entry, radiograph=unique, frame=frame)

    def _is_kept(self, view: str) -> bool:
        frontal = is_frontal(view)
        self.counts.not_frontal += frontal is False
        self.counts.without_view += frontal is None
        return frontal is not False

    def _id_of(self, entry: Entry, uid: str) -> str:
        if self._selection.id == "sop":
            if uid and self._is_new(uid):
                self.counts.by_uid += 1
                return uid
            self.counts.uid_again += bool(uid)
            self.counts.without_uid += not uid
        return self._unique(entry.radiograph)

    def _unique(self, radiograph: str) -> str:
        """The id, with a number where a UID or a frame of another file is named so."""
        unique, copy = radiograph, 1
        while not self._is_new(unique):
            copy += 1
            unique = f"{radiograph}#{copy}"
        return unique

    def _is_new(self, radiograph: str) -> bool:
        key = hash(radiograph)
        if key in self._taken:
            return False
        self._taken.add(key)
        return True


_Surveyed = tuple[Entry, FileFacts]


def _size_read(entry: Entry) -> int:
    size = size_in_memory(entry)
    return min(size, HEAD_BYTES) if has_head(entry) else size
