"""Content of a DICOM file, its header and a frame's number in, that frame in 8-bit grey out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.dicom.decoders import jpeg, jpeg_2000, jpeg_ls, native, rle
from cxrsweep.engine.dicom.facts import DicomHeader, Samples
from cxrsweep.engine.dicom.frames import encapsulated_frame, native_pixels
from cxrsweep.engine.dicom.greys import grey_frame
from cxrsweep.engine.dicom.streams import Codec, Stream, stream_of
from cxrsweep.engine.failures import FailureCode, Refused

_Decode = Callable[[bytes, Stream, DicomHeader], NDArray[Any]]
_DECODERS: dict[Codec, _Decode] = {
    "jpeg": jpeg.decode,
    "jpeg-ls": jpeg_ls.decode,
    "jpeg2000": jpeg_2000.decode,
    "htj2k": jpeg_2000.decode,
}


def dicom_frame(
    content: bytes, header: DicomHeader, frame: int, *, is_alone: bool = False
) -> NDArray[np.uint8]:
    """Decode one frame and apply what the header says of grey.

    The modality table or rescale, the VOI table or window, the photometric interpretation and the
    padding value are applied in that order; docs/dicom.md has the rules, and the default window.

    Args:
        content: the whole file.
        header: of it, from `dicom_header`.
        frame: from 0, below header.frames.
        is_alone: the file may be cut or damaged where other frames lie.

    Returns:
        (H, W) uint8.

    Raises:
        Refused: TRUNCATED, CORRUPT (also where the frame has another size than Rows and Columns)
            or UNSUPPORTED.
        ValueError: the file has no such frame.
    """
    if not 0 <= frame < header.frames:
        raise ValueError(f"frame {frame} of a file with {header.frames}")
    words, samples = stored_words(content, header, frame, is_alone=is_alone)
    return grey_frame(words, samples, header.greys)


def stored_words(
    content: bytes, header: DicomHeader, frame: int, *, is_alone: bool = False
) -> tuple[NDArray[Any], Samples]:
    """Decode one frame to stored words.

    Args:
        content: the whole file.
        header: of it.
        frame: from 0.
        is_alone: as of `dicom_frame`.

    Returns:
        (H, W) or (H, W, 3) unsigned words, and how they hold samples.

    Raises:
        Refused: as `dicom_frame`.
    """
    if header.place.length is not None:
        pixels = native_pixels(content, header, frame + 1 if is_alone else header.frames)
        return native.decode(pixels, header, frame), header.samples
    encoded = encapsulated_frame(content, header, frame, is_alone=is_alone)
    stream = stream_of(encoded)
    if stream is None:
        return _without_codec(encoded, header), header.samples
    _check_size(header, stream.height, stream.width)
    samples = _samples_of(stream, header.samples)
    words = _DECODERS[stream.codec](encoded, stream, header)
    _check_size(header, *words.shape[:2])
    allocated = 8 * words.itemsize
    return words.view(f"u{words.itemsize}"), replace(samples, allocated=allocated)


def _without_codec(encoded: bytes, header: DicomHeader) -> NDArray[Any]:
    if rle.is_available(header.transfer_syntax):
        return rle.decode(encoded, header)
    if native.is_available(header.transfer_syntax):
        return native.decode(memoryview(encoded), header, 0)
    raise Refused(FailureCode.CORRUPT, "the encapsulated frame starts like no known codec")


def _samples_of(stream: Stream, declared: Samples) -> Samples:
    """How decoded words hold samples; where header and stream differ, pixels follow the stream.

    Raises:
        Refused: CORRUPT, another number of components than samples per pixel, or more bits than
            allocated.
    """
    if stream.components != declared.per_pixel:
        raise Refused(
            FailureCode.CORRUPT,
            f"the frame has {stream.components} components, the header {declared.per_pixel}",
        )
    if stream.bits > declared.allocated:
        raise Refused(
            FailureCode.CORRUPT,
            f"the frame has {stream.bits} bits, the header allocates {declared.allocated}",
        )
    is_signed = stream.is_signed or declared.is_signed
    # Of a signed sample the sign bit counts, and that may be lower than the stream's highest.
    stored = min(stream.bits, declared.stored) if declared.is_signed else stream.bits
    return replace(declared, stored=stored, high_bit=stored - 1, is_signed=is_signed)


def _check_size(header: DicomHeader, height: int, width: int) -> None:
    if (height, width) != (header.rows, header.columns):
        raise Refused(
            FailureCode.CORRUPT,
            f"the frame has {width} x {height} pixels, the header {header.columns} x {header.rows}",
        )
