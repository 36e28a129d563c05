"""Elements of a data set in, numbers and codes out: the few that pixels need, and no text.

Values are read as the standard's dictionary says they are, whatever VR the file declares.
"""

from __future__ import annotations

import math
import re
import struct

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_CODE = re.compile(r"[A-Z0-9 _]{1,16}")


def tag_of(keyword: str) -> BaseTag:
    """Tag of a keyword of the standard's dictionary."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, f"no keyword of the standard: {keyword}"
    return Tag(tag)


class Elements:
    """Typed values of a data set; what is absent or malformed reads as absent.

    Args:
        dataset: its elements as pydicom read them, not yet converted.
        is_little_endian: byte order of its binary values.
    """

    def __init__(self, dataset: Dataset, is_little_endian: bool) -> None:
        self._dataset = dataset
        self.is_little_endian = is_little_endian

    def __contains__(self, keyword: str) -> bool:
        return tag_of(keyword) in self._dataset

    def stored_bytes(self, keyword: str) -> bytes:
        """The value as it lies in the file; empty where absent."""
        tag = tag_of(keyword)
        element = self._dataset.get_item(tag) if tag in self._dataset else None
        value = element.value if isinstance(element, RawDataElement) else b""
        return value if isinstance(value, bytes) else b""

    def is_whole(self) -> bool:
        """Whether no value is shorter than its element declares."""
        return all(
            element.length in (0, 0xFFFFFFFF) or len(element.value or b"") == element.length
            for element in self._dataset.values()
            if isinstance(element, RawDataElement)
        )

    def words(self, keyword: str) -> tuple[int, ...]:
        """Unsigned 16-bit values (US, and SS before its sign is applied)."""
        value = self.stored_bytes(keyword)
        count = len(value) // 2
        return struct.unpack(f"{'><'[self.is_little_endian]}{count}H", value[: 2 * count])

    def word(self, keyword: str) -> int | None:
        """The first unsigned 16-bit value."""
        return next(iter(self.words(keyword)), None)

    def has_signed_vr(self, keyword: str) -> bool:
        """Whether the file itself declares the values signed (SS)."""
        tag = tag_of(keyword)
        return tag in self._dataset and self._dataset.get_item(tag).VR == "SS"

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Decimal or integer strings (DS, IS); empty if any is no finite number."""
        texts = self._text(keyword).split("\\")
        try:
            found = tuple(float(text) for text in texts)
        except ValueError:
            return ()
        return found if all(map(math.isfinite, found)) else ()

    def code(self, keyword: str) -> str:
        """First value of a code string; hold it against a whitelist before it goes anywhere."""
        first = self._text(keyword).split("\\")[0].strip().upper()
        return first if _CODE.fullmatch(first) else ""

    def uid(self, keyword: str) -> str:
        """A unique identifier: digits and dots, at most 64; empty if it holds anything else.

        Source: PS3.5 section 9.1.
        """
        text = self._text(keyword)
        return text if len(text) <= 64 and _UID.fullmatch(text) else ""

    def first_item(self, keyword: str) -> Elements | None:
        """The first item of a sequence, None where there is none."""
        tag = tag_of(keyword)
        items = self._dataset[tag].value if tag in self._dataset else None
        return Elements(items[0], self.is_little_endian) if items else None

    def _text(self, keyword: str) -> str:
        return self.stored_bytes(keyword).decode("ascii", "replace").strip(" \0")
