from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from format_files import by_pillow, pam
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrsweep.engine.failures import REMEDIES, FailureCode, Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits, exif_orientation

LIMITS = Limits()
ENDINGS = (
    *(".jpg", ".png", ".bmp", ".tiff", ".webp", ".jp2", ".avif", ".pgm"),
    *(".jls", ".jxl", ".gif", ".pam", "big.tiff"),
)


def code_of(content: bytes, limits: Limits = LIMITS) -> FailureCode:
    with pytest.raises(Refused) as refused:
        header_of(content, limits)
    assert refused.value.reason
    return refused.value.code


def png_chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png_declaring(width: int, height: int) -> bytes:
    ihdr = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + ihdr + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


def with_jpeg_segment(content: bytes, segment: bytes) -> bytes:
    """Put bytes right after the start-of-image marker."""
    return content[:2] + segment + content[2:]


def exif_segment(orientation: int) -> bytes:
    exif = (
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0" * 4
    )
    return b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif


@pytest.mark.parametrize(
    ("ending", "kind"),
    [(".jpg", "jpeg"), (".png", "png"), (".bmp", "bmp"), (".tiff", "tiff"), (".webp", "webp")],
)
def test_header_of_whole_files_gives_kind_and_size(
    encoded: Callable[..., bytes], ending: str, kind: str
) -> None:
    header = header_of(encoded(ending), LIMITS)
    assert (header.kind, header.width, header.height, header.bits) == (kind, 260, 300, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_of_every_eight_bit_mode_passes(mode: str) -> None:
    stream = BytesIO()
    Image.new("RGB", (20, 30)).convert(mode).save(stream, "PNG")
    header = header_of(stream.getvalue(), LIMITS)
    assert (header.width, header.height) == (20, 30)
    assert header.bits <= 8


def test_progressive_jpeg_passes(grey: np.ndarray) -> None:
    stream = BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", progressive=True)
    assert header_of(stream.getvalue(), LIMITS).kind == "jpeg"


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_cut_files_are_truncated(encoded: Callable[..., bytes], ending: str, share: float) -> None:
    content = encoded(ending)
    assert code_of(content[: int(len(content) * share)]) == FailureCode.TRUNCATED


def test_jpeg_with_thumbnail_but_cut_pixels_is_truncated(encoded: Callable[..., bytes]) -> None:
    # The thumbnail in EXIF has an end marker of its own; it must not count as the file's.
    thumbnail = encoded(".jpg")[:2000] + b"\xff\xd9"
    app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    content = with_jpeg_segment(encoded(".jpg"), app1)
    assert code_of(content[: len(content) // 2]) == FailureCode.TRUNCATED


def test_empty_and_text_files_have_their_codes() -> None:
    assert code_of(b"") == FailureCode.EMPTY
    assert code_of(b"Dear colleague,\n") == FailureCode.NOT_AN_IMAGE
    assert code_of(b"\0" * 4096) == FailureCode.NOT_AN_IMAGE


def test_declared_size_over_the_limit_is_too_large() -> None:
    assert code_of(png_declaring(100_000, 100_000)) == FailureCode.TOO_LARGE
    assert code_of(png_declaring(1001, 1000), Limits(megapixels=1.0)) == FailureCode.TOO_LARGE
    assert header_of(png_declaring(1000, 1000), Limits(megapixels=1.0)).width == 1000


def test_large_declared_size_is_named_even_where_the_file_is_cut() -> None:
    assert code_of(png_declaring(100_000, 100_000)[:45]) == FailureCode.TOO_LARGE


def test_declared_size_of_nothing_is_corrupt() -> None:
    assert code_of(png_declaring(0, 10)) == FailureCode.CORRUPT


def test_flipped_byte_in_a_png_is_corrupt(encoded: Callable[..., bytes]) -> None:
    content = bytearray(encoded(".png"))
    content[len(content) // 2] ^= 1
    assert code_of(bytes(content)) == FailureCode.CORRUPT


def test_depth_above_eight_bits_is_taken_of_png_and_tiff(encoded: Callable[..., bytes]) -> None:
    wide = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.uint16)
    for ending in (".png", ".tiff"):
        header = header_of(encoded(ending, wide), LIMITS)
        assert (header.bits, header.width, header.height) == (16, 30, 20)
    single = np.zeros((20, 30), np.float32)
    assert header_of(encoded(".tiff", single), LIMITS).bits == 32


@pytest.mark.parametrize("content", [b"\0\0\0\x18ftypheic" + b"\0" * 30, b"PK\3\4" + b"\0" * 50])
def test_known_formats_that_are_not_read_say_so(content: bytes) -> None:
    assert code_of(content) == FailureCode.UNSUPPORTED


def test_markers_without_length_in_the_header_are_corrupt(encoded: Callable[..., bytes]) -> None:
    # TEM (FF01) sends DALI's parser to a frame header of the attacker's choice.
    for marker in (0x01, 0xD0, 0xD9):
        content = with_jpeg_segment(encoded(".jpg"), bytes([0xFF, marker]))
        assert code_of(content) == FailureCode.CORRUPT


def test_two_frame_headers_are_corrupt(encoded: Callable[..., bytes]) -> None:
    content = encoded(".jpg")
    start = content.index(b"\xff\xc0")
    end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    assert code_of(content[:end] + content[start:end] + content[end:]) == FailureCode.CORRUPT


def test_two_exif_chunks_are_corrupt(encoded: Callable[..., bytes]) -> None:
    content = encoded(".png")
    chunk = png_chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    after_header = 8 + 25
    twice = content[:after_header] + chunk + chunk + content[after_header:]
    assert code_of(twice) == FailureCode.CORRUPT


def test_progressive_jpeg_with_many_scans_is_too_large(grey: np.ndarray) -> None:
    stream = BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    start = content.index(b"\xff\xda")
    scan = content[start : content.index(b"\xff", start + 12)]
    assert code_of(content[:-2] + scan * 100 + b"\xff\xd9") == FailureCode.TOO_LARGE


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_read_from_jpeg(
    encoded: Callable[..., bytes], orientation: int
) -> None:
    content = with_jpeg_segment(encoded(".jpg"), exif_segment(orientation))
    header = header_of(content, LIMITS)
    assert header.orientation == orientation
    turned = orientation >= 5
    assert header.shown_size == ((300, 260) if turned else (260, 300))
    # Pillow is the independent reader.
    assert Image.open(BytesIO(content)).getexif()[0x0112] == orientation


def test_damaged_exif_counts_as_upright(encoded: Callable[..., bytes]) -> None:
    content = with_jpeg_segment(encoded(".jpg"), exif_segment(77))
    assert header_of(content, LIMITS).orientation == 1
    assert exif_orientation(b"II*\0\xff\xff\xff\xff" + b"\0" * 20) == 1


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 4000), byte=st.integers(0, 4000), value=st.integers(0, 255))
@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_files_give_a_header_or_a_reason_and_nothing_else(
    small_files: dict[str, bytes], ending: str, cut: int, byte: int, value: int
) -> None:
    content = bytearray(small_files[ending])
    content[byte % len(content)] = value
    outcome: Header | FailureCode
    try:
        outcome = header_of(bytes(content[: len(content) - cut % len(content)]), LIMITS)
    except Refused as refused:
        outcome = refused.code
    assert isinstance(outcome, Header) or outcome in REMEDIES


@pytest.fixture(scope="session")
def small_files(encoded: Callable[..., bytes], grey: np.ndarray) -> dict[str, bytes]:
    small = grey[:60, :50].copy()
    written = {
        ".jls": imagecodecs.jpegls_encode(small),
        ".jxl": imagecodecs.jpegxl_encode(small, lossless=True, usecontainer=True),
        ".gif": by_pillow(small, "GIF"),
        ".pam": pam(small[..., None], 255),
        "big.tiff": imagecodecs.tiff_encode(small.copy(), bigtiff=True),
    }
    return {
        ending: written[ending] if ending in written else encoded(ending, small)
        for ending in ENDINGS
    }


def test_every_code_says_what_to_do() -> None:
    assert set(REMEDIES) == set(FailureCode)


def test_colour_tiff_of_16_bits_has_its_depth(encoded: Callable[..., bytes]) -> None:
    wide = np.random.default_rng(0).integers(0, 4096, (20, 30, 3)).astype(np.uint16)
    assert header_of(encoded(".tiff", wide), LIMITS).bits == 16


def test_baseline_jpeg_with_more_scans_than_components_is_too_large() -> None:
    components = b"\1\x11\0\2\x11\0\3\x11\0"
    content = b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10\3" + components
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0\0"
    assert header_of(content + scan * 3 + b"\xff\xd9", LIMITS).width == 16
    assert code_of(content + scan * 4 + b"\xff\xd9") == FailureCode.TOO_LARGE


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"BMW is a car, not a bitmap, whatever its name.", FailureCode.NOT_AN_IMAGE),
        (b"A text.\nWEBP is a format of pictures.", FailureCode.NOT_AN_IMAGE),
        (b"P5 is the fifth patient of the study.", FailureCode.NOT_AN_IMAGE),
    ],
)
def test_first_bytes_alone_do_not_make_a_format(content: bytes, code: FailureCode) -> None:
    assert code_of(content) == code


