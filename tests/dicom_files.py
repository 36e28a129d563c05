"""Small DICOM files for tests, written by pydicom around pixels that a test knows."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite, uid
from pydicom.encaps import encapsulate

SOP_INSTANCE = "1.2.826.0.1.3680043.8.498.1"
NATIVE = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big-endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}
LOSSLESS = {
    "jpeg-lossless": uid.JPEGLossless,
    "jpeg-lossless-sv1": uid.JPEGLosslessSV1,
    "jpeg-ls": uid.JPEGLSLossless,
    "jpeg-2000": uid.JPEG2000Lossless,
    "htj2k": uid.HTJ2KLossless,
    "rle": uid.RLELossless,
}


def dataset_of(pixels: NDArray[Any], bits: int, **elements: Any) -> Dataset:
    """A data set without pixels that describes (H, W) or (H, W, 3) of some integer type."""
    dataset = Dataset()
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = SOP_INSTANCE
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def written(dataset: Dataset, syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    """The file of a data set."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def native_file(
    pixels: NDArray[Any], bits: int, syntax: str = uid.ExplicitVRLittleEndian, **elements: Any
) -> bytes:
    """A file with native pixels; several frames if NumberOfFrames is given and H is all rows."""
    dataset = dataset_of(pixels, bits)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    return written(dataset, syntax)


def encapsulated_file(
    frames: list[bytes], described: NDArray[Any], bits: int, syntax: str, **elements: Any
) -> bytes:
    """A file with encoded frames around pixels that look like `described`."""
    dataset = dataset_of(described, bits, **elements)
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    return written(dataset, syntax)


def encoded(pixels: NDArray[Any], bits: int, codec: str) -> bytes:
    """One lossless frame; JPEG and JPEG-LS get signed samples as words, as the standard says."""
    words = pixels.view(f"u{pixels.itemsize}") & np.array((1 << bits) - 1, f"u{pixels.itemsize}")
    if codec == "jpeg-lossless":
        return bytes(
            imagecodecs.jpeg8_encode(words, lossless=True, predictor=4, bitspersample=bits)
        )
    if codec == "jpeg-lossless-sv1":
        return bytes(
            imagecodecs.jpeg8_encode(words, lossless=True, predictor=1, bitspersample=bits)
        )
    if codec == "jpeg-ls":
        return bytes(imagecodecs.jpegls_encode(words))
    if codec == "jpeg-2000":
        return bytes(
            imagecodecs.jpeg2k_encode(
                pixels, reversible=True, codecformat="J2K", bitspersample=bits
            )
        )
    if codec == "htj2k":
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    return rle_of(pixels)


def rle_of(pixels: NDArray[Any]) -> bytes:
    """One RLE frame. Source: PS3.5 annex G."""
    planes = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    octets = [
        np.ascontiguousarray(plane).astype(plane.dtype.newbyteorder(">")).view(np.uint8)
        for plane in planes
    ]
    segments = [
        imagecodecs.packbits_encode(plane.reshape(-1, pixels.itemsize)[:, byte].tobytes())
        for plane in octets
        for byte in range(pixels.itemsize)
    ]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in map(bytes, segments)]
    starts = np.zeros(16, "<u4")
    starts[0] = len(segments)
    starts[1 : 1 + len(segments)] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return starts.tobytes() + b"".join(segments)


def smooth(bits: int, is_signed: bool, shape: tuple[int, int] = (37, 52)) -> NDArray[Any]:
    """Waves and some noise over the whole range of some bits: what codecs find worth coding."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    waves = np.sin(rows / 7) + np.cos(columns / 9) + 0.02 * np.sin(rows * columns)
    share = (waves - waves.min()) / (waves.max() - waves.min())
    values = np.rint(share * ((1 << bits) - 1)).astype(np.int64)
    if is_signed:
        values -= 1 << bits - 1
    return values.astype(f"{'i' if is_signed else 'u'}{1 if bits <= 8 else 2}")
