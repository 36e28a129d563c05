"""What is taken from a header, and what never is."""

from __future__ import annotations

import dataclasses
import pickle
import struct
from collections.abc import Callable

import numpy as np
import pytest
from dicom_files import (
    NATIVE,
    SOP_INSTANCE,
    dataset_of,
    encapsulated_file,
    encoded,
    native_file,
    smooth,
    written,
)
from pydicom import uid

from cxrsweep.engine.decode.windowing import Window
from cxrsweep.engine.dicom.header import DicomHeader, dicom_header, is_dicom
from cxrsweep.engine.dicom.pixels import dicom_frame
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.header import Limits

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


def ui_of(value: str) -> bytes:
    padded = value.encode() + b"\0" * (len(value) % 2)
    return b"UI" + struct.pack("<H", len(padded)) + padded
