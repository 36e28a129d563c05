"""DICOM by transfer syntax, and what is wrong with DICOM files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from dicom_files import (
    LOSSLESS,
    NATIVE,
    dataset_of,
    encapsulated_file,
    encoded,
    native_file,
    smooth,
    written,
)
from dicom_reference import reference_grey
from pydicom import Dataset, dcmread, uid

from cxrsweep.engine.failures import FailureCode
from hostile.files import (
    COLOUR,
    COLUMNS,
    DAMAGED,
    GREY,
    ROWS,
    HostileFile,
    cuts,
    flips,
    luminance,
    refused,
    saved,
    seen_by_pillow,
    sound,
    unknowable,
)
from hostile.jpegs import BASELINE
from hostile.rows import Row

SHAPE = (ROWS, COLUMNS)
_CODEC_ROWS = {
    "jpeg-lossless": Row.DICOM_LOSSLESS,
    "jpeg-lossless-sv1": Row.DICOM_LOSSLESS,
    "jpeg-ls": Row.DICOM_JPEG_LS,
    "jpeg-2000": Row.DICOM_J2K,
    "htj2k": Row.DICOM_HTJ2K,
    "rle": Row.DICOM_RLE,
}
TWELVE = smooth(12, False, SHAPE)
PLAIN = native_file(TWELVE, 12)
_NOT_READ = {
    "jpeg-2000-part-2": "1.2.840.10008.1.2.4.92",
    "jpip": "1.2.840.10008.1.2.4.94",
    "private": "1.2.3.4.5.6.7.8.9.1011",
}


def by_pydicom(name: str, content: bytes, row: Row) -> HostileFile:
    """A sound file whose picture pydicom tells."""
    return sound(f"dicom-{name}.dcm", content, row, reference_grey(dcmread(BytesIO(content))))


def syntaxes() -> Iterator[HostileFile]:
    depths = [(8, False), (12, False), (16, False), (12, True), (16, True)]
    for bits, is_signed in depths:
        pixels = smooth(bits, is_signed, SHAPE)
        word = f"{'signed' if is_signed else 'unsigned'}-{bits}"
        for name, syntax in NATIVE.items():
            content = native_file(pixels, bits, syntax)
            yield by_pydicom(f"{name}-{word}", content, Row.DICOM_NATIVE)
        # What every codec keeps, the native file of the same pixels shows.
        picture = reference_grey(dcmread(BytesIO(native_file(pixels, bits))))
        for codec, syntax in LOSSLESS.items():
            content = encapsulated_file([encoded(pixels, bits, codec)], pixels, bits, syntax)
            yield sound(f"dicom-{codec}-{word}.dcm", content, _CODEC_ROWS[codec], picture)


def lossy() -> Iterator[HostileFile]:
    baseline = encapsulated_file([BASELINE], GREY, 8, uid.JPEGBaseline8Bit)
    seen = seen_by_pillow(BASELINE)
    assert seen is not None
    yield sound("dicom-jpeg-baseline.dcm", baseline, Row.DICOM_JPEG, seen)
    for name, keeps_rgb in (("with-app14", True), ("ybr", False)):
        frame = saved(COLOUR, "JPEG", quality=95, subsampling=0, keep_rgb=keeps_rgb)
        photometric = "RGB" if keeps_rgb else "YBR_FULL_422"
        elements = {"PhotometricInterpretation": photometric}
        content = encapsulated_file([frame], COLOUR, 8, uid.JPEGBaseline8Bit, **elements)
        picture = np.rint(seen_by_pillow(frame))
        yield sound(f"dicom-jpeg-colour-{name}.dcm", content, Row.DICOM_JPEG, picture)
    frame = _unnamed_rgb(saved(COLOUR, "JPEG", quality=100, subsampling=0, keep_rgb=True))
    content = encapsulated_file([frame], COLOUR, 8, uid.JPEGBaseline8Bit)
    # Only the header says that these are red, green and blue; quality 100 is off by a level or so.
    grey = np.rint(luminance(COLOUR))
    yield sound("dicom-jpeg-rgb-without-app14.dcm", content, Row.DICOM_JPEG, grey)
    twelve = bytes(imagecodecs.jpeg8_encode(TWELVE, 98, bitspersample=12))
    picture = _grey_of_frame(imagecodecs.jpeg8_decode(twelve), 12)
    content = encapsulated_file([twelve], TWELVE, 12, uid.JPEGExtended12Bit)
    yield sound("dicom-jpeg-12.dcm", content, Row.DICOM_JPEG_12, picture)
    near = bytes(imagecodecs.jpegls_encode(TWELVE, level=3))
    picture = _grey_of_frame(imagecodecs.jpegls_decode(near), 12)
    content = encapsulated_file([near], TWELVE, 12, uid.JPEGLSNearLossless)
    yield sound("dicom-jpeg-ls-near.dcm", content, Row.DICOM_JPEG_LS, picture)
    rough = imagecodecs.jpeg2k_encode(TWELVE, level=50, codecformat="J2K", bitspersample=12)
    picture = _grey_of_frame(imagecodecs.jpeg2k_decode(rough), 12)
    content = encapsulated_file([bytes(rough)], TWELVE, 12, uid.JPEG2000)
    yield sound("dicom-jpeg-2000-lossy.dcm", content, Row.DICOM_J2K, picture)


def _unnamed_rgb(frame: bytes) -> bytes:
    """The frame without its APP14, its components numbered instead of named."""
    start = frame.index(b"\xff\xee")
    end = start + 2 + int.from_bytes(frame[start + 2 : start + 4], "big")
    numbered = bytearray(frame[:start] + frame[end:])
    for marker, first, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        at = numbered.index(marker) + first
        numbered[at : at + 3 * step : step] = b"\1\2\3"
    return bytes(numbered)


def _grey_of_frame(pixels: np.ndarray, bits: int) -> np.ndarray:
    return reference_grey(dcmread(BytesIO(native_file(pixels, bits))))


def not_read() -> Iterator[HostileFile]:
    for name, syntax in (("mpeg-2", uid.MPEG2MPML), ("mpeg-4", uid.MPEG4HP41)):
        content = encapsulated_file([bytes(100)], GREY, 8, syntax)
        file = f"dicom-{name}.dcm"
        yield refused(file, content, Row.DICOM_NO_DECODER, FailureCode.UNSUPPORTED)
    known = encapsulated_file([bytes(100)], GREY, 8, uid.JPEGBaseline8Bit)
    for name, syntax in _NOT_READ.items():
        # As long as the known one with its padding; pydicom does not write what it does not know.
        length = len(uid.JPEGBaseline8Bit)
        content = known.replace(uid.JPEGBaseline8Bit.encode(), syntax.ljust(length, "\0").encode())
        file = f"dicom-{name}.dcm"
        yield refused(file, content, Row.DICOM_NO_DECODER, FailureCode.UNSUPPORTED)
    wrong = {
        "j2k-as-jpeg": (encoded(GREY, 8, "jpeg-2000"), uid.JPEGBaseline8Bit, GREY),
        "jpeg-as-j2k": (BASELINE, uid.JPEG2000Lossless, seen_by_pillow(BASELINE)),
        "jpeg-ls-as-lossless": (encoded(GREY, 8, "jpeg-ls"), uid.JPEGLosslessSV1, GREY),
        "lossless-as-baseline": (encoded(GREY, 8, "jpeg-lossless-sv1"), uid.JPEGBaseline8Bit, GREY),
    }
    for name, (frame, syntax, picture) in wrong.items():
        content = encapsulated_file([frame], GREY, 8, syntax)
        yield sound(f"dicom-{name}.dcm", content, Row.DICOM_WRONG_SYNTAX, picture)
    for name, frame in (("jpeg-as-rle", BASELINE), ("png-as-jpeg", saved(GREY, "PNG"))):
        syntax = uid.RLELossless if name.endswith("rle") else uid.JPEGBaseline8Bit
        content = encapsulated_file([frame], GREY, 8, syntax)
        codes = (*DAMAGED, FailureCode.UNSUPPORTED)
        picture = seen_by_pillow(frame)
        yield HostileFile(
            f"dicom-{name}.dcm", content, Row.DICOM_WRONG_SYNTAX, picture, frozenset(codes)
        )
    explicit = native_file(GREY, 8)
    implicit_named = explicit.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1)
    yield sound("dicom-explicit-as-implicit.dcm", implicit_named, Row.DICOM_WRONG_SYNTAX, GREY)


def sizes() -> Iterator[HostileFile]:
    larger = np.zeros((256, 320), np.uint8)
    for name, codec in (
        ("jpeg-ls", "jpeg-ls"),
        ("j2k", "jpeg-2000"),
        ("rle", "rle"),
        ("lossless", "jpeg-lossless"),
    ):
        content = encapsulated_file([encoded(GREY, 8, codec)], larger, 8, LOSSLESS[codec])
        yield refused(f"dicom-size-{name}.dcm", content, Row.DICOM_SIZE, *DAMAGED)
    content = encapsulated_file([BASELINE], larger, 8, uid.JPEGBaseline8Bit)
    yield refused("dicom-size-jpeg.dcm", content, Row.DICOM_SIZE, *DAMAGED)
    for name, elements in (("rows", {"Rows": 4000}), ("columns", {"Columns": 4000})):
        content = native_file(GREY, 8, **elements)
        yield refused(f"dicom-size-{name}.dcm", content, Row.DICOM_SIZE, *DAMAGED)
    for name, elements in (("no-rows", {"Rows": 0}), ("no-columns", {"Columns": 0})):
        content = native_file(GREY, 8, **elements)
        yield refused(f"dicom-size-{name}.dcm", content, Row.DICOM_SIZE, FailureCode.CORRUPT)
    content = native_file(GREY, 8, Rows=60_000, Columns=60_000)
    yield refused("dicom-size-60000.dcm", content, Row.HUGE_HEADER, FailureCode.TOO_LARGE)


def nested() -> Iterator[HostileFile]:
    for depth in (300, 5000):
        for name, content in (("", _nested(depth)), ("-unended", _nested(depth, ends=False))):
            codes = frozenset({*DAMAGED, FailureCode.UNSUPPORTED, FailureCode.NO_PIXELS})
            file = f"dicom-nested-{depth}{name}.dcm"
            yield HostileFile(file, content, Row.DICOM_NESTED, GREY, codes)


def _nested(depth: int, *, ends: bool = True) -> bytes:
    """Sequences of undefined length in each other, before the pixels of a sound file.

    Written here, because pydicom's writer takes memory with the square of the depth.
    """
    sound_file = native_file(GREY, 8)
    start = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    place = sound_file.index(b"\x28\0\x02\0US")
    return sound_file[:place] + start * depth + end * depth * ends + sound_file[place:]


def broken() -> Iterator[HostileFile]:
    for share, cut in cuts(PLAIN):
        # The preamble alone is 128 zeros.
        codes = (*DAMAGED, FailureCode.NOT_AN_IMAGE, FailureCode.NO_PIXELS)
        yield refused(f"dicom-cut-{share}.dcm", cut, Row.TRUNCATED, *codes)
    j2k = encapsulated_file([encoded(TWELVE, 12, "jpeg-2000")], TWELVE, 12, uid.JPEG2000Lossless)
    for share, cut in list(cuts(j2k))[1:5]:
        yield refused(
            f"dicom-j2k-cut-{share}.dcm", cut, Row.TRUNCATED, *DAMAGED, FailureCode.NO_PIXELS
        )
    pixels = PLAIN.index(b"\xe0\x7f\x10\0")
    for number, flipped in flips(PLAIN[:pixels], 12, 14, 132):
        codes = tuple(set(FailureCode) - {FailureCode.DECODER_CRASHED, FailureCode.TIMEOUT})
        name = f"dicom-flip-{number}.dcm"
        yield unknowable(name, flipped + PLAIN[pixels:], Row.DICOM_BROKEN, *codes)
    report = dataset_of(GREY, 8)
    report.SOPClassUID = uid.BasicTextSRStorage
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(report, keyword)
    content = written(report)
    yield refused("dicom-report.dcm", content, Row.DICOM_BROKEN, FailureCode.NO_PIXELS)
    content = written(dataset_of(GREY, 8))
    yield refused("dicom-no-pixels.dcm", content, Row.DICOM_BROKEN, FailureCode.NO_PIXELS)
    yield from _impossible()


def _impossible() -> Iterator[HostileFile]:
    wrong: dict[str, dict[str, Any]] = {
        "0-bits": {"BitsAllocated": 0},
        "7-bits-allocated": {"BitsAllocated": 7},
        "64-bits": {"BitsAllocated": 64},
        "stored-above-allocated": {"BitsStored": 99},
        "5-samples": {"SamplesPerPixel": 5},
        "no-such-photometric": {"PhotometricInterpretation": "NONSENSE"},
        "frames-beyond": {"NumberOfFrames": 1000},
    }
    for name, elements in wrong.items():
        content = native_file(GREY, 8, **elements)
        codes = (*DAMAGED, FailureCode.UNSUPPORTED)
        yield refused(f"dicom-{name}.dcm", content, Row.DICOM_BROKEN, *codes)
    flat = np.full(SHAPE, 700, np.uint16)
    content = native_file(flat, 12)
    yield refused("dicom-constant.dcm", content, Row.CONSTANT, FailureCode.CONSTANT)
    content = native_file(np.zeros(SHAPE, np.uint8), 8)
    yield refused("dicom-black.dcm", content, Row.CONSTANT, FailureCode.CONSTANT)
    for name, frames in (("no-frame", [bytes(2)]), ("rubbish-frame", [bytes(range(200))])):
        content = encapsulated_file(frames, GREY, 8, uid.JPEGBaseline8Bit)
        yield refused(f"dicom-{name}.dcm", content, Row.DICOM_BROKEN, *DAMAGED)


def headers() -> Iterator[HostileFile]:
    bare = PLAIN[132:]
    picture = reference_grey(dcmread(BytesIO(PLAIN)))
    yield sound("dicom-no-preamble.dcm", bare, Row.DICOM_HEADER, picture)
    frames = np.concatenate([GREY, 255 - GREY, GREY[::-1]])
    content = native_file(frames, 8, Rows=ROWS, NumberOfFrames=3)
    yield sound("dicom-three-frames.dcm", content, Row.DICOM_HEADER, GREY)
    odd = (TWELVE << 3).astype(np.uint16)
    content = native_file(odd, 12, HighBit=14)
    yield sound("dicom-high-bit-14.dcm", content, Row.DICOM_HEADER, picture)
    inverted = native_file(TWELVE, 12, PhotometricInterpretation="MONOCHROME1")
    yield by_pydicom("monochrome1", inverted, Row.DICOM_HEADER)
    padded = TWELVE.copy()
    padded[:, :6] = 4000
    yield by_pydicom("padding", native_file(padded, 12, PixelPaddingValue=4000), Row.DICOM_HEADER)
    for shape in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        elements = {"WindowCenter": "2000", "WindowWidth": "1500", "VOILUTFunction": shape}
        content = native_file(TWELVE, 12, **elements)
        yield by_pydicom(f"window-{shape.lower()}", content, Row.DICOM_HEADER)
    several = native_file(TWELVE, 12, WindowCenter=["1000", "2000"], WindowWidth=["900", "50"])
    yield by_pydicom("two-windows", several, Row.DICOM_HEADER)
    rescaled = {"RescaleSlope": "2", "RescaleIntercept": "-1024"}
    content = native_file(TWELVE, 12, WindowCenter="1500", WindowWidth="3000", **rescaled)
    yield by_pydicom("rescaled", content, Row.DICOM_HEADER)
    yield by_pydicom("voi-table", native_file(TWELVE, 12, **_table()), Row.DICOM_HEADER)
    for name, width in (("0", "0"), ("minus", "-5")):
        elements = {"WindowCenter": "2000", "WindowWidth": width}
        content = native_file(TWELVE, 12, **elements)
        # No legal window: the default one.
        yield sound(f"dicom-window-of-{name}.dcm", content, Row.DICOM_HEADER, picture)
    rgb = native_file(COLOUR, 8)
    yield by_pydicom("rgb", rgb, Row.DICOM_HEADER)


def _table() -> dict[str, Any]:
    item = Dataset()
    entries = (np.sqrt(np.arange(4096) / 4095) * 65535).astype("<u2")
    item.add_new(0x00283002, "US", [4096, 0, 16])
    item.add_new(0x00283006, "OW", struct.pack("<4096H", *entries.tolist()))
    return {"VOILUTSequence": [item]}