@pytest.mark.parametrize(
    ("process", "bits", "kind"),
    [
        *((0xC0, 8, "jpeg"), (0xC1, 12, "jpeg"), (0xC3, 16, "jpeglossless")),
        *((0xC9, 8, "jpegarithmetic"), (0xF7, 10, "jpegls"), (0xC5, 8, ""), (0xCB, 8, "")),
        *((0xC0, 9, ""), (0xC9, 12, ""), (0xF7, 17, "")),
    ],
)
def test_processes_of_jpeg_are_kinds_of_their_own(process: int, bits: int, kind: str) -> None:
    frame = bytes([0xFF, process]) + b"\0\x0b" + bytes([bits]) + b"\0\x10\0\x10\x01\x01\x11\0"
    content = b"\xff\xd8" + frame + b"\xff\xda\0\x08\x01\x01\0\0\0\0" + b"\1\2\xff\xd9"
    if kind:
        assert header_of(content, LIMITS) == Header(kind, 16, 16, bits)  # type: ignore[arg-type]
    else:
        assert code_of(content) == FailureCode.UNSUPPORTED


def test_first_of_two_exif_segments_counts(encoded: Callable[..., bytes]) -> None:
    content = with_jpeg_segment(encoded(".jpg"), exif_segment(1) + exif_segment(6))
    assert header_of(content, LIMITS).orientation == 1


def test_limit_of_megapixels_can_be_raised_above_pillows(encoded: Callable[..., bytes]) -> None:
    content = bytearray(encoded(".bmp"))
    content[18:26] = struct.pack("<II", 20_000, 20_000)
    assert code_of(bytes(content)) == FailureCode.TOO_LARGE
    assert header_of(bytes(content), Limits(megapixels=500)).width == 20_000
