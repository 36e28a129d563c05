"""What the gate learns about one file, and the limits it holds it against."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from cxrsweep.engine.failures import FailureCode, Refused

Kind = Literal[
    "jpeg",
    "jpegarithmetic",
    "jpeglossless",
    "jpegls",
    "jpeg2000",
    "jpegxl",
    "png",
    "bmp",
    "tiff",
    "webp",
    "gif",
    "avif",
    "pnm",
    "dicom",
]

ORIENTATION_TAG = 0x0112
UPRIGHT = 1


@dataclass(frozen=True)
class Header:
    """What the gate learnt about one file.

    Attributes:
        kind: format by content.
        width: as stored, in pixels, before any EXIF turn.
        height: as stored, in pixels, before any EXIF turn.
        bits: per sample.
        orientation: EXIF orientation 1 to 8.
        frame: of a DICOM file, from 1, which is decoded whatever the state of the others; 0: the
            first one, of a file that must be whole.
        is_native: its grey words lie in the file as they are: no decoder could die of them.
    """

    kind: Kind
    width: int
    height: int
    bits: int
    orientation: int = UPRIGHT
    frame: int = 0
    is_native: bool = False

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height after the EXIF turn, in pixels."""
        turned = self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


@dataclass(frozen=True)
class Limits:
    """What is refused before decoding.

    Attributes:
        megapixels: largest width times height, in millions.
        mebibytes: largest file.
    """

    megapixels: float = 100.0
    mebibytes: float = 512.0

    @property
    def most_bytes(self) -> int:
        """The largest file, in bytes."""
        return int(self.mebibytes * 2**20)


# For who reads a header again that the gate has held to its limits already.
NO_LIMITS = Limits(megapixels=1e6, mebibytes=1e6)


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse an empty or oversized radiograph.

    Args:
        width: declared, in pixels.
        height: declared, in pixels.
        limits: the largest size.

    Raises:
        Refused: CORRUPT without pixels, TOO_LARGE above the limit.
    """
    if width <= 0 or height <= 0:
        raise Refused(FailureCode.CORRUPT, f"the header declares {width} x {height} pixels")
    if width * height > limits.megapixels * 1e6:
        raise Refused(
            FailureCode.TOO_LARGE,
            f"the header declares {width} x {height} pixels, over {limits.megapixels:g} megapixels",
        )


def exif_orientation(exif: bytes) -> int:
    """Orientation in an EXIF block (a TIFF structure); a damaged block counts as upright.

    Returns:
        1 to 8.

    Source: TIFF 6.0, section 2: byte order, offset of the first directory, entries of 12 bytes.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if not order or len(exif) < 14:
        return UPRIGHT
    (offset,) = struct.unpack_from(f"{order}I", exif, 4)
    if offset + 2 > len(exif):
        return UPRIGHT
    (count,) = struct.unpack_from(f"{order}H", exif, offset)
    for entry in range(offset + 2, min(offset + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", exif, entry)
        if tag == ORIENTATION_TAG and kind == 3 and values == 1:
            return legal_orientation(value)
    return UPRIGHT


def legal_orientation(orientation: object) -> int:
    """The orientation if it is 1 to 8, else upright."""
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT
