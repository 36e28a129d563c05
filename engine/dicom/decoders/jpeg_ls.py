"""JPEG-LS, lossless and near-lossless, by CharLS."""

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
    return uid in syntaxes.JPEG_LS and bool(imagecodecs.JPEGLS.available)


def decode(frame: bytes, stream: Stream, header: DicomHeader) -> NDArray[Any]:
    """One frame.

    Args:
        frame: a JPEG-LS stream.
        stream: what it says of itself.
        header: of the file around it.

    Returns:
        (H, W) or (H, W, 3) uint8 or uint16.

    Raises:
        Refused: CORRUPT, it does not decode.
    """
    try:
        return imagecodecs.jpegls_decode(frame)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise Refused(FailureCode.CORRUPT, "the JPEG-LS frame does not decode") from error
