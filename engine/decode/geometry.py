"""Where the S-sized radiograph lies in the source: fit and sizes in, boxes in source pixels out."""

from __future__ import annotations

from collections.abc import Sequence

from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.recipe import Recipe

Box = tuple[int, int, int, int]

MAX_FITTED_PIXELS = 100e6


def fitted_frame(recipe: Recipe, width: int, height: int) -> tuple[float, float, float, float]:
    """Find what part of the source the S-sized radiograph shows.

    Args:
        recipe: its side, fit and shortest side decide.
        width: of the radiograph as shown, in pixels.
        height: of the radiograph as shown, in pixels.

    Returns:
        left, top, width and height in source pixels; letterbox frames reach outside the source.
    """
    if recipe.fit == "stretch":
        return 0.0, 0.0, float(width), float(height)
    if recipe.fit == "letterbox":
        scale = recipe.side / max(width, height)
    else:
        scale = (recipe.shortest_side or recipe.side) / min(width, height)
    extent = recipe.side / scale
    return (width - extent) / 2, (height - extent) / 2, extent, extent


def source_box(recipe: Recipe, fractions: Sequence[float], width: int, height: int) -> Box:
    """Express a lung box in source pixels.

    Args:
        recipe: as in fitted_frame.
        fractions: x0, y0, x1, y1 of the S-sized radiograph, in [0, 1], end exclusive.
        width: of the radiograph as shown, in pixels.
        height: of the radiograph as shown, in pixels.

    Returns:
        x0, y0, x1, y1 in pixels, end exclusive, inside the radiograph.
    """
    left, top, frame_width, frame_height = fitted_frame(recipe, width, height)
    x0, y0, x1, y1 = fractions
    return (
        _clamped(left + x0 * frame_width, width),
        _clamped(top + y0 * frame_height, height),
        _clamped(left + x1 * frame_width, width),
        _clamped(top + y1 * frame_height, height),
    )


def content_of(recipe: Recipe, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of the S-sized radiograph that surely show the source, not padding.

    Args:
        recipe: as in fitted_frame.
        width: of the radiograph as shown, in pixels.
        height: of the radiograph as shown, in pixels.
    """
    left, top, frame_width, frame_height = fitted_frame(recipe, width, height)
    return (
        _inner(top, frame_height, height, recipe.side),
        _inner(left, frame_width, width, recipe.side),
    )


def _inner(start: float, extent: float, size: int, side: int) -> slice:
    """Where [0, size) of the source falls, less two pixels at either end of a padded side."""
    first, last = -start / extent * side, (size - start) / extent * side
    if first <= 0 and last >= side:
        return slice(0, side)
    middle = int((first + last) / 2)
    return slice(min(int(first) + 2, middle), max(int(last) - 2, middle + 1))


def check_fit(recipe: Recipe, width: int, height: int) -> None:
    """Refuse a radiograph so long and thin that the fit would blow it up beyond all memory.

    Args:
        recipe: as in fitted_frame.
        width: of the radiograph as shown, in pixels.
        height: of the radiograph as shown, in pixels.

    Raises:
        Refused: TOO_LARGE.
    """
    if recipe.fit != "centre-crop":
        return
    scale = (recipe.shortest_side or recipe.side) / min(width, height)
    pixels = width * height * scale**2
    if pixels > MAX_FITTED_PIXELS:
        raise Refused(
            FailureCode.TOO_LARGE,
            f"{width} x {height} pixels would become {pixels / 1e6:.0f} megapixels in the fit",
        )


def _clamped(position: float, limit: int) -> int:
    return min(max(round(position), 0), limit)
