"""JPEG 2000 by OpenJPEG, high-throughput JPEG 2000 by OpenJPH."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
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
        Refused: CORRUPT, it does not decode; UNSUPPORTED, subsampled or uneven components.
    """
    found = _by_openjph(frame, stream) if stream.codec == "htj2k" else None
    if found is not None:
        return found
    try:
        return imagecodecs.jpeg2k_decode(frame, numthreads=1)
    except NotImplementedError as error:
        raise Refused(FailureCode.UNSUPPORTED, "JPEG 2000 of uneven components") from error
    except (RuntimeError, ValueError, MemoryError) as error:
        raise Refused(FailureCode.CORRUPT, "the JPEG 2000 frame does not decode") from error


def _by_openjph(frame: bytes, stream: Stream) -> NDArray[Any] | None:
    """Twice as fast as OpenJPEG; None where it fails, is absent, or may have left rows out.

    imagecodecs 2026.3 drops an error of OpenJPH after the first row and returns the rest as zeros.
    Rows come in order, so the last one tells; a really black one is decoded again, by OpenJPEG.
    """
    if not imagecodecs.HTJ2K.available:
        return None
    try:
        rows = imagecodecs.htj2k_decode(frame)
    except (RuntimeError, ValueError, MemoryError):
        return None
    return rows if np.any(rows[-1], axis=0).all() else None
