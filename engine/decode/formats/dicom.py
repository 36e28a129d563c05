"""DICOM: the first frame, as the rules of `engine/dicom` show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.dicom.header import dicom_header
from cxrsweep.engine.dicom.pixels import dicom_frame
from cxrsweep.engine.gate.header import NO_LIMITS, Header


def decode(content: bytes, header: Header) -> NDArray[np.uint8]:
    """Decode the first frame, by the file's own header.

    Returns:
        (H, W) uint8.

    Raises:
        Refused: as `dicom_frame`.
    """
    return dicom_frame(content, dicom_header(content, NO_LIMITS), 0)
