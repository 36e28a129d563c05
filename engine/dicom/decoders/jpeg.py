"""JPEG: baseline, extended (12 bits) and lossless, by libjpeg-turbo."""

from __future__ import annotations

from typing import Any

import imagecodecs
from numpy.typing import NDArray

from cxrsweep.engine.dicom import syntaxes
from cxrsweep.engine.dicom.facts import DicomHeader
from cxrsweep.engine.dicom.streams import Stream
from cxrsweep.engine.failures import FailureCode, Refused


def is_available(uid: str) -> bool:
    """Whether frames of a transfer syntax are decoded here."""
    return uid in syntaxes.JPEG and bool(imagecodecs.JPEG8.available)


def decode(frame: bytes, stream: Stream, header: DicomHeader) -> NDArray[Any]:
    """One frame.

    Args:
        frame: a JPEG file.
        stream: what it says of itself.
        header: of the file around it; its word counts on colours where the JPEG says nothing.

    Returns:
        (H, W) uint8 or uint16; of colour the luminance, as libjpeg computes it. Of lossless
        colour (H, W, 3), as lossless JPEG converts no colours.

    Raises:
        Refused: CORRUPT, it does not decode.
    """
    colours: dict[str, Any] = {}
    if stream.components == 3 and not stream.is_lossless_jpeg:
        colours = {"outcolorspace": "GRAYSCALE"}
        if not stream.names_its_colours:
            colours["colorspace"] = "RGB" if header.samples.photometric == "RGB" else "YCBCR"
    try:
        return imagecodecs.jpeg8_decode(frame, **colours)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise Refused(FailureCode.CORRUPT, "the JPEG frame does not decode") from error
