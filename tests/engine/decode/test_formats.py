"""Every format through the gate and its decoder, beside the pixels that were written."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from io import BytesIO

import cv2
import imagecodecs
import numpy as np
import pytest
from format_files import arithmetic_jpeg, by_pillow, deep_files, exact_files, pam, pnm, tinted
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxrsweep.engine.decode.careful.lane import CarefulLane
from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits

Grey = NDArray[np.uint8]
LIMITS = Limits()


def decoded(content: bytes) -> Grey:
    return grey_pixels(content, header_of(content, LIMITS))[..., 0]


def refusal(content: bytes, limits: Limits = LIMITS) -> FailureCode:
    with pytest.raises(Refused) as refused:
        grey_pixels(content, header_of(content, limits))
    return refused.value.code


def luma(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """ITU-R BT.601."""
    return colours[..., :3].astype(float) @ [0.299, 0.587, 0.114]


def widest(found: Grey, expected: NDArray[np.generic]) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(float) - expected.astype(float)).max())


@pytest.fixture(scope="module")
def deep(grey: Grey) -> NDArray[np.uint16]:
    """The synthetic radiograph in 12 bits."""
    return grey.astype(np.uint16) * 16 + 5


@pytest.fixture(scope="module")
def exact(grey: Grey) -> dict[str, bytes]:
    return exact_files(grey)


@pytest.fixture(scope="module")
def deep_made(deep: NDArray[np.uint16]) -> dict[str, bytes]:
    return deep_files(deep)


def windowed(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """The documented rule from its definition: the 0.5th and 99.5th percentile become 0 and 255."""
    low, high = np.percentile(pixels, [0.5, 99.5], method="inverted_cdf").astype(float)
    return np.clip((pixels.astype(float) - low) * 255 / (high - low), 0, 255)


@pytest.mark.parametrize("name", sorted(exact_files(np.zeros((152, 132), np.uint8))))
def test_lossless_files_give_the_written_pixels(
    grey: Grey, exact: dict[str, bytes], name: str
) -> None:
    content = exact[name]
    header = header_of(content, LIMITS)
    assert (header.kind, header.width, header.height) == (name.split()[0], 260, 300)
    assert header.bits == 8
    np.testing.assert_array_equal(decoded(content), grey)


@pytest.mark.parametrize("name", sorted(deep_files(np.zeros((8, 8), np.uint16))))
def test_deep_files_are_windowed_like_the_written_pixels(
    deep: NDArray[np.uint16], deep_made: dict[str, bytes], name: str
) -> None:
    content = deep_made[name]
    header = header_of(content, LIMITS)
    kind, bits = name.split()[:2]
    assert (header.kind, header.bits, header.width) == (kind, int(bits), 260)
    # Half a grey level of rounding; halves may fall either way where a float was divided.
    assert widest(decoded(content), windowed(deep)) <= 0.5 + 1e-4


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_brought_to_the_whole_range(grey: Grey, bits: int) -> None:
    few = grey >> (8 - bits)
    expected = few * (255 // (2**bits - 1))
    tiff = imagecodecs.tiff_encode(few if bits > 1 else few.astype(bool), bitspersample=bits)
    assert header_of(tiff, LIMITS).bits == bits
    np.testing.assert_array_equal(decoded(tiff), expected)
    boxed = imagecodecs.jpeg2k_encode(few, bitspersample=bits)
    np.testing.assert_array_equal(decoded(boxed), expected)
    brightest = 2**bits - 1
    np.testing.assert_array_equal(decoded(pnm("P5", few, str(brightest))), expected)
    if bits > 1:
        xl = imagecodecs.jpegxl_encode(few, lossless=True, bitspersample=bits)
        np.testing.assert_array_equal(decoded(xl), expected)


def test_bitmaps_are_black_where_they_are_one(grey: Grey) -> None:
    black = grey < 128
    expected = np.where(black, 0, 255)
    packed = b"P4 260 300\n" + np.packbits(black, axis=1).tobytes()
    written = b"P1\n260 300\n" + b"".join(b"%d" % bit for bit in black.ravel())
    faxed = by_pillow(Image.fromarray(~black), "TIFF", compression="group4")
    for content in (packed, written, faxed):
        np.testing.assert_array_equal(decoded(content), expected)
        assert header_of(content, LIMITS).bits == 1


def test_colour_becomes_brightness_in_every_format(grey: Grey) -> None:
    colour = tinted(grey)
    codecs, translucent = imagecodecs, np.dstack([colour, 255 - grey])
    planes = np.ascontiguousarray(colour.transpose(2, 0, 1))
    contents = [
        codecs.jpeg2k_encode(colour, level=0, reversible=True),
        codecs.jpeg2k_encode(translucent),
        codecs.jpegls_encode(colour),
        codecs.jpegxl_encode(colour, lossless=True),
        codecs.jpegxl_encode(translucent, lossless=True),
        codecs.jpeg8_encode(colour, lossless=True),
        codecs.tiff_encode(planes, planarconfig="separate", photometric="rgb"),
        codecs.tiff_encode(planes, planarconfig="separate", photometric="rgb", tile=(64, 64)),
        by_pillow(translucent, "TIFF", compression="tiff_lzw"),
        by_pillow(Image.fromarray(colour).convert("CMYK"), "TIFF", compression="tiff_lzw"),
        pnm("P6", colour, "255"),
        pam(translucent, 255),
        b"P3 260 300 255 " + " ".join(map(str, colour.ravel())).encode(),
    ]
    for content in contents:
        # One grey level: OpenCV weighs in integers.
        assert widest(decoded(content), luma(colour)) <= 1


def test_deep_colour_is_windowed_by_its_brightness(deep: NDArray[np.uint16]) -> None:
    colour = np.stack([deep, 4095 - deep // 2, np.roll(deep, 40, 1)], -1)
    planes = np.ascontiguousarray(colour.transpose(2, 0, 1))
    contents = [
        imagecodecs.tiff_encode(colour, photometric="rgb"),
        imagecodecs.tiff_encode(planes, planarconfig="separate", photometric="rgb"),
        pnm("P6", colour.astype(">u2"), "4095"),
        pnm("PF", np.ascontiguousarray(colour[::-1]).astype("<f4"), "-1.0"),
        imagecodecs.jpeg2k_encode(colour, bitspersample=12),
        imagecodecs.jpegxl_encode(colour, lossless=True),
    ]
    expected = windowed(np.rint(luma(colour)))  # type: ignore[arg-type]
    for content in contents:
        # Brightness may be off by one, 0.7 of a level in this window; and half of rounding.
        assert widest(decoded(content), expected) <= 1.3


def test_lossy_files_look_as_another_decoder_shows_them(grey: Grey) -> None:
    colour = tinted(cv2.GaussianBlur(grey, (9, 9), 3))
    for content in (
        by_pillow(colour, "AVIF", quality=80),
        by_pillow(grey, "JPEG2000", quality_layers=[20]),
        by_pillow(colour, "JPEG2000", quality_layers=[20], irreversible=True),
        by_pillow(colour, "TIFF", compression="jpeg"),
        by_pillow(Image.fromarray(colour).convert("YCbCr"), "TIFF"),
    ):
        with Image.open(BytesIO(content)) as image:
            picture = np.asarray(image.convert("RGB"))
        assert widest(decoded(content), luma(picture)) <= 2


def test_lossy_files_without_another_decoder_are_near_the_written_pixels(
    grey: Grey, deep: NDArray[np.uint16]
) -> None:
    near = imagecodecs.jpegls_encode(grey, level=2)  # no pixel differs by more than the level
    assert widest(decoded(near), grey) <= 2
    xl = decoded(imagecodecs.jpegxl_encode(grey, distance=0.1))
    assert np.abs(xl.astype(float) - grey).mean() <= 2
    extended = imagecodecs.jpeg8_encode(deep, level=98, bitspersample=12)
    assert header_of(extended, LIMITS) == Header("jpeg", 260, 300, 12)
    assert widest(decoded(extended), windowed(deep)) <= 2


@pytest.mark.parametrize("process", ["sequential", "progressive"])
def test_arithmetic_jpeg_gives_the_pixels_it_was_made_of(process: str) -> None:
    content, pixels = arithmetic_jpeg(process)
    assert header_of(content, LIMITS) == Header("jpegarithmetic", 40, 32, 8)
    assert widest(decoded(content), pixels) <= 2  # quality 90 of a smooth picture


def test_luminance_of_jpeg_2000_that_stores_it_is_taken(grey: Grey) -> None:
    colour = tinted(grey)
    stored = np.asarray(Image.fromarray(colour).convert("YCbCr"))
    content = bytearray(imagecodecs.jpeg2k_encode(stored, mct=False))
    space = content.index(b"colr") + 10
    assert content[space] == 16
    content[space] = 18  # sYCC, ISO/IEC 15444-1 I.5.3.3
    # Two grey levels: to YCbCr, to RGB and to brightness, each rounded.
    assert widest(decoded(bytes(content)), luma(colour)) <= 2
    content[space] = 12  # CMYK
    assert refusal(bytes(content)) == FailureCode.UNSUPPORTED


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK", "AVIF"])
def test_turned_files_are_shown_as_pillow_turns_them(
    grey: Grey, mode: str, orientation: int
) -> None:
    colour = Image.fromarray(tinted(grey))
    exif = Image.Exif()
    exif[0x0112] = orientation
    if mode == "AVIF":
        content = by_pillow(colour, "AVIF", quality=90, exif=exif)
    else:
        content = by_pillow(colour.convert(mode), "TIFF", tiffinfo={0x0112: orientation})
    with Image.open(BytesIO(content)) as image:
        image.load()  # turns a TIFF
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    header = header_of(content, LIMITS)
    assert header.orientation == orientation
    assert header.shown_size == shown.shape[1::-1]
    assert widest(decoded(content), luma(shown)) <= 2  # of YCbCr and AVIF; others 1


def test_the_careful_lane_decodes_what_this_process_does(
    exact: dict[str, bytes], deep_made: dict[str, bytes]
) -> None:
    contents = [*exact.values(), *deep_made.values()]
    headers = [header_of(content, LIMITS) for content in contents]
    lane = CarefulLane(2)
    try:
        for content, header, found in zip(
            contents, headers, lane.greys(contents, headers), strict=True
        ):
            assert not isinstance(found, Refused), (header, found)
            np.testing.assert_array_equal(found, grey_pixels(content, header))
    finally:
        lane.close()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_cut_files_are_truncated_or_corrupt(
    exact: dict[str, bytes], deep_made: dict[str, bytes], share: float
) -> None:
    files = exact | deep_made
    # What was cut off is a second page or frame, or nothing but what follows the pixels.
    del files["gif moving"], files["tiff two pages"]
    for name, content in files.items():
        code = refusal(content[: int(len(content) * share)])
        assert code in (FailureCode.TRUNCATED, FailureCode.CORRUPT), name


def test_limit_of_pixels_holds_before_any_pixel_is_decoded(
    exact: dict[str, bytes], deep_made: dict[str, bytes]
) -> None:
    limits = Limits(megapixels=0.077)  # the files have 0.078
    for name, content in (exact | deep_made).items():
        with pytest.raises(Refused) as refused:
            header_of(content, limits)
        assert refused.value.code == FailureCode.TOO_LARGE, name


def test_jpeg_2000_without_components_is_refused_by_the_gate(grey: Grey) -> None:
    content = bytearray(imagecodecs.jpeg2k_encode(grey, codecformat="j2k"))
    assert content[40:42] == b"\0\1"
    content[40:42] = b"\0\0"  # parsers divide by it
    with pytest.raises(Refused) as refused:
        header_of(bytes(content), LIMITS)
    assert refused.value.code == FailureCode.CORRUPT


@pytest.mark.parametrize(
    ("name", "at", "words"),
    [
        ("pnm P5", 15, b"27"),
        ("jpegxl", 3, b"\x0b"),
        ("tiff strips", -1, b""),
    ],
)
def test_a_header_of_another_size_is_corrupt_or_truncated(
    exact: dict[str, bytes], name: str, at: int, words: bytes
) -> None:
    content = bytearray(exact[name])
    if name == "tiff strips":
        at = content.index(struct.pack("<HHI", 256, 3, 1)) + 8
        words = struct.pack("<H", 270)
    content[at : at + len(words)] = words
    assert refusal(bytes(content)) in (FailureCode.CORRUPT, FailureCode.TRUNCATED)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_damaged_streams_of_tiff_are_not_shown_as_black(
    grey: Grey, mode: str, compression: str
) -> None:
    picture = Image.fromarray(grey).convert(mode)
    content = by_pillow(picture, "TIFF", compression=compression)
    with Image.open(BytesIO(content)) as image:
        start = image.tag_v2[273][0]  # type: ignore[attr-defined]
    codes = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        damaged = bytearray(content)
        at = int(generator.integers(start + 200, len(content) - 800))
        damaged[at : at + 60] = generator.bytes(60)
        with contextlib.suppress(Refused):
            decoded(bytes(damaged))
            continue
        codes.append(refusal(bytes(damaged)))
    assert set(codes) == {FailureCode.CORRUPT}
    # Deflate has a checksum. LZW has none: what still gives the right number of bytes passes.
    assert len(codes) >= (30 if compression == "tiff_adobe_deflate" else 20)


def test_unknown_compression_of_tiff_is_refused(grey: Grey) -> None:
    content = bytearray(by_pillow(grey, "TIFF"))
    at = content.index(struct.pack("<HHI", 259, 3, 1)) + 8
    content[at : at + 2] = struct.pack("<H", 34999)
    # OpenCV shows it as black.
    assert refusal(bytes(content)) == FailureCode.UNSUPPORTED


@pytest.mark.parametrize(
    "make",
    [
        lambda colour: by_pillow(Image.fromarray(colour).convert("LAB"), "TIFF"),
        lambda colour: by_pillow(
            Image.fromarray(colour).convert("YCbCr"), "TIFF", compression="tiff_lzw"
        ),
        lambda colour: imagecodecs.tiff_encode(colour.astype(np.float32), photometric="rgb"),
        lambda colour: imagecodecs.tiff_encode(colour[..., 0].astype(np.complex64)),
    ],
    ids=["Lab", "YCbCr compressed", "float colour", "complex"],
)
def test_kinds_of_tiff_that_would_come_out_wrong_are_unsupported(
    grey: Grey, make: Callable[[NDArray[np.uint8]], bytes]
) -> None:
    assert refusal(make(tinted(grey))) == FailureCode.UNSUPPORTED


@pytest.mark.parametrize("rest", [b"\0", b"\x1a", b"\nP2\n1 1\n255\n0\n", b" trailing words", b""])
def test_plain_pnm_takes_comments_and_whatever_follows_its_numbers(rest: bytes) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    text = b"P2\n4 3\n255\n" + b"\n".join(b" ".join(b"%d" % n for n in row) for row in pixels)
    text = text.replace(b"\n80", b" # a comment 7 7 7\n80")
    np.testing.assert_array_equal(decoded(text + b" " + rest), pixels)


@pytest.mark.parametrize("number", [b"x", b"-1", b"9" * 30, b"1.5"])
def test_plain_pnm_with_something_else_is_corrupt(number: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decoded(b"P2\n2 2\n255\n1 2 " + number + b" 4\n")
    assert caught.value.code is FailureCode.CORRUPT
