"""Every DICOM file in the installed pydicom package: decoded as pydicom does, or the right code."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_reference import reference_grey
from pydicom.dataset import Dataset

from cxrsweep.engine.dicom.header import DicomHeader, dicom_header, is_dicom
from cxrsweep.engine.dicom.pixels import dicom_frame
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
# What the package itself holds; pydicom.data would fetch the others.
FILES = {
    str(path.relative_to(FOLDER)): path
    for path in sorted(FOLDER.rglob("*"))
    if path.is_file() and is_dicom(path.read_bytes())
}
DAMAGED = {
    "MR_truncated.dcm": FailureCode.TRUNCATED,
    "rtplan_truncated.dcm": FailureCode.TRUNCATED,
    "JPEG2000-embedded-sequence-delimiter.dcm": FailureCode.CORRUPT,
    # Pixel data of no bytes, without a word about their size.
    "meta_missing_tsyntax.dcm": FailureCode.CORRUPT,
    "nested_priv_SQ.dcm": FailureCode.CORRUPT,
}
# 12-bit JPEG, which no decoder of pydicom's with a permissive licence reads; and one file whose
# header is so wrong that pydicom does not read it.
WITHOUT_REFERENCE = {"JPEG-lossy.dcm", "JPGExtended.dcm", "badVR.dcm"}
# Says RGB around a JPEG that says YCbCr: pydicom clips colours out of gamut, we take Y.
MEAN_ONLY = {"SC_rgb_jpeg.dcm": 0.05}


def read(path: Path) -> DicomHeader | Refused:
    try:
        return dicom_header(path.read_bytes(), Limits())
    except Refused as reason:
        return reason


def dataset_of(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def test_there_are_many() -> None:
    assert len(FILES) > 150


@pytest.mark.parametrize("name", FILES)
def test_shipped_file_decodes_as_in_pydicom_or_has_its_code(name: str) -> None:
    path = FILES[name]
    content, header = path.read_bytes(), read(path)
    has_pixels = "PixelData" in dataset_of(path)
    if isinstance(header, Refused):
        expected = DAMAGED.get(path.name, FailureCode.CORRUPT if has_pixels else None)
        assert header.code == (expected or FailureCode.NO_PIXELS)
        return
    assert has_pixels
    for frame in {0, header.frames - 1}:
        if path.name in DAMAGED:
            with pytest.raises(Refused) as caught:
                dicom_frame(content, header, frame)
            assert caught.value.code == DAMAGED[path.name]
            continue
        grey = dicom_frame(content, header, frame)
        assert grey.shape == (header.rows, header.columns)
        assert grey.dtype == np.uint8
        if path.name in WITHOUT_REFERENCE:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = reference_grey(dataset_of(path), frame)
        difference = np.abs(grey.astype(int) - reference)
        if path.name in MEAN_ONLY:
            assert difference.mean() < MEAN_ONLY[path.name]
        else:
            # One level: of lossy frames decoders round differently, of colours sums do.
            assert difference.max() <= 1


def texts_of(dataset: Dataset) -> set[str]:
    """Every text of a header, numbers and the few enumerated codes that are kept aside."""
    kept = {"SOPInstanceUID", "ViewPosition", "Modality", "PhotometricInterpretation"}
    kept |= {"TransferSyntaxUID", "VOILUTFunction", "NumberOfFrames"}
    numbers = {"DS", "IS", "US", "SS", "UL", "SL", "FD", "FL", "AT", "SQ", "OB", "OW", "UN"}
    found = set()
    for element in [*dataset.file_meta, *dataset.iterall()]:
        if element.VR not in numbers and element.keyword not in kept:
            values = element.value if element.VM > 1 else [element.value]
            found |= {str(value).strip() for value in values}
    return {text for text in found if len(text) >= 4}


@pytest.mark.parametrize("name", FILES)
def test_no_text_of_a_shipped_header_reaches_an_output(name: str) -> None:
    header = read(FILES[name])
    shown = str(header) + repr(header)
    if isinstance(header, Refused):
        # Nobody prints the library's own message, which quotes the header.
        assert header.__suppress_context__ or header.__context__ is None
    else:
        shown = (shown + repr(dataclasses.asdict(header))).replace(header.sop_instance_uid, "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts = texts_of(dataset_of(FILES[name]))
    assert not {text for text in texts if text in shown}
