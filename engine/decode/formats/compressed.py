"""By imagecodecs: JPEG of unusual processes, JPEG-LS, JPEG 2000, JPEG XL and AVIF."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
from numpy.typing import NDArray

from cxrsweep.engine.decode.formats.samples import grey_of
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header, Kind


def decode(content: bytes, header: Header) -> NDArray[Any]:
    """Decode one file.

    Returns:
        (H, W) grey as stored: uint8 of up to 8 bits, of more as they are.

    Raises:
        Refused: CORRUPT, it does not decode.
        MemoryError: there is none for it.
    """
    try:
        samples = _DECODERS[header.kind](content)
    except (RuntimeError, IndexError, ValueError, NotImplementedError) as error:
        raise Refused(FailureCode.CORRUPT, f"{header.kind} does not decode ({error})") from error
    return grey_of(samples, header.bits)


def _jpeg(content: bytes) -> NDArray[Any]:
    # Brightness is stored; the way through RGB and back would round twice.
    return imagecodecs.jpeg8_decode(content, outcolorspace="GRAYSCALE")


def _lossless_jpeg(content: bytes) -> NDArray[Any]:
    return imagecodecs.jpeg8_decode(content)  # converts no colours


def _jpeg_2000(content: bytes) -> NDArray[Any]:
    return imagecodecs.jpeg2k_decode(content, numthreads=1)


def _jpeg_xl(content: bytes) -> NDArray[Any]:
    return imagecodecs.jpegxl_decode(content, index=0, keeporientation=True, numthreads=1)


def _avif(content: bytes) -> NDArray[Any]:
    return imagecodecs.avif_decode(content, index=0, numthreads=1)


_DECODERS: dict[Kind, Callable[[bytes], NDArray[Any]]] = {
    "jpeg": _jpeg,
    "jpegarithmetic": _jpeg,
    "jpeglossless": _lossless_jpeg,
    "jpegls": imagecodecs.jpegls_decode,
    "jpeg2000": _jpeg_2000,
    "jpegxl": _jpeg_xl,
    "avif": _avif,
}
