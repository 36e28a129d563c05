"""What damaged, hostile and other objects get: a code, soon, never a picture that is wrong."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from dicom_files import (
    LOSSLESS,
    NATIVE,
    SOP_INSTANCE,
    dataset_of,
    encapsulated_file,
    encoded,
    native_file,
    smooth,
    written,
)
from pydicom import Dataset, dcmread, uid

from cxrsweep.engine.dicom.dataset import MAX_ELEMENTS
from cxrsweep.engine.dicom.header import DicomHeader, dicom_header, is_dicom
from cxrsweep.engine.dicom.pixels import dicom_frame
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits

LIMITS = Limits()
PIXELS = smooth(12, is_signed=False)


def refused(content: bytes, limits: Limits = LIMITS) -> Refused:
    """Why a file is refused, in its header or in its first frame."""
    assert is_dicom(content)
    with pytest.raises(Refused) as caught:
        dicom_frame(content, dicom_header(content, limits), 0)
    return caught.value


def code_of(content: bytes, limits: Limits = LIMITS) -> FailureCode:
    return refused(content, limits).code


@pytest.mark.parametrize(
    "sop_class",
    [
        uid.BasicTextSRStorage,
        uid.GrayscaleSoftcopyPresentationStateStorage,
        uid.EncapsulatedPDFStorage,
        uid.DigitalXRayImageStorageForPresentation,
    ],
)
def test_objects_without_pixels_have_their_own_code(sop_class: str) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, SOP_INSTANCE
    assert code_of(written(dataset)) == FailureCode.NO_PIXELS
    assert code_of(written(dataset, NATIVE["deflated"])) == FailureCode.NO_PIXELS


def test_every_cut_of_a_native_file_is_noticed() -> None:
    content = native_file(PIXELS, 12)
    start = content.index(b"\xe0\x7f\x10\x00OW")
    for size in [*range(200, start, 3), *range(start + 12, len(content), 500), len(content) - 1]:
        found = code_of(content[:size])
        # Cut between two elements it is a whole object without pixels.
        assert found in (FailureCode.TRUNCATED, FailureCode.NO_PIXELS, FailureCode.CORRUPT)
        assert found == FailureCode.TRUNCATED or size < start + 12


@pytest.mark.parametrize("name", [*LOSSLESS, "deflated"])
def test_every_cut_of_encoded_pixels_is_noticed(name: str) -> None:
    if name == "deflated":
        content = native_file(PIXELS, 12, NATIVE[name])
        sizes = range(len(content) - 1000, len(content) - 60, 100)
    else:
        frame = encoded(PIXELS, 12, name)
        content = encapsulated_file([frame], PIXELS, 12, LOSSLESS[name])
        sizes = range(len(content) - len(frame), len(content) - 12, len(frame) // 9)
    for size in sizes:
        assert code_of(content[:size]) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)


@pytest.mark.parametrize("name", LOSSLESS)
def test_frame_that_ends_early_in_a_whole_file_is_refused(name: str) -> None:
    frame = encoded(PIXELS, 12, name)
    for size in (2, 30, len(frame) // 2, len(frame) - 2):
        content = encapsulated_file([frame[: size // 2 * 2]], PIXELS, 12, LOSSLESS[name])
        assert code_of(content) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)


@pytest.mark.parametrize("name", LOSSLESS)
def test_other_size_than_rows_and_columns_is_refused(name: str) -> None:
    frame = encoded(PIXELS, 12, name)
    content = encapsulated_file([frame], PIXELS, 12, LOSSLESS[name], Rows=PIXELS.shape[0] + 2)
    assert code_of(content) == FailureCode.CORRUPT
    swapped = {"Rows": PIXELS.shape[1], "Columns": PIXELS.shape[0]}
    if name != "rle":  # has no size of its own
        content = encapsulated_file([frame], PIXELS, 12, LOSSLESS[name], **swapped)
        assert code_of(content) == FailureCode.CORRUPT


def test_colour_stream_under_a_grey_header_is_refused() -> None:
    colours = np.stack([PIXELS] * 3, axis=-1)
    frame = encoded(colours, 12, "jpeg-2000")
    content = encapsulated_file([frame], PIXELS, 12, uid.JPEG2000Lossless)
    assert code_of(content) == FailureCode.CORRUPT


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"Rows": 0}, FailureCode.CORRUPT),
        ({"BitsStored": 17}, FailureCode.CORRUPT),
        ({"BitsAllocated": 12}, FailureCode.UNSUPPORTED),
        ({"BitsAllocated": 64}, FailureCode.UNSUPPORTED),
        ({"PhotometricInterpretation": "HSV"}, FailureCode.UNSUPPORTED),
        ({"PhotometricInterpretation": "RGB"}, FailureCode.UNSUPPORTED),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, FailureCode.UNSUPPORTED),
        ({"SamplesPerPixel": 3}, FailureCode.UNSUPPORTED),
        ({"Rows": 40_000, "Columns": 40_000}, FailureCode.TOO_LARGE),
        ({"NumberOfFrames": 2}, FailureCode.TRUNCATED),
        ({"NumberOfFrames": 2**31 - 1}, FailureCode.TRUNCATED),
        ({"Rows": 100}, FailureCode.TRUNCATED),
    ],
)
def test_headers_that_cannot_be_read_have_their_code(
    elements: dict[str, object], code: FailureCode
) -> None:
    assert code_of(native_file(PIXELS, 12, **elements)) == code


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        (uid.MPEG2MPML, "MPEG2"),
        (uid.HEVCMP51, "HEVC"),
        ("1.2.840.10008.1.2.4.94", "JPIP"),
        ("1.2.840.113619.5.2", "private"),
        ("1.3.6.1.4.1.424242.7", "private"),
    ],
)
def test_syntax_that_is_not_read_is_named_unless_private(syntax: str, words: str) -> None:
    content = native_file(PIXELS, 12)
    content = content.replace(ui_of(uid.ExplicitVRLittleEndian), ui_of(syntax))
    reason = refused(content)
    assert reason.code == FailureCode.UNSUPPORTED
    assert words in reason.reason
    assert "424242" not in reason.reason


def ui_of(value: str) -> bytes:
    padded = value.encode() + b"\0" * (len(value) % 2)
    return b"UI" + struct.pack("<H", len(padded)) + padded


def test_floating_point_pixels_are_not_read() -> None:
    dataset = dataset_of(PIXELS, 12, BitsAllocated=32, BitsStored=32, HighBit=31)
    dataset.FloatPixelData = PIXELS.astype("<f4").tobytes()
    assert code_of(written(dataset)) == FailureCode.UNSUPPORTED


def test_lookup_table_that_is_too_short_is_refused() -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", b"\0\1" * 100)
    assert code_of(native_file(PIXELS, 12, VOILUTSequence=[item])) == FailureCode.CORRUPT


def sequences(levels: int, is_closed: bool) -> bytes:
    """Sequences of undefined length, one in the other, in explicit little endian."""
    opened = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return opened * levels + (closed * levels if is_closed else b"")


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("levels", [300, 5000, 100_000])
def test_deeply_nested_sequences_are_refused(levels: int, is_closed: bool) -> None:
    content = native_file(PIXELS, 12)
    place = content.index(b"\x08\0\x60\0CS")  # Modality
    hostile = content[:place] + sequences(levels, is_closed) + content[place:]
    assert code_of(hostile) == FailureCode.CORRUPT


def test_zeroed_rest_and_endless_elements_end_soon() -> None:
    content = native_file(PIXELS, 12)
    place = content.index(b"\x28\0\x02\0US")
    assert code_of(content[:place] + b"\0" * 10_000_000) == FailureCode.CORRUPT
    element = b"\x28\0\x02\0US\0\0"
    endless = content[:place] + element * (MAX_ELEMENTS + 1) + content[place:]
    assert code_of(endless) == FailureCode.CORRUPT


def test_deflated_bomb_is_stopped_at_the_byte_limit() -> None:
    content = native_file(PIXELS, 12, NATIVE["deflated"])
    (length,) = struct.unpack_from("<L", content, 140)
    private = b"\x09\0\x10\0UN\0\0" + struct.pack("<L", 1 << 30)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(private) + deflate.compress(bytes(1 << 26)) + deflate.flush()
    hostile = content[: 144 + length] + bomb
    assert code_of(hostile, Limits(mebibytes=8)) == FailureCode.TOO_LARGE
    assert code_of(content[: 144 + length] + b"\xff" * 1000) == FailureCode.CORRUPT


def test_deflated_pixels_after_much_else_are_found() -> None:
    dataset = dataset_of(PIXELS, 12)
    dataset.add_new(0x00091001, "OB", np.random.default_rng(1).bytes(300_000))
    dataset.PixelData = PIXELS.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.DataSetTrailingPadding = b"\0" * 200_000
    content = written(dataset, NATIVE["deflated"])
    plain = native_file(PIXELS, 12)
    np.testing.assert_array_equal(
        dicom_frame(content, dicom_header(content, LIMITS), 0),
        dicom_frame(plain, dicom_header(plain, LIMITS), 0),
    )


def test_stream_that_declares_a_huge_size_is_not_decoded() -> None:
    frame = bytearray(encoded(PIXELS, 12, "jpeg-2000"))
    frame[8:16] = struct.pack(">LL", 100_000, 100_000)
    content = encapsulated_file([bytes(frame)], PIXELS, 12, uid.JPEG2000Lossless)
    assert code_of(content) == FailureCode.CORRUPT
    frame[40:42] = b"\0\0"  # no components: kills some decoders
    content = encapsulated_file([bytes(frame)], PIXELS, 12, uid.JPEG2000Lossless)
    assert code_of(content) == FailureCode.CORRUPT


def test_rle_that_unpacks_to_far_more_is_stopped() -> None:
    run = bytes((129, 7)) * 1_000_000  # 128 times the same byte, each
    starts = struct.pack("<16L", 2, 64, 64 + len(run), *[0] * 13)
    content = encapsulated_file([starts + run + run], PIXELS, 12, uid.RLELossless)
    assert code_of(content) == FailureCode.CORRUPT


def test_progressive_jpeg_of_very_many_scans_is_refused() -> None:
    frame = bytes(imagecodecs.jpeg8_encode(smooth(8, False), 90))
    scan = frame[frame.index(b"\xff\xda") : -2]
    content = encapsulated_file(
        [frame[:-2] + scan * 200 + b"\xff\xd9"], smooth(8, False), 8, uid.JPEGBaseline8Bit
    )
    assert code_of(content) == FailureCode.TOO_LARGE


def shape_of_frame(content: bytes) -> tuple[tuple[int, ...] | None, DicomHeader | None]:
    """Shape of the first frame and the header, or nothing where the file is refused."""
    try:
        header = dicom_header(content, LIMITS)
        return dicom_frame(content, header, 0).shape, header
    except Refused:
        return None, None


@pytest.mark.parametrize("name", ["implicit", "explicit", "big-endian", "deflated"])
def test_random_damage_gives_a_code_or_a_frame(name: str) -> None:
    content = native_file(
        PIXELS, 12, NATIVE[name], WindowCenter=9, WindowWidth=9, ViewPosition="PA"
    )
    rng = np.random.default_rng(8)
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(132, 700, rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        shape, header = shape_of_frame(bytes(damaged))
        assert header is None or shape == (header.rows, header.columns)


def test_random_damage_of_fragments_and_rle_gives_a_code_or_a_frame() -> None:
    content = encapsulated_file([encoded(PIXELS, 12, "rle")], PIXELS, 12, uid.RLELossless)
    start = content.index(b"\xe0\x7f\x10\x00OB")
    rng = np.random.default_rng(9)
    for _ in range(400):
        damaged = bytearray(content)
        damaged[start + rng.integers(12, 100)] = rng.integers(0, 256)
        assert shape_of_frame(bytes(damaged))[0] in (None, PIXELS.shape)


@pytest.mark.parametrize("name", ["explicit", "implicit", "big-endian"])
def test_a_file_cut_within_an_element_of_its_data_set_is_truncated(name: str) -> None:
    content = native_file(PIXELS, 12, NATIVE[name])
    whole = dcmread(BytesIO(content))
    start = content.index(SOP_INSTANCE.encode(), 300)  # the second element
    end = dicom_header(content, LIMITS).place.start - 12
    codes = [refused(content[:size]).code for size in range(start, end)]
    # Between two elements nothing tells that another should follow.
    assert codes.count(FailureCode.TRUNCATED) >= len(codes) - len(whole)
    assert set(codes) <= {FailureCode.TRUNCATED, FailureCode.NO_PIXELS}
