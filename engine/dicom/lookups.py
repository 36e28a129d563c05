"""Lookup tables of a header: elements in, tables out, and values through them."""

from __future__ import annotations

import numpy as np

from cxrsweep.engine.decode.windowing import Values
from cxrsweep.engine.dicom.elements import Elements
from cxrsweep.engine.dicom.facts import Lookup, Samples
from cxrsweep.engine.failures import FailureCode, Refused


def lookup_of(elements: Elements, sequence: str, samples: Samples) -> Lookup | None:
    """The first table of a sequence, None where there is none or it is empty.

    Raises:
        Refused: CORRUPT where it is too short.
    """
    item = elements.first_item(sequence)
    if item is None or not item.stored_bytes("LUTData"):
        return None
    return _lookup(item, "LUTDescriptor", "LUTData", samples.is_signed)


def palette_of(elements: Elements, colour: str) -> Lookup:
    """The palette of Red, Green or Blue.

    Raises:
        Refused: UNSUPPORTED where it is absent or segmented, CORRUPT where it is too short.
    """
    name = f"{colour}PaletteColorLookupTable"
    if not elements.stored_bytes(f"{name}Data"):
        raise Refused(FailureCode.UNSUPPORTED, "PALETTE COLOR without a plain palette")
    return _lookup(elements, f"{name}Descriptor", f"{name}Data", is_signed=False)


def _lookup(elements: Elements, descriptor: str, table: str, is_signed: bool) -> Lookup:
    """One lookup table.

    Source: PS3.3 C.7.6.3.1.5 and C.11.1.1.1: number of entries (0 means 65,536), first value that
    is mapped, bits of an entry. Entries of 8 bits lie in words or, older, one per byte.
    """
    count, first, bits = (*elements.words(descriptor), 0, 0, 0)[:3]
    count = count or 1 << 16
    if (is_signed or elements.has_signed_vr(descriptor)) and first >= 1 << 15:
        first -= 1 << 16
    stored = elements.stored_bytes(table)
    if len(stored) < count or not 1 <= bits <= 16:
        raise Refused(FailureCode.CORRUPT, f"a lookup table of {count} entries is too short")
    if len(stored) >= 2 * count:
        words = np.frombuffer(stored, "><"[elements.is_little_endian] + "u2", count)
    else:
        words = np.frombuffer(stored, np.uint8, count)
    return Lookup(first, bits, words.astype("<u2").tobytes())


def mapped(lookup: Lookup, values: Values) -> Values:
    """Entries of values: float64 in and out; values outside the table take its ends."""
    entries = np.frombuffer(lookup.entries, "<u2")
    places = np.clip(np.rint(values) - lookup.first, 0, len(entries) - 1)
    return np.asarray(entries[places.astype(np.intp)], np.float64)
