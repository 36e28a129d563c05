"""Grey pixels from files of any kind and depth: the careful way, which may end the process."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.decode.turning import upright
from cxrsweep.engine.decode.windowing import eight_bits
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header, Kind

Uint8 = NDArray[np.uint8]
_Decode = Callable[[bytes, Header], NDArray[Any]]

# Imported where such a file comes: the libraries behind them take as long as everything else here.
_MODULES: dict[Kind, str] = {
    "dicom": "dicom",
    "tiff": "tiff",
    "gif": "gif",
    "pnm": "pnm",
    **dict.fromkeys(
        ("jpegarithmetic", "jpeglossless", "jpegls", "jpeg2000", "jpegxl", "avif"), "compressed"
    ),
}


def grey_pixels(content: bytes, header: Header) -> Uint8:
    """Decode any kind, bring it to 8 bits and turn it as EXIF says.

    More than 8 bits become 8 by windowing: DICOM as its header says, others between the 0.5th and
    the 99.5th percentile of their pixels; never by a decoder's own scaling.

    Args:
        content: the whole file.
        header: what the gate learnt about it.

    Returns:
        (H, W, 1) uint8 as shown.

    Raises:
        Refused: CORRUPT, the decoder gives nothing or another size than the header declares; also
            UNSUPPORTED, and of DICOM TRUNCATED.
        MemoryError: there is none for it.
    """
    grey = decoder_of(header.kind, header.bits)(content, header)
    if grey.shape != (header.height, header.width):
        raise other_size(header, grey.shape)
    return np.ascontiguousarray(upright(eight_bits(grey), header.orientation))[..., None]


def decoder_of(kind: Kind, bits: int = 8) -> _Decode:
    """What decodes files of a kind; it is imported here.

    Args:
        kind: from the gate.
        bits: of a sample; JPEG of more than 8 is not OpenCV's.

    Returns:
        content and header in, (H, W) as stored out: uint8 of up to 8 bits, of more as they are.
    """
    module = "compressed" if kind == "jpeg" and bits > 8 else _MODULES.get(kind)
    if module is None:
        return _by_opencv
    found: _Decode = import_module(f"cxrsweep.engine.decode.formats.{module}").decode
    return found


def _by_opencv(content: bytes, header: Header) -> NDArray[Any]:
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    if header.bits > 8:
        flags |= cv2.IMREAD_ANYDEPTH
    try:
        grey = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise Refused(FailureCode.CORRUPT, f"{header.kind} does not decode") from error
    if grey is None:
        raise Refused(FailureCode.CORRUPT, f"{header.kind} does not decode")
    return grey


def constant(value: int) -> Refused:
    """Why a radiograph of one grey value is not scored."""
    return Refused(FailureCode.CONSTANT, f"every pixel decodes to {value}")


def other_size(header: Header, shape: tuple[int, ...]) -> Refused:
    """Why a radiograph that decodes to another (height, width) than declared is not scored."""
    return Refused(
        FailureCode.CORRUPT,
        f"{header.kind} decodes to {shape[1]} x {shape[0]} pixels,"
        f" its header declares {header.width} x {header.height}",
    )
