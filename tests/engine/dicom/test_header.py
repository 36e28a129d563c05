"""What is taken from a header, what never is, and what damaged or other objects get."""

from __future__ import annotations

import dataclasses
import pickle
import struct
import zlib
from collections.abc import Callable

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
from pydicom import Dataset, uid

from cxrsweep.engine.dicom.dataset import MAX_ELEMENTS
from cxrsweep.engine.dicom.header import DicomHeader, dicom_header, is_dicom
from cxrsweep.engine.dicom.pixels import dicom_frame
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.header import Limits
from cxrsweep.engine.windowing import Window

LIMITS = Limits()
PIXELS = smooth(12, is_signed=False)


def header_of(**elements: object) -> DicomHeader:
    return dicom_header(native_file(PIXELS, 12, **elements), LIMITS)


def refused(content: bytes, limits: Limits = LIMITS) -> Refused:
    """Why a file is refused, in its header or in its first frame."""
    assert is_dicom(content)
    with pytest.raises(Refused) as caught:
        dicom_frame(content, dicom_header(content, limits), 0)
    return caught.value


def code_of(content: bytes, limits: Limits = LIMITS) -> FailureCode:
    return refused(content, limits).code


def without_preamble(content: bytes) -> bytes:
    return content[132:]


def without_meta(content: bytes) -> bytes:
    """The bare data set; the length of group 0002 stands in its first element."""
    (length,) = struct.unpack_from("<L", content, 140)
    return content[144 + length :]


def test_facts_of_a_radiograph() -> None:
    header = header_of(
        ViewPosition="PA",
        NumberOfFrames=1,
        WindowCenter=[2000, 1],
        WindowWidth=[4000, 2],
        RescaleSlope="2",
        RescaleIntercept="-10.5",
        PixelPaddingValue=7,
    )
    assert (header.rows, header.columns, header.frames) == (*PIXELS.shape, 1)
    assert header.transfer_syntax == uid.ExplicitVRLittleEndian
    assert header.sop_instance_uid == SOP_INSTANCE
    assert (header.modality, header.view, header.is_frontal) == ("DX", "PA", True)
    assert (header.samples.allocated, header.samples.stored, header.samples.high_bit) == (
        16,
        12,
        11,
    )
    assert header.samples.photometric == "MONOCHROME2"
    assert header.greys.window == Window(2000, 4000)
    assert (header.greys.slope, header.greys.intercept) == (2, -10.5)
    assert header.greys.padding == (7, 7)
    assert pickle.loads(pickle.dumps(header)) == header


@pytest.mark.parametrize(
    ("stored", "view", "is_frontal"),
    [
        ("AP", "AP", True),
        (" pa", "PA", True),
        ("LL", "LL", False),
        ("LATERAL", "LATERAL", False),
        ("JANE DOE", "OTHER", False),
        ("", "", None),
        (None, "", None),
    ],
)
def test_view_is_one_of_a_list(stored: str | None, view: str, is_frontal: bool | None) -> None:
    content = native_file(PIXELS, 12)
    if stored is not None:
        padded = stored.encode() + b" " * (len(stored) % 2)
        content = native_file(PIXELS, 12, ViewPosition="XX").replace(
            b"CS\2\0XX", b"CS" + struct.pack("<H", len(padded)) + padded
        )
    header = dicom_header(content, LIMITS)
    assert (header.view, header.is_frontal) == (view, is_frontal)


SECRET = "Doe^Jane 1961"


def test_no_text_reaches_the_facts_or_a_reason() -> None:
    keywords = """
        PatientName PatientID PatientBirthDate AccessionNumber StudyDescription InstitutionName
        ImageComments StudyInstanceUID SeriesInstanceUID StudyID ViewPosition Modality
        VOILUTFunction
    """
    dataset = dataset_of(PIXELS, 12)
    for keyword in keywords.split():
        dataset.add_new(keyword, "LO", SECRET)
    dataset.PixelData = PIXELS.tobytes()
    dataset["PixelData"].VR = "OW"
    content = written(dataset)
    assert content.count(b"Doe^Jane") >= 10
    header = dicom_header(content, LIMITS)
    shown = repr(header) + repr(dataclasses.asdict(header))
    for broken in (content[:-500], content.replace(b"MONOCHROME2 ", b"Doe^Jane 196")):
        shown += repr(refused(broken)) + refused(broken).reason
    assert "Doe" not in shown
    assert "1961" not in shown


@pytest.mark.parametrize("stored", ["1.2.x", "1..2", "1" * 65, "Doe^Jane", "1.2.3\n4", ".1.2"])
def test_uid_of_other_characters_is_dropped(stored: str) -> None:
    dataset = dataset_of(PIXELS, 12)
    dataset.PixelData = PIXELS.tobytes()
    dataset["PixelData"].VR = "OW"
    content = written(dataset)
    own = ui_of(SOP_INSTANCE)
    assert dicom_header(content.replace(own, ui_of("1.2.3")), LIMITS).sop_instance_uid == "1.2.3"
    assert dicom_header(content.replace(own, ui_of(stored)), LIMITS).sop_instance_uid == ""


@pytest.mark.parametrize("charset", [b"ISO_IR 100", b"Klingon100", b"\\ISO_IR\\\\9", b"\xff\0" * 5])
def test_character_set_does_not_matter_and_does_not_warn(charset: bytes) -> None:
    content = native_file(PIXELS, 12, SpecificCharacterSet="ISO_IR 100")
    content = content.replace(b"ISO_IR 100", charset)
    assert dicom_header(content, LIMITS).rows == PIXELS.shape[0]


@pytest.mark.parametrize("cut", [without_preamble, without_meta])
@pytest.mark.parametrize("name", ["implicit", "explicit", "big-endian"])
def test_files_without_preamble_or_meta_are_read(name: str, cut: Callable[[bytes], bytes]) -> None:
    whole = native_file(PIXELS, 12, NATIVE[name])
    content = cut(whole)
    assert is_dicom(content)
    found = dicom_frame(content, dicom_header(content, LIMITS), 0)
    np.testing.assert_array_equal(found, dicom_frame(whole, dicom_header(whole, LIMITS), 0))


def test_encapsulated_frame_without_meta_is_known_by_content() -> None:
    frame = encoded(PIXELS, 12, "jpeg-2000")
    content = without_meta(encapsulated_file([frame], PIXELS, 12, uid.JPEG2000Lossless))
    assert dicom_frame(content, dicom_header(content, LIMITS), 0).shape == PIXELS.shape


def test_declared_encoding_may_be_wrong() -> None:
    implicit, explicit = (native_file(PIXELS, 12, NATIVE[n]) for n in ("implicit", "explicit"))
    content = explicit[: -len(without_meta(explicit))] + without_meta(implicit)
    assert dicom_header(content, LIMITS).rows == PIXELS.shape[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08\x00",
        b"\x08\x00\x05\x00CS",
        b"\0" * 1000,
        b"\x08" * 1000,
        b"\xff\xd8\xff\xe0" + b"\0" * 500,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 500,
        b"II*\0" + b"\x08\0\0\0" * 100,
        b"MM\0*" + b"\0" * 500,
        b"BM" + b"\0" * 500,
        b"\0\0\x01\0" * 100,
        b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 500,
        b"a,b\n1,2\n" * 100,
        b"DICM" * 3,
    ],
)
def test_other_content_is_not_dicom(content: bytes) -> None:
    assert not is_dicom(content)


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
