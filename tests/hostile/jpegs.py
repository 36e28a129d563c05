"""JPEG: sound ones of every kind, odd markers, damage, EXIF turns."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cv2
import imagecodecs
import numpy as np
from PIL import Image, ImageOps

from cxrsweep.engine.failures import FailureCode
from hostile.files import (
    COLOUR,
    DAMAGED,
    DEEP,
    GREY,
    TWELVE,
    HostileFile,
    by_opencv,
    cuts,
    damaged,
    flips,
    refused,
    saved,
    seen_by_pillow,
    sound,
    unknowable,
    windowed,
)
from hostile.rows import Row

BASELINE = saved(GREY, "JPEG", quality=92)
PROGRESSIVE = saved(GREY, "JPEG", quality=92, progressive=True)


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment with its length."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def with_segment(content: bytes, added: bytes) -> bytes:
    """Bytes put right after the start-of-image marker."""
    return content[:2] + added + content[2:]


def exif_block(orientation: int, order: str = "<") -> bytes:
    """An EXIF block (a TIFF structure) with an orientation and nothing else."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return head + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def exif_segment(orientation: int, order: str = "<") -> bytes:
    """An APP1 segment with an orientation."""
    return segment(0xE1, b"Exif\0\0" + exif_block(orientation, order))


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The picture as Pillow shows it for an orientation."""
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return np.array(ImageOps.exif_transpose(image))


def sound_jpegs() -> Iterator[HostileFile]:
    files = {
        "baseline": BASELINE,
        "progressive": PROGRESSIVE,
        "optimised": saved(GREY, "JPEG", optimize=True),
        "quality-1": saved(GREY, "JPEG", quality=1),
        "quality-100": saved(GREY, "JPEG", quality=100),
        "restart": by_opencv(".jpg", GREY, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        "restart-progressive": by_opencv(
            ".jpg", GREY, cv2.IMWRITE_JPEG_RST_INTERVAL, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1
        ),
        "rgb-444": saved(COLOUR, "JPEG", subsampling=0),
        "rgb-422": saved(COLOUR, "JPEG", subsampling=1),
        "rgb-420": saved(COLOUR, "JPEG", subsampling=2),
        "rgb-420-progressive": saved(COLOUR, "JPEG", subsampling=2, progressive=True),
        "rgb-restart": by_opencv(".jpg", COLOUR, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        "odd-size": saved(GREY[:37, :51].copy(), "JPEG"),
        "icc": saved(GREY, "JPEG", icc_profile=bytes(3000)),
        "fill-bytes": with_segment(BASELINE, b"\xff\xff\xff"),
        "rest-after-the-end": BASELINE + b"junk after the end" * 20,
        "second-picture-after-the-end": BASELINE + saved(255 - GREY, "JPEG"),
        "comment": with_segment(BASELINE, segment(0xFE, b"=cmd|' /C calc'!A0")),
        "all-app-markers": with_segment(
            BASELINE, b"".join(segment(0xE2 + n, bytes(30)) for n in range(12))
        ),
    }
    for name, content in files.items():
        yield sound(f"jpeg-{name}.jpg", content, Row.JPEG_SOUND, _seen(content))
    name = "jpeg-grey-as-most-are.jpg"
    yield sound(
        name, saved(GREY, "JPEG", quality=75), Row.KILLER_ANY_DATA, _seen(saved(GREY, "JPEG"))
    )
    for name, quality in (("cmyk", 90), ("cmyk-coarse", 40)):
        content = saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=quality)
        seen = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        yield sound(f"jpeg-{name}.jpg", content, Row.JPEG_CMYK, seen)


def _seen(content: bytes) -> np.ndarray:
    seen = seen_by_pillow(content)
    assert seen is not None
    return seen


def rare_processes() -> Iterator[HostileFile]:
    def deep(name: str, content: bytes, picture: np.ndarray) -> HostileFile:
        return sound(f"jpeg-{name}.jpg", content, Row.JPEG_DEEP, picture)

    twelve = bytes(imagecodecs.jpeg8_encode(TWELVE, 95, bitspersample=12))
    yield deep("12-bit", twelve, windowed(imagecodecs.jpeg8_decode(twelve)))
    for predictor in range(1, 8):
        content = imagecodecs.jpeg8_encode(GREY, lossless=True, predictor=predictor)
        yield deep(f"lossless-8-predictor-{predictor}", bytes(content), GREY)
    for bits, pixels in ((12, TWELVE), (16, DEEP)):
        content = imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits)
        yield deep(f"lossless-{bits}", bytes(content), windowed(pixels))
    # Every byte sequence is a sound arithmetic code: what it says, Pillow tells.
    data = np.random.default_rng(8).bytes(400).replace(b"\xff", b"\xfe")
    start, end = BASELINE.index(b"\xff\xc0"), BASELINE.index(b"\xff\xc4")
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    content = BASELINE[:start] + b"\xff\xc9" + BASELINE[start + 2 : end] + scan + data + b"\xff\xd9"
    picture = _seen(content)
    yield sound("jpeg-arithmetic.jpg", content, Row.JPEG_ARITHMETIC, picture)
    progressive = content.replace(b"\xff\xc9", b"\xff\xca")
    codes = (*DAMAGED, FailureCode.UNSUPPORTED, FailureCode.CONSTANT)
    yield unknowable("jpeg-arithmetic-progressive.jpg", progressive, Row.JPEG_ARITHMETIC, *codes)
    for number in (3, 5, 6, 7, 11, 13, 14, 15):
        other = BASELINE.replace(b"\xff\xc0", bytes([0xFF, 0xC0 + number]))
        name = f"jpeg-baseline-as-sof{number}.jpg"
        yield refused(name, other, Row.JPEG_DEEP, FailureCode.UNSUPPORTED, FailureCode.CORRUPT)


def odd_markers() -> Iterator[HostileFile]:
    sof = BASELINE.index(b"\xff\xc0")
    odd = {
        "junk-before-frame": BASELINE[:sof] + b"junk" + BASELINE[sof:],
        "zero-before-frame": BASELINE[:sof] + b"\0" + BASELINE[sof:],
        "stuffed-ff-before-frame": BASELINE[:sof] + b"\xff\0" + BASELINE[sof:],
        "app1-of-0": with_segment(BASELINE, segment(0xE1, b"")),
        "app1-of-1": with_segment(BASELINE, segment(0xE1, b"E")),
        "app1-of-4": with_segment(BASELINE, segment(0xE1, b"Exif")),
        "app1-of-6": with_segment(BASELINE, segment(0xE1, b"Exif\0\0")),
        "app0-of-0": with_segment(BASELINE, segment(0xE0, b"")),
        "app1-points-outside": with_segment(
            BASELINE, segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(8))
        ),
        "app1-counts-65535": with_segment(
            BASELINE, segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(20))
        ),
        "restart-marker-in-header": with_segment(BASELINE, b"\xff\xd3"),
        "start-twice": BASELINE[:2] + BASELINE,
        "end-at-start": with_segment(BASELINE, b"\xff\xd9"),
        "unknown-marker": with_segment(BASELINE, segment(0xF0, b"??")),
        "reserved-marker": with_segment(BASELINE, segment(0x02, b"??")),
    }
    for name, content in odd.items():
        yield damaged(f"jpeg-{name}.jpg", content, Row.JPEG_ODD_MARKERS, _seen(BASELINE))
    yield from _bad_headers(sof)


def _bad_headers(sof: int) -> Iterator[HostileFile]:
    def frame(name: str, offset: int, value: bytes) -> tuple[str, bytes]:
        at = sof + offset
        return name, BASELINE[:at] + value + BASELINE[at + len(value) :]

    length = len(segment(0, b"")) + 9  # marker, length, 6 bytes and 3 of one component
    bad = dict(
        [
            frame("no-height", 5, b"\0\0"),
            frame("no-width", 7, b"\0\0"),
            frame("no-bits", 4, b"\0"),
            frame("9-bits", 4, b"\x09"),
            frame("no-components", 9, b"\0"),
            frame("two-components", 9, b"\2"),
            frame("255-components", 9, b"\xff"),
            frame("no-sampling", 11, b"\0"),
            frame("sampling-15-by-15", 11, b"\xff"),
            frame("no-such-table", 12, b"\3"),
            frame("frame-of-length-0", 2, b"\0\0"),
            frame("frame-of-length-65535", 2, b"\xff\xff"),
        ]
    )
    bad["two-frames"] = BASELINE[:sof] + 2 * BASELINE[sof : sof + length] + BASELINE[sof + length :]
    bad["no-frame"] = BASELINE[:sof] + BASELINE[sof + length :]
    bad["only-markers"] = b"\xff\xd8\xff\xd9"
    bad["start-alone"] = b"\xff\xd8\xff"
    tables = BASELINE.index(b"\xff\xdb")
    size = 2 + int.from_bytes(BASELINE[tables + 2 : tables + 4], "big")
    bad["no-quantisation"] = BASELINE[:tables] + BASELINE[tables + size :]
    for name, content in bad.items():
        yield HostileFile(
            f"jpeg-{name}.jpg",
            content,
            Row.PARSE_STAGE,
            codes=frozenset({*DAMAGED, FailureCode.UNSUPPORTED, FailureCode.NOT_AN_IMAGE}),
            picture=seen_by_pillow(content),
        )


def damage() -> Iterator[HostileFile]:
    colour = saved(COLOUR, "JPEG", quality=90)
    for kind, content in (("baseline", BASELINE), ("progressive", PROGRESSIVE), ("rgb", colour)):
        for share, cut in cuts(content):
            name = f"jpeg-{kind}-cut-{share}.jpg"
            yield refused(name, cut, Row.TRUNCATED, FailureCode.TRUNCATED)
        start = content.index(b"\xff\xda") + 12
        for number, flipped in flips(content, 8, 1, start):
            name = f"jpeg-{kind}-flip-{number}.jpg"
            yield unknowable(name, flipped, Row.JPEG_FLIPS)
        half = len(content) // 2
        zeroed = content[:half] + bytes(len(content) - half)
        yield refused(f"jpeg-{kind}-zeroed.jpg", zeroed, Row.JPEG_ZEROED, *DAMAGED)
        ended = zeroed[:-2] + b"\xff\xd9"
        yield unknowable(f"jpeg-{kind}-zeroed-but-the-end.jpg", ended, Row.JPEG_ZEROED)
        lost = content[: start + (len(content) - start) // 2] + b"\xff\xd9"
        yield unknowable(f"jpeg-{kind}-rest-lost-but-the-end.jpg", lost, Row.JPEG_ZEROED)


def orientations() -> Iterator[HostileFile]:
    grey, colour = BASELINE, saved(COLOUR, "JPEG", quality=95)
    for orientation in range(1, 9):
        for kind, content in (("grey", grey), ("rgb", colour)):
            turned_file = with_segment(content, exif_segment(orientation))
            name = f"jpeg-{kind}-exif-{orientation}.jpg"
            picture = turned(_seen(content), orientation)
            yield sound(name, turned_file, Row.ORIENTATION, picture)
    big_endian = with_segment(grey, exif_segment(6, ">"))
    yield sound("jpeg-exif-6-mm.jpg", big_endian, Row.ORIENTATION, turned(_seen(grey), 6))
    for wrong in (0, 9, 65535):
        content = with_segment(grey, exif_segment(wrong))
        yield sound(f"jpeg-exif-{wrong}.jpg", content, Row.ORIENTATION, _seen(grey))
    for first, second in ((1, 6), (6, 1), (3, 8)):
        twice = with_segment(grey, exif_segment(first) + exif_segment(second))
        name = f"jpeg-exif-twice-{first}-{second}.jpg"
        yield sound(name, twice, Row.ORIENTATION_TWICE, turned(_seen(grey), first))
