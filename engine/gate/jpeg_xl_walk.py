"""Reads the header of a JPEG XL file, without decoding it."""

from __future__ import annotations

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.boxes import boxes
from cxrsweep.engine.gate.header import UPRIGHT, Header, Limits, check_size

CODESTREAM = b"\xff\x0a"
BOXED = b"\0\0\0\x0cJXL "
_HEADER_BYTES = 64
# Each number is chosen by two bits from (what is added, how many bits follow); ISO/IEC 18181-1 B.
_Choices = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
_SIZES: _Choices = ((1, 9), (1, 13), (1, 18), (1, 30))
_DEPTHS: _Choices = ((8, 0), (10, 0), (12, 0), (1, 6))
_FLOAT_DEPTHS: _Choices = ((32, 0), (16, 0), (24, 0), (1, 6))
_RATES: _Choices = ((100, 0), (1000, 0), (1, 10), (1, 30))
_RATE_PARTS: _Choices = ((1, 0), (1001, 0), (1, 8), (1, 10))
_LOOPS: _Choices = ((0, 0), (0, 3), (0, 16), (0, 32))
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width by height


def jpeg_xl_header(content: bytes, limits: Limits) -> Header:
    """Read size, depth and orientation.

    Raises:
        Refused: TRUNCATED, CORRUPT, TOO_LARGE or UNSUPPORTED.

    Source: ISO/IEC 18181-1, annex D: SizeHeader and ImageMetadata.
    """
    bits = _Bits(_codestream(content)[2:])
    width, height = _size(bits)
    check_size(width, height, limits)
    depth, orientation = 8, UPRIGHT
    if not bits.taken(1):  # not all is as usual
        if bits.taken(1):
            orientation = bits.taken(3) + 1
            if bits.taken(1):
                _size(bits)
            if bits.taken(1):
                raise Refused(FailureCode.UNSUPPORTED, "jpegxl with a preview")
            if bits.taken(1):
                for choices in (_RATES, _RATE_PARTS, _LOOPS):
                    bits.number(choices)
                bits.taken(1)
        depth = bits.number(_FLOAT_DEPTHS if bits.taken(1) else _DEPTHS)
    return Header("jpegxl", width, height, depth, orientation)


class _Bits:
    """Numbers of some bits each, the lowest bit first."""

    def __init__(self, content: bytes) -> None:
        self._left = len(content) * 8
        self._bits = int.from_bytes(content, "little")

    def taken(self, count: int) -> int:
        """The next number of some bits.

        Raises:
            Refused: TRUNCATED.
        """
        self._left -= count
        if self._left < 0:
            raise Refused(FailureCode.TRUNCATED, "jpegxl ends in its header")
        value = self._bits & (1 << count) - 1
        self._bits >>= count
        return value

    def number(self, choices: _Choices) -> int:
        """The next number of those that a choice allows."""
        added, count = choices[self.taken(2)]
        return added + self.taken(count)


def _size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.taken(1)
    height = _side(bits, is_small)
    ratio = bits.taken(3)
    across, down = _RATIOS[ratio]
    return (height * across // down if ratio else _side(bits, is_small)), height


def _side(bits: _Bits, is_small: int) -> int:
    return (bits.taken(5) + 1) * 8 if is_small else bits.number(_SIZES)


def _codestream(content: bytes) -> bytes:
    """The first bytes of the codestream, which may lie in parts."""
    if content.startswith(CODESTREAM):
        return content[:_HEADER_BYTES]
    for name, start, end in boxes(content, 0, len(content)):
        begin = {b"jxlc": start, b"jxlp": start + 4}.get(name)
        if begin is not None:
            found = content[begin : min(end, begin + _HEADER_BYTES)]
            if found.startswith(CODESTREAM):
                return found
            break
    raise Refused(FailureCode.CORRUPT, "jpegxl without a codestream")
