"""Small whole DICOM files: pixels of a phantom in, a file per family of transfer syntaxes out."""

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


def dicom_originals(grey: NDArray[np.uint8], deep: NDArray[np.uint16]) -> dict[str, bytes]:
    """Files of one radiograph: name of the codec -> content.

    Args:
        grey: (H, W) uint8.
        deep: (H, W) uint16 of 12 bits.
    """
    codecs = imagecodecs
    baseline = bytes(codecs.jpeg8_encode(grey, level=90))
    lossless = bytes(codecs.jpeg8_encode(deep, lossless=True, bitspersample=BITS))
    jpeg_ls = bytes(codecs.jpegls_encode(deep))
    jpeg_2000 = bytes(codecs.jpeg2k_encode(deep, codecformat="j2k", bitspersample=BITS))
    rle = get_encoder(uid.RLELossless).encode(
        deep, rows=deep.shape[0], columns=deep.shape[1], samples_per_pixel=1, number_of_frames=1,
        bits_allocated=16, bits_stored=BITS, pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )  # fmt: skip
    return {
        "native": _file(deep, BITS, uid.ExplicitVRLittleEndian, None),
        "rle": _file(deep, BITS, uid.RLELossless, rle),
        "jpeg": _file(grey, 8, uid.JPEGBaseline8Bit, baseline),
        "jpeg-lossless": _file(deep, BITS, uid.JPEGLosslessSV1, lossless),
        "jpeg-ls": _file(deep, 16, uid.JPEGLSLossless, jpeg_ls),
        "jpeg-2000": _file(deep, BITS, uid.JPEG2000Lossless, jpeg_2000),
    }


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
