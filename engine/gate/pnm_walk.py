"""Reads the header of a PBM, PGM, PPM, PAM or PFM file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header, Limits, check_size

_HEADER_BYTES = 4096
_GAP = rb"(?:\s|#[^\n]*\n)+"
_MARK = re.compile(rb"P([1-7fF])[\s#]")
_NUMBERS = re.compile(rb"P([1-6])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)(?:" + _GAP + rb"(\d+))?\s")
_BITMAP = re.compile(rb"P([14])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")
_FLOATS = re.compile(rb"P([fF])\s+(\d+)\s+(\d+)\s+(-?[0-9.]+(?:[eE][-+]?\d+)?)\s")
_PAM = re.compile(rb"P7\n(.*?)ENDHDR\n", re.DOTALL)
_CHANNELS = {"1": 1, "2": 1, "3": 3, "4": 1, "5": 1, "6": 3, "f": 1, "F": 3}


@dataclass(frozen=True)
class PnmFacts:
    """What the header says.

    Attributes:
        variant: the sign after the P.
        width: in pixels.
        height: in pixels.
        channels: 1 to 4, per pixel.
        brightest: the value of white; of PFM the scale, negative for little endian.
        start: of the pixels, in bytes.
    """

    variant: str
    width: int
    height: int
    channels: int
    brightest: float
    start: int

    @property
    def is_plain(self) -> bool:
        """Whether the pixels are written as text."""
        return self.variant in "123"

    @property
    def is_bitmap(self) -> bool:
        """Whether a pixel is one bit, of which 1 is black."""
        return self.variant in "14"

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return 32 if self.variant in "fF" else int(self.brightest).bit_length()

    @property
    def stored_bytes(self) -> int:
        """Bytes of the pixels; of text the fewest."""
        if self.is_plain:
            return self.width * self.height * self.channels
        if self.variant == "4":
            return (self.width + 7) // 8 * self.height
        return self.width * self.height * self.channels * ((self.bits + 7) // 8)


def is_pnm(content: bytes) -> bool:
    """Whether a file may be one, by its first three bytes."""
    return _MARK.match(content) is not None


def pnm_header(content: bytes, limits: Limits) -> Header:
    """Check a file of the family.

    Raises:
        Refused: NOT_AN_IMAGE, the mark is followed by no header; TRUNCATED, CORRUPT, TOO_LARGE.
    """
    facts = pnm_facts(content)
    check_size(facts.width, facts.height, limits)
    if len(content) - facts.start < facts.stored_bytes:
        raise Refused(
            FailureCode.TRUNCATED,
            f"pnm has {len(content) - facts.start} of {facts.stored_bytes} bytes of pixels",
        )
    return Header("pnm", facts.width, facts.height, facts.bits)


def pnm_facts(content: bytes) -> PnmFacts:
    """Read the header.

    Raises:
        Refused: NOT_AN_IMAGE, CORRUPT.

    Source: the Netpbm manual pages pbm, pgm, ppm, pam and pfm.
    """
    head = content[:_HEADER_BYTES]
    facts = _pam(head) if head.startswith(b"P7\n") else _with_numbers(head)
    if facts is None:
        raise Refused(FailureCode.NOT_AN_IMAGE, "the content starts like PNM, without its header")
    is_float = facts.variant in "fF"
    if not math.isfinite(facts.brightest) or (
        facts.brightest == 0 if is_float else not 1 <= facts.brightest <= 65535
    ):
        raise Refused(FailureCode.CORRUPT, f"pnm of the maximum {facts.brightest:g}")
    return facts


def _with_numbers(head: bytes) -> PnmFacts | None:
    pattern = {b"1": _BITMAP, b"4": _BITMAP, b"f": _FLOATS, b"F": _FLOATS}.get(head[1:2], _NUMBERS)
    found = pattern.match(head)
    if not found or (pattern is _NUMBERS and not found[4]):
        return None
    variant, width, height = found[1].decode(), int(found[2]), int(found[3])
    brightest = 1.0 if pattern is _BITMAP else float(found[4])
    return PnmFacts(variant, width, height, _CHANNELS[variant], brightest, found.end())


def _pam(head: bytes) -> PnmFacts | None:
    found = _PAM.match(head)
    if not found:
        return None
    words = dict(
        line.split(None, 1) for line in found[1].splitlines() if len(line.split(None, 1)) == 2
    )
    numbers = [words.get(name, b"") for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")]
    if not all(number.strip().isdigit() for number in numbers):
        return None
    width, height, channels, brightest = map(int, numbers)
    if not 1 <= channels <= 4:
        raise Refused(FailureCode.UNSUPPORTED, f"pnm of {channels} channels")
    return PnmFacts("7", width, height, channels, brightest, found.end())
