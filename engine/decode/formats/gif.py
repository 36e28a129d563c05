"""GIF: the first frame on its screen, by Pillow, which keeps the colour of transparent pixels."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL.GifImagePlugin import GifImageFile

from cxrsweep.engine.decode.formats.samples import grey_of
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header


def decode(content: bytes, header: Header) -> NDArray[np.uint8]:
    """Decode the first frame.

    Returns:
        (H, W) uint8.

    Raises:
        Refused: CORRUPT, it does not decode.
    """
    try:
        with GifImageFile(io.BytesIO(content)) as image:
            colours = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
        raise Refused(FailureCode.CORRUPT, f"gif does not decode ({error})") from error
    return grey_of(colours, header.bits)
