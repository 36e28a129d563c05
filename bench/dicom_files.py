"""DICOM files of phantoms: pixels in, a file of one family of transfer syntaxes out."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite, uid
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder

BITS = 12


_SYNTAXES = {
    "native": uid.ExplicitVRLittleEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg": uid.JPEGBaseline8Bit,
    "jpeg-12": uid.JPEGExtended12Bit,
    "jpeg-lossless": uid.JPEGLosslessSV1,
    "jpeg-ls": uid.JPEGLSLossless,
    "jpeg-2000": uid.JPEG2000Lossless,
    "htj2k": uid.HTJ2KLossless,
}
DICOM_CODECS = tuple(_SYNTAXES)


def dicom_file(codec: str, grey: NDArray[np.uint8], deep: NDArray[np.uint16]) -> bytes:
    """A file of one radiograph.

    Args:
        codec: one of DICOM_CODECS; only "jpeg" stores 8 bits.
        grey: (H, W) uint8.
        deep: (H, W) uint16 of 12 bits.
    """
    pixels = grey if codec == "jpeg" else deep
    bits = {"jpeg": 8, "jpeg-ls": 16, "htj2k": 16}.get(codec, BITS)
    return _file(pixels, bits, _SYNTAXES[codec], encoded_frame(codec, grey, deep))


def encoded_frame(codec: str, grey: NDArray[np.uint8], deep: NDArray[np.uint16]) -> bytes | None:
    """The frame of a file, or None where its pixels are stored as they are.

    Args:
        codec: one of DICOM_CODECS.
        grey: (H, W) uint8.
        deep: (H, W) uint16 of 12 bits.
    """
    if codec == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(grey, level=90))
    if codec == "jpeg-12":
        return bytes(imagecodecs.jpeg8_encode(deep, level=90, bitspersample=BITS))
    if codec == "jpeg-lossless":
        return bytes(imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=BITS))
    if codec == "jpeg-ls":
        return bytes(imagecodecs.jpegls_encode(deep))
    if codec == "jpeg-2000":
        return bytes(imagecodecs.jpeg2k_encode(deep, codecformat="j2k", bitspersample=BITS))
    if codec == "htj2k":
        return bytes(imagecodecs.htj2k_encode(deep, reversible=True))
    if codec == "rle":
        return get_encoder(uid.RLELossless).encode(
            deep, rows=deep.shape[0], columns=deep.shape[1], samples_per_pixel=1,
            number_of_frames=1, bits_allocated=16, bits_stored=BITS, pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
        )  # fmt: skip
    return None


def _file(pixels: NDArray[Any], bits: int, syntax: uid.UID, frame: bytes | None) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    dataset.PixelData = pixels.tobytes() if frame is None else encapsulate([frame])
    dataset["PixelData"].VR = "OW" if pixels.itemsize == 2 and frame is None else "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
