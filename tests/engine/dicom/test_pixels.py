"""Every syntax, sample format and grey transform, against pydicom or pixels the test made."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import (
    LOSSLESS,
    NATIVE,
    dataset_of,
    encapsulated_file,
    encoded,
    native_file,
    rle_of,
    smooth,
    written,
)
from dicom_reference import between_percentiles, reference_grey, rounded
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate

from cxrsweep.engine.dicom.header import dicom_header
from cxrsweep.engine.dicom.pixels import dicom_frame, stored_words
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.header import Limits

LIMITS = Limits()
FORMATS = [(8, False), (12, False), (16, False), (8, True), (12, True), (16, True)]


def frame_of(content: bytes, frame: int = 0) -> NDArray[np.uint8]:
    return dicom_frame(content, dicom_header(content, LIMITS), frame)


def expected_of(pixels: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """Levels without a window: few bits keep their levels, many go between the percentiles."""
    if bits > 8:
        return between_percentiles(pixels)
    low = -(1 << bits - 1) if pixels.dtype.kind == "i" else 0
    return rounded((pixels.astype(float) - low) / ((1 << bits) - 1))


def by_pydicom(content: bytes, frame: int = 0) -> NDArray[np.int64]:
    return reference_grey(pydicom.dcmread(BytesIO(content)), frame)


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize(("bits", "is_signed"), FORMATS)
def test_native_pixels_keep_their_values(name: str, bits: int, is_signed: bool) -> None:
    pixels = smooth(bits, is_signed)
    content = native_file(pixels, bits, NATIVE[name])
    np.testing.assert_array_equal(frame_of(content), expected_of(pixels, bits))


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize(("bits", "is_signed"), FORMATS)
def test_lossless_codecs_keep_their_values(name: str, bits: int, is_signed: bool) -> None:
    pixels = smooth(bits, is_signed)
    content = encapsulated_file([encoded(pixels, bits, name)], pixels, bits, LOSSLESS[name])
    np.testing.assert_array_equal(frame_of(content), expected_of(pixels, bits))


@pytest.mark.parametrize(
    ("codec", "syntax", "bits"),
    [
        ("jpeg", uid.JPEGBaseline8Bit, 8),
        ("jpeg", uid.JPEGExtended12Bit, 12),
        ("jpeg-ls", uid.JPEGLSNearLossless, 12),
        ("jpeg-2000", uid.JPEG2000, 12),
        ("htj2k", uid.HTJ2K, 12),
    ],
)
def test_lossy_codecs_come_close(codec: str, syntax: str, bits: int) -> None:
    pixels = smooth(bits, is_signed=False)
    frame = {
        "jpeg": lambda: imagecodecs.jpeg8_encode(pixels, 98, bitspersample=bits),
        "jpeg-ls": lambda: imagecodecs.jpegls_encode(pixels, 2),
        "jpeg-2000": lambda: imagecodecs.jpeg2k_encode(
            pixels, 60, codecformat="J2K", bitspersample=bits, reversible=False
        ),
        "htj2k": lambda: imagecodecs.htj2k_encode(pixels, 1e-4, reversible=False),
    }[codec]()
    content = encapsulated_file([bytes(frame)], pixels, bits, syntax)
    difference = np.abs(frame_of(content).astype(int) - expected_of(pixels, bits))
    # A tenth of a per cent of white at these settings; an own scaling would be far off.
    assert difference.mean() < 1.5
    assert difference.max() <= 8


WINDOWS: dict[str, dict[str, Any]] = {
    "window": {"WindowCenter": 1800, "WindowWidth": 900},
    "first of several": {"WindowCenter": [1500, 40], "WindowWidth": [2000, 10]},
    "exact": {"WindowCenter": 1800, "WindowWidth": 900, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 1800, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    "rescale": {"RescaleSlope": 2, "RescaleIntercept": -1024},
    "rescale and window": {
        "RescaleSlope": 0.5,
        "RescaleIntercept": -100,
        "WindowCenter": 700,
        "WindowWidth": 800.5,
    },
    "padding": {"PixelPaddingValue": 0},
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
def test_grey_transforms_equal_pydicom(name: str, is_signed: bool, photometric: str) -> None:
    pixels = smooth(12, is_signed)
    pixels[:4] = 0
    content = native_file(pixels, 12, PhotometricInterpretation=photometric, **WINDOWS[name])
    difference = np.abs(frame_of(content).astype(int) - by_pydicom(content))
    # pydicom scales to the range of the samples and back: a half may round the other way.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def table_item(count: int, first: int, bits: int, entries: NDArray[Any]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [count, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize(("bits", "first"), [(8, 0), (16, 0), (8, 200), (16, -300), (12, 7)])
def test_lookup_tables_equal_pydicom(keyword: str, syntax: str, bits: int, first: int) -> None:
    pixels = smooth(12, is_signed=first < 0)
    entries = np.sqrt(np.linspace(0, 1, 3000)) * ((1 << bits) - 1)
    item = table_item(3000, first, bits, entries)
    content = native_file(pixels, 12, syntax, **{keyword: [item]})
    values = entries.astype("<u2")[np.clip(pixels.astype(int) - first, 0, 2999)].astype(float)
    if keyword == "ModalityLUTSequence":
        expected = between_percentiles(values)
    else:
        expected = rounded(values / ((1 << bits) - 1))
    np.testing.assert_array_equal(frame_of(content), expected)
    # pydicom 3.0 cannot address more than 256 entries of 8 bits, nor subtract below an unsigned 0.
    if bits == 16 and first == 0 and keyword == "VOILUTSequence":
        np.testing.assert_array_equal(by_pydicom(content), expected)


def test_lookup_table_of_an_undefined_length_sequence() -> None:
    pixels = smooth(12, is_signed=False)
    item = table_item(4096, 0, 8, np.arange(4096) // 16)
    dataset = dataset_of(pixels, 12, VOILUTSequence=[item])
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset["VOILUTSequence"].is_undefined_length = True
    item.is_undefined_length_sequence_item = True
    np.testing.assert_array_equal(frame_of(written(dataset)), pixels // 16)


def test_range_of_padding_is_black_in_both_photometrics() -> None:
    pixels = smooth(12, is_signed=False)
    elements = {"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        found = frame_of(native_file(pixels, 12, PhotometricInterpretation=photometric, **elements))
        assert not found[pixels >= 4000].any()
        kept = between_percentiles(pixels[pixels < 4000])
        expected = kept if photometric == "MONOCHROME2" else 255 - kept
        np.testing.assert_array_equal(found[pixels < 4000], expected)


def test_negative_padding_of_signed_samples() -> None:
    pixels = smooth(16, is_signed=True)
    pixels[:5] = -2000
    found = frame_of(native_file(pixels, 16, PixelPaddingValue=-2000))
    assert not found[:5].any()
    kept = pixels != -2000
    np.testing.assert_array_equal(found[kept], between_percentiles(pixels[kept]))


def test_illegal_window_gives_way_to_the_default() -> None:
    pixels = smooth(12, is_signed=False)
    for width in (0, -5, 0.5):
        content = native_file(pixels, 12, WindowCenter=100, WindowWidth=width)
        np.testing.assert_array_equal(frame_of(content), between_percentiles(pixels))


def test_samples_lie_below_their_high_bit_and_other_bits_are_ignored() -> None:
    pixels = smooth(10, is_signed=False)
    noise = np.random.default_rng(1).integers(0, 4, pixels.shape).astype(np.uint16)
    shifted = (pixels << 4) | noise | (noise << 14)
    content = native_file(shifted, 10, HighBit=13)
    np.testing.assert_array_equal(frame_of(content), between_percentiles(pixels))


def test_overlay_in_the_unused_bits_is_not_part_of_a_signed_sample() -> None:
    pixels = smooth(12, is_signed=True)
    words = (pixels.view(np.uint16) & 0x0FFF) | 0x3000
    content = native_file(words, 12, PixelRepresentation=1)
    np.testing.assert_array_equal(frame_of(content), between_percentiles(pixels))


@pytest.mark.parametrize("is_signed", [False, True])
def test_thirty_two_bits(is_signed: bool) -> None:
    pixels = smooth(16, is_signed).astype("i4" if is_signed else "u4") * 5000
    for content in (
        native_file(pixels, 32),
        encapsulated_file([rle_of(pixels)], pixels, 32, uid.RLELossless),
        native_file(pixels, 32, WindowCenter=1e8, WindowWidth=2e8),
    ):
        assert np.abs(frame_of(content).astype(int) - by_pydicom(content)).max() <= 1


COLOURS = np.random.default_rng(2).integers(0, 256, (24, 30, 3)).astype(np.uint8)
LUMINANCE = np.rint(COLOURS @ np.array([0.299, 0.587, 0.114])).astype(int)


@pytest.mark.parametrize("name", [*NATIVE, "rle", "jpeg-ls", "jpeg-2000", "jpeg-lossless-sv1"])
def test_rgb_becomes_its_luminance(name: str) -> None:
    if name in NATIVE:
        content = native_file(COLOURS, 8, NATIVE[name])
    else:
        content = encapsulated_file([encoded(COLOURS, 8, name)], COLOURS, 8, LOSSLESS[name])
    # OpenCV's weights are fixed-point numbers of 14 bits.
    assert np.abs(frame_of(content).astype(int) - LUMINANCE).max() <= 1


def test_planes_of_colour_are_put_together() -> None:
    planes = np.ascontiguousarray(COLOURS.transpose(2, 0, 1))
    dataset = dataset_of(COLOURS, 8, PlanarConfiguration=1)
    dataset.PixelData = planes.tobytes()
    dataset["PixelData"].VR = "OB"
    assert np.abs(frame_of(written(dataset)).astype(int) - LUMINANCE).max() <= 1


@pytest.mark.parametrize("photometric", ["YBR_ICT", "YBR_RCT"])
def test_colour_transform_of_jpeg_2000_is_undone(photometric: str) -> None:
    frame = imagecodecs.jpeg2k_encode(COLOURS, reversible=True, codecformat="J2K", mct=True)
    elements = {"PhotometricInterpretation": photometric}
    content = encapsulated_file([frame], COLOURS, 8, uid.JPEG2000Lossless, **elements)
    assert np.abs(frame_of(content).astype(int) - LUMINANCE).max() <= 1


def test_of_ybr_the_first_channel_is_shown() -> None:
    full = native_file(COLOURS, 8, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(frame_of(full), COLOURS[..., 0])
    dataset = dataset_of(COLOURS, 8, PhotometricInterpretation="YBR_FULL_422")
    # PS3.3 C.7.6.3.1.2: Y1 Y2 Cb Cr for every two pixels.
    pairs = COLOURS.reshape(-1, 2, 3)
    chroma = pairs[:, 0, 1:]
    dataset.PixelData = np.concatenate([pairs[..., 0], chroma], axis=1).tobytes()
    dataset["PixelData"].VR = "OB"
    np.testing.assert_array_equal(frame_of(written(dataset)), COLOURS[..., 0])


@pytest.mark.parametrize("says", ["adobe", "header"])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_colours_of_jpeg_are_what_the_jpeg_says_else_the_header(
    photometric: str, says: str
) -> None:
    space = "RGB" if photometric == "RGB" else "YCBCR"
    waves = smooth(8, is_signed=False)
    smooth_colours = np.stack([waves, waves[::-1], waves[:, ::-1]], axis=-1)
    frame = bytes(
        imagecodecs.jpeg8_encode(
            smooth_colours, 100, colorspace="RGB", outcolorspace=space, subsampling="444"
        )
    )
    if says == "header":
        frame = without_colour_markers(frame)
    elements = {"PhotometricInterpretation": photometric if says == "header" else "YBR_FULL_422"}
    content = encapsulated_file([frame], smooth_colours, 8, uid.JPEGBaseline8Bit, **elements)
    expected = smooth_colours @ np.array([0.299, 0.587, 0.114])
    # JPEG at quality 100 rounds in its transform; the wrong colours would be off by dozens.
    assert np.abs(frame_of(content) - expected).max() <= 4


def without_colour_markers(frame: bytes) -> bytes:
    """The same JPEG without its JFIF and Adobe segments, components called 0, 1, 2."""
    found, position = bytearray(frame[:2]), 2
    while frame[position + 1] != 0xDA:
        length = 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
        segment = bytearray(frame[position : position + length])
        if segment[1] == 0xC0:
            segment[10::3] = bytes(range(3))
        if segment[1] not in (0xE0, 0xEE):
            found += segment
        position += length
    rest = bytearray(frame[position:])
    rest[5:11:2] = bytes(range(3))
    return bytes(found + rest)


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_becomes_the_luminance_of_its_colours(bits: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (20, 16)).astype(np.uint8)
    tables = np.random.default_rng(4).integers(0, 1 << bits, (3, 200)).astype("<u2")
    dataset = dataset_of(pixels, 8, PhotometricInterpretation="PALETTE COLOR")
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        stored = table.astype("u1") if bits == 8 else table
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [200, 10, bits])
        dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", stored.tobytes())
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB"
    content = written(dataset)
    assert np.abs(frame_of(content).astype(int) - by_pydicom(content)).max() <= 1


@pytest.mark.parametrize("name", [*NATIVE, *LOSSLESS])
def test_every_frame_of_several_is_found(name: str) -> None:
    frames = [smooth(12, False), smooth(12, False)[::-1], smooth(12, False)[:, ::-1]]
    if name in NATIVE:
        stacked = np.concatenate(frames)
        content = native_file(stacked, 12, NATIVE[name], NumberOfFrames=3, Rows=37)
    else:
        streams = [encoded(np.ascontiguousarray(frame), 12, name) for frame in frames]
        content = encapsulated_file(streams, frames[0], 12, LOSSLESS[name])
    header = dicom_header(content, LIMITS)
    assert header.frames == 3
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(
            dicom_frame(content, header, number), between_percentiles(frame)
        )
    with pytest.raises(ValueError, match="frame 3 of a file with 3"):
        dicom_frame(content, header, 3)


@pytest.mark.parametrize("has_offsets", [False, True])
def test_fragments_of_a_frame_are_joined(has_offsets: bool) -> None:
    pixels = smooth(12, is_signed=False)
    frame = encoded(pixels, 12, "jpeg-2000")
    dataset = dataset_of(pixels, 12, NumberOfFrames=2)
    dataset.PixelData = encapsulate([frame, frame], fragments_per_frame=3, has_bot=has_offsets)
    dataset["PixelData"].VR = "OB"
    content = written(dataset, uid.JPEG2000Lossless)
    np.testing.assert_array_equal(frame_of(content, 1), between_percentiles(pixels))


def test_single_bits_of_several_frames() -> None:
    bits = np.random.default_rng(6).integers(0, 2, (3, 5, 7)).astype(np.uint8)
    dataset = dataset_of(bits[0], 1, BitsAllocated=1, NumberOfFrames=3)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset["PixelData"].VR = "OB"
    content = written(dataset)
    for number in range(3):
        np.testing.assert_array_equal(frame_of(content, number), 255 * bits[number])


@pytest.mark.parametrize("name", ["jpeg-2000", "jpeg-ls", "htj2k"])
def test_codec_is_known_by_content_whatever_the_syntax_says(name: str) -> None:
    pixels = smooth(12, is_signed=False)
    content = encapsulated_file([encoded(pixels, 12, name)], pixels, 12, uid.JPEGBaseline8Bit)
    np.testing.assert_array_equal(frame_of(content), between_percentiles(pixels))


def test_native_pixels_are_not_copied() -> None:
    pixels = smooth(12, is_signed=False)
    content = native_file(pixels, 12)
    words, _ = stored_words(content, dicom_header(content, LIMITS), 0)
    assert np.shares_memory(words, np.frombuffer(content, np.uint8))


@pytest.mark.parametrize("name", ["jpeg-2000", "htj2k"])
def test_codestream_whose_tiles_were_cut_or_shifted_is_refused(name: str) -> None:
    pixels = smooth(12, is_signed=False, shape=(200, 300))
    frame = encoded(pixels, 12, name)
    for place in range(len(frame) // 5, len(frame) - 10, len(frame) // 9):
        for damaged in (frame[:place] + b"\xff\xd9", frame[:place] + frame[place + 7 :]):
            content = encapsulated_file([damaged], pixels, 12, LOSSLESS[name])
            with pytest.raises(Refused):
                frame_of(content)


@pytest.mark.parametrize("is_white", [False, True])
def test_htj2k_with_an_even_last_row_decodes(is_white: bool) -> None:
    pixels = smooth(8, is_signed=False)
    pixels[-1] = 255 * is_white
    content = encapsulated_file([encoded(pixels, 8, "htj2k")], pixels, 8, uid.HTJ2KLossless)
    np.testing.assert_array_equal(frame_of(content), pixels)


def test_htj2k_with_rows_left_out_is_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = smooth(8, is_signed=False)
    # As imagecodecs does after an error: the other rows are zeros, and nothing is raised.
    half = np.where(np.arange(len(pixels))[:, None] < 20, pixels, 0).astype(np.uint8)
    monkeypatch.setattr(imagecodecs, "htj2k_decode", lambda _frame: half)
    content = encapsulated_file([encoded(pixels, 8, "htj2k")], pixels, 8, uid.HTJ2KLossless)
    np.testing.assert_array_equal(frame_of(content), pixels)
