"""Small files that ask for much memory or time."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np

from cxrsweep.engine.failures import FailureCode
from hostile.files import DAMAGED, GREY, HostileFile, by_opencv, refused, saved, unknowable
from hostile.jpeg2000s import jp2, segment_with
from hostile.jpegs import BASELINE, PROGRESSIVE
from hostile.pngs import chunk, ihdr
from hostile.rows import Row
from hostile.tiffs import COMPRESSION, LENGTH, ROWS_PER_STRIP, WIDTH, Page, page_of, tiff

SIDE = 100_000


def huge_headers() -> Iterator[HostileFile]:
    end = chunk(b"IEND", b"")
    few = chunk(b"IDAT", zlib.compress(b"few"))
    huge = {
        "png": ihdr(SIDE, SIDE, 8, 0) + few + end,
        "tiff": tiff(page_of(GREY, tags={WIDTH: (4, [SIDE]), LENGTH: (4, [SIDE])})),
        "bmp": _bmp_of(SIDE, SIDE),
        "j2k": segment_with(jp2(GREY, boxed=False), 6, struct.pack(">II", SIDE, SIDE)),
        "pgm": f"P5\n{SIDE} {SIDE}\n255\n".encode() + GREY.tobytes(),
    }
    for ending, content in huge.items():
        name = f"bomb-header-100000.{ending}"
        yield refused(name, content, Row.HUGE_HEADER, FailureCode.TOO_LARGE)
    most = ihdr(2**31 - 1, 2**31 - 1, 16, 6) + few + end
    yield refused("bomb-header-2-to-31.png", most, Row.HUGE_HEADER, FailureCode.TOO_LARGE)
    above = ihdr(2**32 - 1, 1, 8, 0) + few + end
    codes = (FailureCode.TOO_LARGE, FailureCode.CORRUPT)
    yield refused("bomb-header-2-to-32.png", above, Row.HUGE_HEADER, *codes)
    # Under the limit of pixels: the decoder is asked, and has to say that there are none.
    allowed = ihdr(9_000, 9_000, 8, 0) + few + end
    yield refused("bomb-header-9000.png", allowed, Row.HUGE_HEADER, *DAMAGED)


def _bmp_of(width: int, height: int) -> bytes:
    content = bytearray(by_opencv(".bmp", GREY))
    struct.pack_into("<ii", content, 18, width, height)
    return bytes(content)


def jpegs() -> Iterator[HostileFile]:
    for side in (30_000, 65_500):
        content = _jpeg_of(side)
        yield refused(f"bomb-{side}.jpg", content, Row.BOMB_JPEG, FailureCode.TOO_LARGE)
    # Libraries fill what is missing: the rest is grey, and only a few decoders say so.
    yield unknowable("bomb-6000.jpg", _jpeg_of(6_000), Row.BOMB_JPEG)
    start = PROGRESSIVE.rindex(b"\xff\xda")
    scan = PROGRESSIVE[start:-2]
    content = PROGRESSIVE[:-2] + scan * 1000 + b"\xff\xd9"
    yield refused("bomb-1000-scans.jpg", content, Row.BOMB_SCANS, FailureCode.TOO_LARGE)
    few = PROGRESSIVE[:-2] + scan * 20 + b"\xff\xd9"
    yield unknowable("bomb-20-scans.jpg", few, Row.BOMB_SCANS)
    frame = BASELINE.index(b"\xff\xc0")
    scan_start = BASELINE.index(b"\xff\xda")
    tables = BASELINE[frame:scan_start] * 50
    content = BASELINE[:frame] + tables + BASELINE[scan_start:]
    yield refused("bomb-50-frames.jpg", content, Row.BOMB_SCANS, FailureCode.CORRUPT)


def _jpeg_of(side: int) -> bytes:
    frame = BASELINE.index(b"\xff\xc0") + 5
    return BASELINE[:frame] + struct.pack(">HH", side, side) + BASELINE[frame + 4 :]


def whole_pictures() -> Iterator[HostileFile]:
    def rows(side: int) -> bytes:
        packer = zlib.compressobj(9)
        row = b"\0" + bytes(-(-side // 8))
        parts = [packer.compress(row * 100) for _ in range(side // 100)]
        return b"".join(parts) + packer.flush()

    end = chunk(b"IEND", b"")
    content = ihdr(30_000, 30_000, 1, 0) + chunk(b"IDAT", rows(30_000)) + end
    yield refused("bomb-30000.png", content, Row.BOMB_PNG, FailureCode.TOO_LARGE)
    allowed = ihdr(5_000, 5_000, 1, 0) + chunk(b"IDAT", rows(5_000)) + end
    yield refused("bomb-5000-black.png", allowed, Row.BOMB_PNG, FailureCode.CONSTANT)
    small = bytearray(saved(np.zeros((8, 8), np.uint8), "WEBP", lossless=True))
    at = small.index(b"VP8L") + 9
    # 14 bits of width less one, 14 of height less one; then a bit for alpha and three of version.
    sizes = 16382 | 16382 << 14 | (int.from_bytes(small[at : at + 4], "little") & 0xF0000000)
    small[at : at + 4] = sizes.to_bytes(4, "little")
    yield refused("bomb-16383.webp", bytes(small), Row.BOMB_WEBP, FailureCode.TOO_LARGE)
    yield from _streams(end)


def _streams(end: bytes) -> Iterator[HostileFile]:
    endless = zlib.compress(bytes(30_000_000), 9)
    content = ihdr(64, 48, 8, 0) + chunk(b"IDAT", endless) + end
    codes = DAMAGED | {FailureCode.CONSTANT}
    black = "bomb-stream-of-30-mb.png"
    yield HostileFile(black, content, Row.BOMB_STREAM, codes=codes)
    text = chunk(b"zTXt", b"a\0\0" + endless) + chunk(b"iCCP", b"a\0\0" + endless)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY)))
    content = ihdr(64, 48, 8, 0) + text + pixels + end
    yield HostileFile("bomb-text-of-30-mb.png", content, Row.BOMB_STREAM, GREY, DAMAGED)
    packed = {"deflate": (8, endless), "lzw": (5, bytes(imagecodecs.lzw_encode(bytes(3_000_000))))}
    for name, (number, strip) in packed.items():
        tags = {COMPRESSION: (3, [number]), ROWS_PER_STRIP: (4, [48])}
        content = tiff(Page(64, 48, [strip], tags))
        file = f"bomb-stream-{name}.tiff"
        yield HostileFile(file, content, Row.BOMB_STREAM, codes=codes)
    wide = tiff(Page(2**31 - 1, 1, [b"1"], {}))
    codes_of_wide = (FailureCode.TOO_LARGE, FailureCode.CORRUPT)
    yield refused("bomb-one-row-of-2-to-31.tiff", wide, Row.HUGE_HEADER, *codes_of_wide)
