"""JPEG 2000 by OpenJPEG, high-throughput JPEG 2000 by OpenJPH."""

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
    return uid in syntaxes.JPEG_2000 and bool(imagecodecs.JPEG2K.available)


def decode(frame: bytes, stream: Stream, header: DicomHeader) -> NDArray[Any]:
    """One frame.

    Args:
        frame: a codestream, or a JP2 file.
        stream: what it says of itself.
        header: of the file around it.

    Returns:
        (H, W) or (H, W, 3), 8, 16 or 32 bits, signed where the stream is; RGB of YBR_ICT and
        YBR_RCT, as the transform is part of the stream.

    Raises:
        Refused: CORRUPT, it does not decode.
    """
    try:
        if stream.codec == "htj2k" and imagecodecs.HTJ2K.available:
            try:
                return imagecodecs.htj2k_decode(frame)  # twice as fast as OpenJPEG
            except imagecodecs.Htj2kError:
                pass  # in a JP2 file, or with what OpenJPH does not know
        return imagecodecs.jpeg2k_decode(frame, numthreads=1)
    except (imagecodecs.Jpeg2kError, ValueError, MemoryError) as error:
        raise Refused(FailureCode.CORRUPT, "the JPEG 2000 frame does not decode") from error
