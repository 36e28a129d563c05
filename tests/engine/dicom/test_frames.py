"""Frames of files with several: each as pydicom gives it, and each alone where others are lost."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import LOSSLESS, NATIVE, encapsulated_file, encoded, native_file, smooth
from dicom_reference import reference_grey
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import encapsulate

from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.dicom.header import dicom_header, file_facts
from cxrsweep.engine.dicom.pixels import dicom_frame
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits

LIMITS = Limits()
COUNT = 4
BASE = smooth(12, is_signed=False)
FRAMES = [np.roll(BASE, 9 * number, axis=1) for number in range(COUNT)]
WINDOW = {"WindowCenter": 1800, "WindowWidth": 3000}


def native(syntax: str = uid.ExplicitVRLittleEndian, **elements: Any) -> bytes:
    return native_file(
        np.concatenate(FRAMES),
        12,
        syntax,
        **{"NumberOfFrames": COUNT, "Rows": BASE.shape[0], **WINDOW, **elements},
    )


def encapsulated(codec: str, has_table: bool = True, frames: int = COUNT) -> bytes:
    """A file that declares COUNT frames and has the first of them."""
    streams = [encoded(frame, 12, codec) for frame in FRAMES[:frames]]
    content = encapsulated_file(streams, BASE, 12, LOSSLESS[codec], **WINDOW)
    dataset = pydicom.dcmread(BytesIO(content))
    dataset.NumberOfFrames = COUNT
    dataset.PixelData = encapsulate(streams, has_bot=has_table)
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def grey_of(content: bytes, frame: int) -> NDArray[np.uint8]:
    """What a sweep makes of a frame, counted from 1: through the gate and the careful decoder."""
    return grey_pixels(content, header_of(content, LIMITS, frame))[..., 0]


def code_of(content: bytes, frame: int) -> FailureCode | None:
    try:
        grey_of(content, frame)
    except Refused as refused:
        return refused.code
    return None


@pytest.mark.parametrize("name", NATIVE)
def test_native_frames_are_those_of_pydicom(name: str) -> None:
    content = native(NATIVE[name])
    dataset = pydicom.dcmread(BytesIO(content))
    for number in range(COUNT):
        # Equal: both follow the standard's formula, and its halves are rounded up in both.
        np.testing.assert_array_equal(grey_of(content, number + 1), reference_grey(dataset, number))
    np.testing.assert_array_equal(grey_of(content, 0), grey_of(content, 1))


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("codec", ["jpeg-lossless", "jpeg-ls", "jpeg-2000", "rle"])
def test_encapsulated_frames_are_those_of_pydicom(codec: str, has_table: bool) -> None:
    content = encapsulated(codec, has_table)
    expected = pydicom.dcmread(BytesIO(native()))  # lossless, so pydicom need not decode it
    for number in range(COUNT):
        np.testing.assert_array_equal(
            grey_of(content, number + 1), reference_grey(expected, number)
        )


def check_cut(cut: bytes, whole: bytes, reached: int) -> None:
    """The frames that are reached are as in the whole file, the others are not there."""
    for frame in range(1, reached + 1):
        np.testing.assert_array_equal(grey_of(cut, frame), grey_of(whole, frame))
    for frame in range(reached + 1, COUNT + 1):
        assert code_of(cut, frame) == FailureCode.TRUNCATED
    assert code_of(cut, 0) == FailureCode.TRUNCATED, "one row for a file needs it whole"


@pytest.mark.parametrize("codec", ["native", "jpeg-ls", "rle"])
def test_frames_before_a_cut_are_read_and_those_after_it_are_not(codec: str) -> None:
    if codec == "native":
        whole, size = native(), BASE.nbytes
    else:
        whole, size = encapsulated(codec), len(encoded(FRAMES[-1], 12, codec))
    check_cut(whole[: len(whole) - size - size // 2], whole, reached=2)


def test_deflated_frames_before_a_cut_are_read() -> None:
    whole = native(NATIVE["deflated"])
    place = dicom_header(whole, LIMITS).place
    for cut in (whole[: len(whole) * tenths // 10] for tenths in (6, 7, 8, 9)):
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(cut[place.deflated_from :])
        check_cut(cut, whole, reached=max(len(inflated) - place.start, 0) // BASE.nbytes)


@pytest.mark.parametrize("has_table", [True, False])
def test_frames_without_fragments_are_truncated_and_the_others_read(has_table: bool) -> None:
    whole, content = encapsulated("jpeg-ls"), encapsulated("jpeg-ls", has_table, frames=2)
    for frame in (1, 2):
        np.testing.assert_array_equal(grey_of(content, frame), grey_of(whole, frame))
    assert code_of(content, 3) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)
    if not has_table:
        assert code_of(content, 3) == code_of(content, 4) == FailureCode.TRUNCATED


def test_damaged_frame_fails_alone() -> None:
    whole = encapsulated("jpeg-ls")
    second = encoded(FRAMES[1], 12, "jpeg-ls")
    start = whole.index(second)
    damaged = whole[:start] + b"\0" * len(second) + whole[start + len(second) :]
    assert [code_of(damaged, frame) for frame in (1, 2, 3, 4)] == [
        *(None, FailureCode.CORRUPT, None, None)
    ]


def test_frame_that_the_file_does_not_have_is_refused() -> None:
    with pytest.raises(Refused, match="frame 5 of a file with 4"):
        header_of(native(), LIMITS, COUNT + 1)
    with pytest.raises(ValueError, match="frame 4 of a file with 4"):
        dicom_frame(native(), dicom_header(native(), LIMITS), COUNT)


def test_facts_need_only_the_head_of_a_file() -> None:
    content = native(ViewPosition="LL")
    start = dicom_header(content, LIMITS).place.start
    facts = file_facts(content[: start + 1], LIMITS)
    assert (facts.frames, facts.view, facts.has_pixels) == (COUNT, "LL", True)
    assert facts.sop_instance_uid == pydicom.dcmread(BytesIO(content)).SOPInstanceUID


@pytest.mark.parametrize(
    "elements", [{"BitsAllocated": 64}, {"Rows": 0}, {"Rows": 60_000, "Columns": 60_000}]
)
def test_what_is_not_read_anyway_counts_as_one_frame(elements: dict[str, int]) -> None:
    assert file_facts(native(**elements), LIMITS).frames == 1
