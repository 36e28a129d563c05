"""Samples as libraries give them in, one grey channel out."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.decode.windowing import eight_bits, window_between
from cxrsweep.engine.failures import FailureCode, Refused


def grey_of(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Grey of one picture; alpha is left out.

    Args:
        samples: (H, W), or (H, W, C) of grey, grey and alpha, RGB, or RGB and anything more.
        bits: that a sample uses, by the header.

    Returns:
        (H, W): uint8 of up to 8 bits, brought to the whole range; of more as they are.

    Raises:
        Refused: UNSUPPORTED, colours of a type that has no grey here.
    """
    if samples.dtype == np.bool_:
        samples = samples.view(np.uint8)
    if samples.ndim == 3:
        samples = samples[..., 0] if samples.shape[2] < 3 else _luminance(samples[..., :3])
    if bits > 8 or (bits == 8 and samples.dtype == np.uint8):
        return samples
    least = -(1 << bits - 1) if samples.dtype.kind == "i" else 0
    return eight_bits(samples, window_between(least, least + (1 << bits) - 1))


def _luminance(colours: NDArray[Any]) -> NDArray[Any]:
    try:
        return cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_RGB2GRAY)
    except cv2.error as error:
        raise Refused(FailureCode.UNSUPPORTED, f"colours of type {colours.dtype}") from error
