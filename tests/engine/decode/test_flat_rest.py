"""A JPEG that was cut and closed again is scored, and says so."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrsweep.engine import Bundle, sweep
from cxrsweep.engine.decode.fast_lane import Decoder
from cxrsweep.engine.decode.flat_rest import FLAT_REST, has_flat_rest
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.recipe import Recipe

Encoded = Callable[..., bytes]
RecipeWith = Callable[..., Recipe]
Grey = NDArray[np.uint8]


def closed(content: bytes, share: float) -> bytes:
    """A JPEG that ends after some of its bytes, with an end marker."""
    return content[: int(len(content) * share)] + b"\xff\xd9"


def flags_of(recipe: Recipe, contents: list[bytes]) -> list[str]:
    decoder = Decoder(recipe, batch=len(contents), threads=1)
    try:
        headers = [header_of(content, Limits()) for content in contents]
        decoded = decoder.decode(contents, headers)
    finally:
        decoder.close()
    assert not decoded.refused
    return [decoded.flagged.get(place, "") for place in range(len(contents))]


def test_rows_that_are_all_one_grey_are_flagged_from_an_eighth_on(grey: Grey) -> None:
    for missing, expected in ((0, False), (30, False), (38, True), (75, True), (200, True)):
        filled = grey.copy()
        filled[300 - missing :] = 128
        assert has_flat_rest(filled) == expected, missing


@pytest.mark.parametrize("border", [0, 255])
def test_black_and_white_borders_are_not_flagged(grey: Grey, border: int) -> None:
    bordered = grey.copy()
    bordered[200:] = border
    assert not has_flat_rest(bordered)
    bordered[:, :20] = 255 - border  # and a border at the side, of the other kind
    assert not has_flat_rest(bordered)


def test_a_repeated_row_is_flagged_and_a_picture_of_one_row_is_not(grey: Grey) -> None:
    repeated = grey.copy()
    repeated[200:] = repeated[199]
    assert has_flat_rest(repeated)
    repeated[299, 0] ^= 1
    assert not has_flat_rest(repeated)
    assert not has_flat_rest(np.repeat(grey[:1], 300, 0))


@pytest.mark.parametrize("equalise", ["none", "histogram"])
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_cut_jpegs_are_flagged_and_whole_ones_are_not(
    encoded: Encoded, recipe_with: RecipeWith, grey: Grey, equalise: str, fit: str
) -> None:
    whole = encoded(".jpg")
    deep = encoded(".tiff", grey.astype(np.uint16) * 16)
    contents = [whole, closed(whole, 0.3), closed(whole, 0.6), whole]
    expected = ["", FLAT_REST, FLAT_REST, ""]
    recipe = recipe_with(equalise=equalise, fit=fit)
    assert flags_of(recipe, contents) == expected
    assert flags_of(recipe, [deep]) == [""]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_cut_jpeg_that_is_turned_is_flagged(
    encoded: Encoded, recipe_with: RecipeWith, orientation: int
) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0" + bytes([orientation]) + b"\0" * 7
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    whole = encoded(".jpg")
    turned = whole[:2] + segment + whole[2:]
    assert header_of(turned, Limits()).orientation == orientation
    recipe = recipe_with(equalise="histogram")
    assert flags_of(recipe, [turned]) == [""]
    assert flags_of(recipe, [closed(turned, 0.6)]) == [FLAT_REST]


def test_the_table_tells_which_radiographs_end_in_filler(
    demo_bundle: Bundle, tmp_path: Path, encoded: Encoded
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "whole.jpg").write_bytes(encoded(".jpg"))
    (archive / "cut.jpg").write_bytes(closed(encoded(".jpg"), 0.6))
    assert sweep([archive], demo_bundle, tmp_path / "run").ok == 2
    with (tmp_path / "run" / "results.csv").open(newline="", encoding="utf-8") as stream:
        flags = {row["radiograph"]: row["flags"].split() for row in csv.DictReader(stream)}
    assert FLAT_REST in flags["cut.jpg"]
    assert FLAT_REST not in flags["whole.jpg"]


def test_no_real_radiograph_is_flagged(real_archive: Path, recipe_with: RecipeWith) -> None:
    recipe = recipe_with(equalise="histogram", side=512)
    files = sorted((real_archive / "images").iterdir())
    assert len(files) == 100
    for start in range(0, len(files), 10):
        contents = [path.read_bytes() for path in files[start : start + 10]]
        plain = [c for c in contents if header_of(c, Limits()).bits == 8]
        assert not any(flags_of(recipe, plain))
