"""DICOM: one frame, as the rules of `engine/dicom` show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.dicom.header import dicom_header
from cxrsweep.engine.dicom.pixels import dicom_frame
from cxrsweep.engine.gate.header import NO_LIMITS, Header


def decode(content: bytes, header: Header) -> NDArray[np.uint8]:
    """Decode the frame that was asked for, or the first of a file that is one row.

    Returns:
        (H, W) uint8.

    Raises:
        Refused: as `dicom_frame`.
    """
    if not header.frame:
        return dicom_frame(content, dicom_header(content, NO_LIMITS), 0)
    frame = header.frame - 1
    found = dicom_header(content, NO_LIMITS, frame)
    return dicom_frame(content, found, frame, is_alone=True)
