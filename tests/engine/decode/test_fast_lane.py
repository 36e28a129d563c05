from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from tests_support import triangle_resized

from cxrsweep.engine.decode.fast_lane import Decoded, Decoder, is_fast
from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.decode.turning import upright
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits
from cxrsweep.engine.recipe import Recipe

LIMITS = Limits()
RecipeWith = Callable[..., Recipe]


def decoded_one(recipe: Recipe, content: bytes) -> np.ndarray:
    decoder = Decoder(recipe, batch=4, threads=2)
    try:
        decoded = decoder.decode([content], [header_of(content, LIMITS)])
    finally:
        decoder.close()
    assert not decoded.refused
    return decoded.pixels[0, 0]


@pytest.mark.parametrize("equalise", ["none", "histogram", "clahe"])
@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
def test_stretch_equals_a_plain_reference(
    encoded: Callable[..., bytes], recipe_with: RecipeWith, ending: str, equalise: str
) -> None:
    content = encoded(ending)
    found = decoded_one(recipe_with(equalise=equalise), content)
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if equalise == "histogram":
        grey = cv2.equalizeHist(grey)
    elif equalise == "clahe":
        grey = cv2.createCLAHE(2.0, (8, 8)).apply(grey)
    # One grey level: DALI and the reference may round a half differently.
    expected = triangle_resized(grey, (64, 64))
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(300, 200), (200, 300)])
def test_letterbox_keeps_the_aspect_and_pads_black(
    encoded: Callable[..., bytes], recipe_with: RecipeWith, size: tuple[int, int]
) -> None:
    pixels = np.full(size, 200, np.uint8)
    pixels[:, : size[1] // 2] = 180  # not constant
    found = decoded_one(recipe_with(fit="letterbox"), encoded(".png", pixels))
    inside = found > 100
    rows, columns = inside.any(1).sum(), inside.any(0).sum()
    # 64 px for the longer side, 64 * 2 / 3 for the shorter, within the rounding of one pixel.
    assert max(rows, columns) == 64
    assert abs(min(rows, columns) - 64 * 2 / 3) <= 1
    border = (64 - min(rows, columns)) // 2
    assert (found[:border] == 0).all() if rows < columns else (found[:, :border] == 0).all()


def test_centre_crop_shows_the_middle(
    encoded: Callable[..., bytes], recipe_with: RecipeWith
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (128, 256), np.uint8)
    found = decoded_one(recipe_with(fit="centre-crop", shortest_side=128), encoded(".png", pixels))
    # The shortest side is 128 already, so nothing is resampled.
    np.testing.assert_array_equal(found, pixels[32:96, 96:160])


@pytest.mark.parametrize("side", [255, 259, 261, 301, 383, 511])
@pytest.mark.parametrize("is_wide", [False, True])
def test_centre_crop_counts_whole_pixels_as_torchvision(
    encoded: Callable[..., bytes], recipe_with: RecipeWith, side: int, is_wide: bool
) -> None:
    # 203 to 100 pixels: the other side has a rest, and the crop often half a pixel of offset.
    pixels = np.random.default_rng(side).integers(0, 256, (side, 203), np.uint8)
    pixels = pixels.T.copy() if is_wide else pixels
    long = int(100 * side / 203)
    size = (long, 100) if is_wide else (100, long)
    small = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    top, left = round((size[1] - 64) / 2), round((size[0] - 64) / 2)
    expected = small[top : top + 64, left : left + 64].astype(int)
    found = decoded_one(recipe_with(fit="centre-crop", shortest_side=100), encoded(".png", pixels))
    # One grey level of rounding each; of noise, any other place differs by tens.
    assert np.abs(found.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("fit", ["stretch", "centre-crop"])
def test_without_antialias_samples_are_those_of_opencv(
    encoded: Callable[..., bytes], recipe_with: RecipeWith, fit: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (301, 301), np.uint8)
    found = decoded_one(recipe_with(fit=fit, antialias=False), encoded(".png", pixels))
    # One grey level: OpenCV weighs in fixed point.
    assert np.abs(found.astype(int) - cv2.resize(pixels, (64, 64)).astype(int)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_turn_is_the_same_in_every_format(
    grey: np.ndarray, format_name: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = BytesIO()
    options = {"lossless": True} if format_name == "WEBP" else {}
    Image.fromarray(grey).save(stream, format_name, exif=exif, **options)
    content = stream.getvalue()
    header = header_of(content, LIMITS)
    found = grey_pixels(content, header)[..., 0]
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(content))).convert("L"))
    assert header.shown_size == expected.shape[::-1]
    assert found.shape == expected.shape
    assert is_fast(header) == (orientation == 1 and format_name in ("JPEG", "PNG"))
    # Decoders differ by their inverse transform in JPEG, by colour conversion in WebP.
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_upright_sends_the_stored_corner_where_exif_says() -> None:
    # Exif 2.32, tag 0x0112: where row 0, column 0 of the stored pixels is shown.
    corners = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0)}
    corners |= {5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    stored = np.zeros((4, 6), np.uint8)
    stored[0, 0] = 1
    for orientation, corner in corners.items():
        shown = upright(stored, orientation)
        assert shown.shape == ((6, 4) if orientation >= 5 else (4, 6))
        assert shown[corner] == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_modes_decode_to_their_grey_values(recipe_with: RecipeWith, mode: str) -> None:
    ramp = np.tile(np.repeat(np.arange(0, 256, 32, dtype=np.uint8), 32), (256, 1))
    picture = Image.fromarray(ramp).convert("RGB").convert(mode)
    stream = BytesIO()
    picture.save(stream, "PNG")
    found = decoded_one(recipe_with(), stream.getvalue())
    expected = triangle_resized(np.asarray(picture.convert("L")), (64, 64))
    # Palettes are quantised by Pillow, so both sides see the same palette; RGB to grey rounds.
    assert np.abs(found.astype(int) - expected).max() <= 2


def png_with_cut_pixels(content: bytes) -> bytes:
    """Half of the compressed pixels, under a checksum that is right: no walk can tell."""
    start = content.index(b"IDAT") - 4
    length = int.from_bytes(content[start : start + 4], "big")
    chunk = b"IDAT" + content[start + 8 : start + 8 + length // 2]
    crc = zlib.crc32(chunk).to_bytes(4, "big")
    return content[:start] + (length // 2).to_bytes(4, "big") + chunk + crc + content[-12:]


def decoded_batch(recipe: Recipe, contents: list[bytes]) -> tuple[Decoded, Decoder]:
    decoder = Decoder(recipe, batch=4, threads=2)
    return decoder.decode(contents, [header_of(c, LIMITS) for c in contents]), decoder


def test_one_bad_file_costs_only_itself(
    encoded: Callable[..., bytes], recipe_with: RecipeWith
) -> None:
    good = [encoded(".jpg"), encoded(".png")]
    contents = [good[0], png_with_cut_pixels(good[1]), good[1], good[0]]
    decoded, decoder = decoded_batch(recipe_with(), contents)
    again = decoder.decode(good, [header_of(content, LIMITS) for content in good])
    decoder.close()
    assert {place: reason.code for place, reason in decoded.refused.items()} == {
        1: FailureCode.CORRUPT
    }
    for place, alone in ((0, 0), (2, 1), (3, 0)):
        np.testing.assert_array_equal(decoded.pixels[place], again.pixels[alone])


def test_pixels_of_a_file_do_not_depend_on_a_bad_neighbour_declaring_another_size(
    encoded: Callable[..., bytes], recipe_with: RecipeWith
) -> None:
    content = encoded(".png")
    bad = png_with_cut_pixels(content)
    wrong, right = Header("png", 10, 10, 8), header_of(content, LIMITS)
    decoder = Decoder(recipe_with(), batch=3, threads=1)
    decoded = decoder.decode([bad, content, content], [right, wrong, right])
    decoder.close()
    assert set(decoded.refused) == {0, 1}


def test_dali_fails_on_the_cut_png_of_these_tests(
    encoded: Callable[..., bytes], recipe_with: RecipeWith
) -> None:
    # Otherwise the tests above would not reach the way out of a failed batch.
    decoder = Decoder(recipe_with(), batch=1, threads=1)
    with pytest.raises(RuntimeError):
        decoder._run_encoded([png_with_cut_pixels(encoded(".png"))])
    decoder.close()


def test_wrong_declared_size_is_corrupt(encoded: Callable[..., bytes]) -> None:
    with pytest.raises(Refused) as refused:
        grey_pixels(encoded(".bmp"), Header("bmp", 10, 10, 8))
    assert refused.value.code == FailureCode.CORRUPT


def test_fast_lane_refuses_another_size_than_the_header(
    encoded: Callable[..., bytes], recipe_with: RecipeWith
) -> None:
    decoder = Decoder(recipe_with(), batch=2, threads=1)
    contents = [encoded(".png"), encoded(".png")]
    decoded = decoder.decode(contents, [Header("png", 260, 300, 8), Header("png", 10, 10, 8)])
    decoder.close()
    assert list(decoded.refused) == [1]
    assert decoded.refused[1].code == FailureCode.CORRUPT


@pytest.mark.parametrize("ending", [".png", ".bmp"])
@pytest.mark.parametrize("equalise", ["none", "histogram"])
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "centre-crop"])
@pytest.mark.parametrize("size", [(40, 50), (7, 90), (200, 64)])
def test_constant_radiographs_are_refused(
    encoded: Callable[..., bytes],
    recipe_with: RecipeWith,
    ending: str,
    equalise: str,
    fit: str,
    size: tuple[int, int],
) -> None:
    content = encoded(ending, np.full(size, 128, np.uint8))
    decoder = Decoder(recipe_with(equalise=equalise, fit=fit), batch=1, threads=1)
    decoded = decoder.decode([content], [header_of(content, LIMITS)])
    decoder.close()
    assert decoded.refused[0].code == FailureCode.CONSTANT


def test_undecodable_careful_file_is_corrupt(
    encoded: Callable[..., bytes], recipe_with: RecipeWith
) -> None:
    content = encoded(".webp")
    broken = content[:30] + b"\0" * (len(content) - 30)
    decoder = Decoder(recipe_with(), batch=2, threads=1)
    header = header_of(content, LIMITS)
    decoded = decoder.decode([broken, content], [header, header])
    decoder.close()
    assert decoded.refused[0].code == FailureCode.CORRUPT
    assert list(decoded.refused) == [0]


def test_careful_file_that_dali_cannot_fit_costs_only_itself(
    encoded: Callable[..., bytes], recipe_with: RecipeWith
) -> None:
    thin = encoded(".bmp", np.arange(60_000, dtype=np.uint32).astype(np.uint8).reshape(-1, 1))
    contents = [encoded(".bmp"), thin, encoded(".tiff")]
    decoder = Decoder(recipe_with(), batch=3, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        run, calls = decoder._run_raw, []

        def failing(greys: list[np.ndarray]) -> np.ndarray:
            calls.append(len(greys))
            if any(grey.shape[0] == 60_000 for grey in greys):
                raise RuntimeError("bad_alloc")  # as DALI does where memory is short
            return run(greys)

        patch.setattr(decoder, "_run_raw", failing)
        decoded = decoder.decode(contents, [header_of(c, LIMITS) for c in contents])
    decoder.close()
    assert calls == [3, 1, 1, 1]
    assert list(decoded.refused) == [1]
