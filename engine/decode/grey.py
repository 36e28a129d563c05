"""Grey pixels from files of any kind and depth: the careful way, which may end the process."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.decode.windowing import eight_bits
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header, Limits

Uint8 = NDArray[np.uint8]

ALL = Limits(megapixels=1e6, mebibytes=1e6)  # the gate has held the file to its limits already


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
        Refused: CORRUPT, the decoder gives nothing or another size than the header declares; of
            DICOM also TRUNCATED and UNSUPPORTED.
    """
    if header.kind == "dicom":
        return _dicom_pixels(content, header.frame)
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    if header.bits > 8:
        flags |= cv2.IMREAD_ANYDEPTH
    try:
        grey = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise Refused(FailureCode.CORRUPT, f"{header.kind} does not decode") from error
    if grey is None:
        raise Refused(FailureCode.CORRUPT, f"{header.kind} does not decode")
    if grey.shape != (header.height, header.width):
        raise other_size(header, grey.shape)
    return np.ascontiguousarray(upright(eight_bits(grey), header.orientation))[..., None]


def _dicom_pixels(content: bytes, frame: int) -> Uint8:
    # Imported where DICOM comes: it takes as long as everything else here together.
    from cxrsweep.engine.dicom.header import dicom_header
    from cxrsweep.engine.dicom.pixels import dicom_frame

    if not frame:
        return dicom_frame(content, dicom_header(content, ALL), 0)[..., None]
    found = dicom_header(content, ALL, frame - 1)
    return dicom_frame(content, found, frame - 1, is_alone=True)[..., None]


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


def upright(grey: Uint8, orientation: int) -> Uint8:
    """Turn stored pixels as EXIF orientation 1 to 8 asks: (H, W) in, (H, W) or (W, H) out.

    Source: Exif 2.32, tag 0x0112: where row 0 and column 0 of the stored pixels are shown.
    """
    if orientation >= 5:
        grey = grey.T
    if orientation in (2, 3, 6, 7):
        grey = grey[:, ::-1]
    if orientation in (3, 4, 7, 8):
        grey = grey[::-1]
    return grey
