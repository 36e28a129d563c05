"""WebP, BMP and PNM: every kind, and damage."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from cxrsweep.engine.failures import FailureCode
from hostile.files import (
    BILEVEL,
    COLOUR,
    COLUMNS,
    DAMAGED,
    GREY,
    ROWS,
    TWELVE,
    HostileFile,
    cuts,
    flips,
    luminance,
    refused,
    saved,
    seen_by_pillow,
    sound,
    unknowable,
    windowed,
)
from hostile.jpegs import exif_block, turned
from hostile.rows import Row

_ODD = (FailureCode.UNSUPPORTED, FailureCode.CONSTANT, FailureCode.TOO_LARGE)


def webps() -> Iterator[HostileFile]:
    def known(
        name: str, content: bytes, picture: np.ndarray, row: Row = Row.WEBP_KINDS
    ) -> HostileFile:
        return sound(f"webp-{name}.webp", content, row, picture)

    grey = saved(GREY, "WEBP", lossless=True)
    yield known("lossless-grey", grey, GREY)
    colour = saved(COLOUR, "WEBP", lossless=True)
    yield known("lossless-rgb", colour, np.rint(luminance(COLOUR)))
    for quality in (10, 95):
        content = saved(COLOUR, "WEBP", quality=quality)
        with Image.open(BytesIO(content)) as image:
            shown = np.rint(luminance(np.array(image.convert("RGB"))))
        yield known(f"lossy-{quality}", content, shown)
    alpha = np.concatenate([COLOUR, np.full((ROWS, COLUMNS, 1), 200, np.uint8)], -1)
    content = saved(alpha, "WEBP", lossless=True, exact=True)
    yield known("alpha", content, np.rint(luminance(COLOUR)))
    for orientation in range(1, 9):
        exif = b"Exif\0\0" + exif_block(orientation)
        content = saved(GREY, "WEBP", lossless=True, exif=exif)
        picture = turned(GREY, orientation)
        yield known(f"exif-{orientation}", content, picture, Row.ORIENTATION)
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    content = saved(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    yield known("animated", content, GREY)
    riff = saved(GREY, "WEBP", lossless=True, exif=b"Exif\0\0" + exif_block(1))
    at = riff.index(b"EXIF") + 4
    lying = riff[:at] + b"\xf0\xff\xff\xff" + riff[at + 4 :]
    yield HostileFile("webp-exif-declares-4-gb.webp", lying, Row.CHUNK_OF_4_GB, GREY, DAMAGED)
    for share, cut in cuts(grey):
        codes = (*DAMAGED, FailureCode.NOT_AN_IMAGE)
        yield refused(f"webp-cut-{share}.webp", cut, Row.TRUNCATED, *codes)
    for number, flipped in flips(saved(COLOUR, "WEBP", quality=90), 10, 11, 12):
        codes = (*DAMAGED, *_ODD)
        yield unknowable(f"webp-flip-{number}.webp", flipped, Row.FLIPS, *codes)
    small = grey[:4] + struct.pack("<I", 4) + grey[8:]
    yield HostileFile("webp-declares-4-bytes.webp", small, Row.PARSE_STAGE, GREY, DAMAGED)


def bmp(
    bits: int, rows: bytes, palette: bytes = b"", compression: int = 0, masks: bytes = b""
) -> bytes:
    """A BMP of 64 x 48 with a header of 40 bytes."""
    start = 14 + 40 + len(masks) + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    fields = (40, COLUMNS, ROWS, 1, bits, compression, len(rows), 2835, 2835, len(palette) // 4, 0)
    return head + struct.pack("<IiiHHIIiiII", *fields) + masks + palette + rows


def _runs(samples: np.ndarray, bits: int) -> bytes:
    """RLE8 or RLE4 in runs of two pixels, last row first."""
    code = bytearray()
    for row in samples[::-1]:
        for one, two in row.reshape(-1, 2).tolist():
            code += bytes([2, one << 4 | two]) if bits == 4 else bytes([1, one, 1, two])
        code += b"\0\0"
    return bytes(code[:-2]) + b"\0\1"


GREYS_256 = b"".join(bytes([n, n, n, 0]) for n in range(256))
GREYS_16 = b"".join(bytes([17 * n] * 3 + [0]) for n in range(16))


def bmps() -> Iterator[HostileFile]:
    few, upside_down = GREY >> 4, GREY[::-1]
    blue_first = COLOUR[::-1, :, ::-1]
    padded = np.concatenate([blue_first, np.zeros((ROWS, COLUMNS, 1), np.uint8)], -1)
    nibbles = (few[::-1, ::2] << 4 | few[::-1, 1::2]).astype(np.uint8)
    fives = (COLOUR[::-1] >> 3).astype(np.uint16)
    words = fives[..., 0] << 10 | fives[..., 1] << 5 | fives[..., 2]
    eight = bmp(8, upside_down.tobytes(), GREYS_256)
    bits = np.packbits(BILEVEL[::-1], axis=1)
    grey = np.rint(luminance(COLOUR))
    files: dict[str, tuple[bytes, np.ndarray, Row]] = {
        "1-bit": (bmp(1, bits.tobytes(), b"\0\0\0\0\xff\xff\xff\0"), 255 * BILEVEL, Row.BMP_KINDS),
        "8-bit": (eight, GREY, Row.BMP_KINDS),
        "24-bit": (bmp(24, blue_first.tobytes()), grey, Row.BMP_KINDS),
        "32-bit": (bmp(32, padded.tobytes()), grey, Row.BMP_KINDS),
        "rle8": (bmp(8, _runs(GREY, 8), GREYS_256, 1), GREY, Row.BMP_KINDS),
        "4-bit": (bmp(4, nibbles.tobytes(), GREYS_16), 17 * few, Row.BMP_KINDS),
        "rle4": (bmp(4, _runs(few, 4), GREYS_16, 2), 17 * few, Row.BMP_RARE),
        "5-5-5": (bmp(16, words.astype("<u2").tobytes()), grey, Row.BMP_RARE),
    }
    for name, (content, picture, row) in files.items():
        if name == "5-5-5":  # readers fill the low three bits in their own ways: up to 7 levels
            yield unknowable(f"bmp-{name}.bmp", content, row, FailureCode.UNSUPPORTED)
        else:
            yield sound(f"bmp-{name}.bmp", content, row, picture)
    top_down = eight[:22] + struct.pack("<i", -ROWS) + eight[26:]
    yield sound("bmp-top-down.bmp", top_down, Row.BMP_KINDS, GREY[::-1])
    for share, cut in cuts(eight):
        codes = (*DAMAGED, FailureCode.NOT_AN_IMAGE)
        yield refused(f"bmp-cut-{share}.bmp", cut, Row.TRUNCATED, *codes)
    for number, flipped in flips(eight[: 54 + 1024], 8, 12, 14):
        content = flipped + eight[54 + 1024 :]
        codes = (*DAMAGED, *_ODD, FailureCode.NOT_AN_IMAGE)
        yield unknowable(f"bmp-flip-{number}.bmp", content, Row.FLIPS, *codes)
    for name, field, value in (
        ("no-width", 18, 0),
        ("minus-width", 18, -COLUMNS),
        ("no-height", 22, 0),
    ):
        content = eight[:field] + struct.pack("<i", value) + eight[field + 4 :]
        codes = (*DAMAGED, FailureCode.UNSUPPORTED, FailureCode.TOO_LARGE)
        yield refused(f"bmp-{name}.bmp", content, Row.PARSE_STAGE, *codes)
    endless = bmp(8, b"\xff\0" * 9000, GREYS_256, 1)
    yield HostileFile(
        "bmp-rle-runs-over.bmp",
        endless,
        Row.BMP_KINDS,
        seen_by_pillow(endless),
        DAMAGED | {FailureCode.CONSTANT},
    )


def pnms() -> Iterator[HostileFile]:
    def words(samples: np.ndarray) -> bytes:
        return " ".join(map(str, samples.ravel().tolist())).encode()

    size = f"{COLUMNS} {ROWS}\n".encode()
    deep = TWELVE.astype(">u2").tobytes()
    grey = np.rint(luminance(COLOUR))
    ink = ~BILEVEL  # in bitmaps 1 is black
    pam = f"WIDTH {COLUMNS}\nHEIGHT {ROWS}\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n"
    files: dict[str, tuple[bytes, np.ndarray]] = {
        "p1.pbm": (b"P1\n" + size + words(ink.astype(int)), 255 * BILEVEL),
        "p2.pgm": (b"P2\n" + size + b"255\n" + words(GREY), GREY),
        "p3.ppm": (b"P3\n" + size + b"255\n" + words(COLOUR), grey),
        "p4.pbm": (b"P4\n" + size + np.packbits(ink, axis=1).tobytes(), 255 * BILEVEL),
        "p5.pgm": (b"P5\n" + size + b"255\n" + GREY.tobytes(), GREY),
        "p5-12-bit.pgm": (b"P5\n" + size + b"4095\n" + deep, windowed(TWELVE)),
        "p6.ppm": (b"P6\n" + size + b"255\n" + COLOUR.tobytes(), grey),
        "p5-with-comments.pgm": (
            b"P5\n# a comment\n" + size + b"# another\n255\n" + GREY.tobytes(),
            GREY,
        ),
        "pam.pam": (b"P7\n" + pam.encode() + GREY.tobytes(), GREY),
        # PFM has its last row first.
        "pfm.pfm": (
            b"Pf\n" + size + b"-1.0\n" + GREY[::-1].astype("<f4").tobytes(),
            windowed(GREY),
        ),
    }
    for name, (content, picture) in files.items():
        yield sound(f"pnm-{name}", content, Row.PNM_KINDS, picture)
    whole = files["p5.pgm"][0]
    for share, cut in cuts(whole):
        codes = (*DAMAGED, FailureCode.NOT_AN_IMAGE)
        yield refused(f"pnm-cut-{share}.pgm", cut, Row.TRUNCATED, *codes)
    for name, head in (
        ("no-size", b"P5\n\n255\n"),
        ("minus-size", b"P5\n-64 48\n255\n"),
        ("no-greatest", b"P5\n64 48\n0\n"),
        ("greatest-99999", b"P5\n64 48\n99999\n"),
        ("endless-number", b"P5\n" + b"9" * 5000),
    ):
        codes = (*DAMAGED, FailureCode.NOT_AN_IMAGE, FailureCode.TOO_LARGE, FailureCode.UNSUPPORTED)
        yield refused(f"pnm-{name}.pgm", head + GREY.tobytes(), Row.PARSE_STAGE, *codes)
