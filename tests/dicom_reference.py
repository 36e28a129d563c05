"""DICOM through pydicom, and windows straight from the standard: what the tests compare with."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi_lut,
    pixel_array,
)


def windowed(value: float, centre: float, width: float, shape: str) -> int:
    """Level of one value between 0 and 255, halves up, without any rounding on the way.

    Source: PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).
    """
    x, c, w = Fraction(value), Fraction(centre), Fraction(width)
    half = Fraction(1, 2)
    if shape == "SIGMOID":
        exponent = min(-4 * (value - centre) / width, 700.0)
        share = Fraction(1 / (1 + math.exp(exponent)))
    elif shape == "LINEAR":
        if x <= c - half - (w - 1) / 2:
            return 0
        if x > c - half + (w - 1) / 2:
            return 255
        share = (x - (c - half)) / (w - 1) + half
    else:
        if x <= c - w / 2:
            return 0
        if x > c + w / 2:
            return 255
        share = (x - c) / w + half
    return math.floor(share * 255 + half)


def rounded(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Shares of white to levels, halves up."""
    return np.floor(shares * 255 + 0.5).astype(np.int64)


def between_percentiles(values: NDArray[Any]) -> NDArray[np.int64]:
    """Levels of values from their 0.5th to their 99.5th percentile."""
    low, high = np.percentile(values.astype(np.float64), [0.5, 99.5], method="inverted_cdf")
    if low == high:
        low, high = values.min(), values.max()
    levels = np.clip((values - low) * 255.0 / (high - low), 0, 255)
    return np.floor(levels + 0.5).astype(np.int64)


def reference_grey(dataset: Dataset, frame: int = 0) -> NDArray[np.int64]:
    """Grey levels of one frame, by pydicom's decoders and its own transforms."""
    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(pixel_array(dataset, index=frame), dataset)
        return rounded(colours @ np.array([0.299, 0.587, 0.114]) / np.iinfo(colours.dtype).max)
    if dataset.SamplesPerPixel == 3:
        return _grey_of_colour(dataset, frame)
    stored = pixel_array(dataset, index=frame)
    values = apply_modality_lut(stored, dataset)
    if "WindowCenter" in dataset or "VOILUTSequence" in dataset:
        low, high = _output_range(dataset)
        levels = rounded((apply_voi_lut(values, dataset) - low) / (high - low))
    elif dataset.BitsStored <= 8:
        levels = rounded(stored / (2**dataset.BitsStored - 1))
    else:
        kept = stored != dataset.get("PixelPaddingValue", None)
        levels = np.zeros(stored.shape, np.int64)
        levels[kept] = between_percentiles(values[kept])
    if photometric == "MONOCHROME1":
        levels = 255 - levels
    if "PixelPaddingValue" in dataset:
        levels[stored == dataset.PixelPaddingValue] = 0
    return levels


def _grey_of_colour(dataset: Dataset, frame: int) -> NDArray[np.int64]:
    colours = pixel_array(dataset, index=frame, raw=True)
    if dataset.PhotometricInterpretation.startswith("YBR_FULL"):
        return colours[..., 0].astype(np.int64)
    grey = colours @ np.array([0.299, 0.587, 0.114])
    return (
        np.rint(grey).astype(np.int64) if colours.dtype == np.uint8 else between_percentiles(grey)
    )


def _output_range(dataset: Dataset) -> tuple[float, float]:
    """Range of what apply_voi_lut returns: of the table's entries, or of the modality's values."""
    if "VOILUTSequence" in dataset:
        return 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    if "ModalityLUTSequence" in dataset:
        return 0, 2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    low = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
    high = low + 2**dataset.BitsStored - 1
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    return float(low * slope + intercept), float(high * slope + intercept)
