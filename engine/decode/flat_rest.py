"""A picture whose end is missing: fitted pixels in, whether their last rows are filler out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FLAT_REST = "flat_rest"  # in the column `flags`
SHARE = 8  # the last eighth of the rows
_BLACK, _WHITE = 0, 255


def has_flat_rest(stored: NDArray[Any]) -> bool:
    """Whether the last eighth of the rows repeats one row that is neither black nor white nor both.

    Decoders fill what is missing of a JPEG with mid-grey. Equalisation moves that grey, but keeps
    it one value, and neither the darkest nor the brightest of the picture. Borders of radiographs
    are black or white, and so are not meant.

    Args:
        stored: (H, W) uint8, equalised, in the order in which the file stores rows.
    """
    if len(stored) < SHARE:
        return False
    last = stored[-1]
    # Most radiographs differ here already; most of the others end in a black border.
    if not np.array_equal(last, stored[-2]) or ((last == _BLACK) | (last == _WHITE)).all():
        return False
    first = len(stored) - len(stored) // SHARE
    if not np.array_equal(last, stored[first]) or np.array_equal(last, stored[0]):
        return False
    return bool((stored[first:] == last).all())
