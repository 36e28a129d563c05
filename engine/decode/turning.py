"""EXIF orientations: stored pixels in, shown ones out, and back."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

_INVERSE = {6: 8, 8: 6}  # the others undo themselves


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels as EXIF orientation 1 to 8 asks: (H, W) in, (H, W) or (W, H) out.

    Whatever axes follow stay; the result is a view.

    Source: Exif 2.32, tag 0x0112: where row 0 and column 0 of the stored pixels are shown.
    """
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored


def as_stored(shown: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo `upright`."""
    return upright(shown, _INVERSE.get(orientation, orientation))
