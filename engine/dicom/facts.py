"""What is kept of a DICOM header: numbers, enumerated codes and one UID, never text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cxrsweep.engine.decode.windowing import Window
from cxrsweep.engine.dicom.dataset import PixelPlace

Photometric = Literal[
    "MONOCHROME1",
    "MONOCHROME2",
    "PALETTE COLOR",
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_ICT",
    "YBR_RCT",
]
PHOTOMETRICS: frozenset[str] = frozenset(get_args(Photometric))
MONOCHROME: frozenset[str] = frozenset({"MONOCHROME1", "MONOCHROME2"})

# PS3.3 C.8.7.1.1.2 and C.8.11.5.1.2, and what devices write for lateral.
VIEWS = frozenset({"AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT", "LATERAL"})
FRONTAL_VIEWS = frozenset({"AP", "PA"})
# PS3.3 C.7.3.1.1.1, those that an archive of radiographs may hold.
_MODALITIES = """
    CR DX RG DR XA RF XC PX IO MG CT MR US PT NM OT SC SM ES DOC KO PR REG SEG SR
    RTDOSE RTIMAGE RTPLAN RTSTRUCT ECG HD
"""
MODALITIES = frozenset(_MODALITIES.split())
OTHER = "OTHER"


@dataclass(frozen=True)
class Lookup:
    """A lookup table of the header.

    Attributes:
        first: the value that its first entry is for; smaller ones take that entry too.
        bits: of an entry; its largest value is white.
        entries: unsigned 16-bit little-endian numbers.
    """

    first: int
    bits: int
    entries: bytes


@dataclass(frozen=True)
class Samples:
    """How stored words hold samples.

    Attributes:
        allocated: bits per word.
        stored: bits of a word that hold the sample.
        high_bit: the highest of them.
        is_signed: two's complement.
        per_pixel: 1, or 3 for colour.
        is_planar: colour is stored plane by plane.
        photometric: what the samples mean.
    """

    allocated: int
    stored: int
    high_bit: int
    is_signed: bool
    per_pixel: int
    is_planar: bool
    photometric: Photometric


@dataclass(frozen=True)
class Greys:
    """How samples become grey.

    Attributes:
        slope: of the rescale.
        intercept: of the rescale.
        modality_lookup: instead of the rescale.
        voi_lookup: instead of a window.
        window: the first that is legal.
        padding: first and last word that is no part of the picture.
        palette: red, green and blue.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality_lookup: Lookup | None = None
    voi_lookup: Lookup | None = None
    window: Window | None = None
    padding: tuple[int, int] | None = None
    palette: tuple[Lookup, Lookup, Lookup] | None = None


def is_frontal(view: str) -> bool | None:
    """Whether a view is AP or PA; None where the file has none."""
    return view in FRONTAL_VIEWS if view else None


@dataclass(frozen=True)
class FileFacts:
    """What a sweep may want to know of a DICOM file before it is in the index.

    Attributes:
        frames: that can be asked for; 1 where its kind is not read or it has no picture.
        view: as of DicomHeader.
        sop_instance_uid: digits and dots, or empty.
        has_pixels: the content reaches the pixel data.
    """

    frames: int
    view: str
    sop_instance_uid: str
    has_pixels: bool


@dataclass(frozen=True)
class DicomHeader:
    """The whitelisted facts of one DICOM file.

    Attributes:
        transfer_syntax: a UID of the standard, or empty where the file has none.
        rows: height in pixels.
        columns: width in pixels.
        frames: at least 1.
        samples: how stored words hold samples.
        greys: how samples become grey.
        place: where the pixels lie.
        view: one of VIEWS, OTHER, or empty where the file has none.
        modality: one of MODALITIES, OTHER, or empty where the file has none.
        sop_instance_uid: digits and dots, or empty.
        frame_offsets: raw extended offset table and its lengths, mostly empty.
    """

    transfer_syntax: str
    rows: int
    columns: int
    frames: int
    samples: Samples
    greys: Greys
    place: PixelPlace
    view: str = ""
    modality: str = ""
    sop_instance_uid: str = ""
    frame_offsets: tuple[bytes, bytes] = (b"", b"")

    @property
    def is_frontal(self) -> bool | None:
        """Whether ViewPosition says AP or PA; None where the file has none."""
        return is_frontal(self.view)

    @property
    def has_native_greys(self) -> bool:
        """Whether its grey lies there as words of 8 or 16 bits, neither encoded nor deflated."""
        is_stored = self.place.length is not None and self.place.deflated_from is None
        return is_stored and self.samples.per_pixel == 1 and self.samples.allocated in (8, 16)
