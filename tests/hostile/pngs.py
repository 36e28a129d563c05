"""PNG: every legal kind, turns, checksums, damage."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.failures import FailureCode
from hostile.files import (
    BILEVEL,
    COLOUR,
    COLUMNS,
    DEEP,
    GREY,
    ROWS,
    TWELVE,
    HostileFile,
    cuts,
    flips,
    luminance,
    refused,
    saved,
    sound,
    windowed,
)
from hostile.jpegs import exif_block, turned
from hostile.rows import Row

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# First column, first row, step of columns and of rows of the seven passes, PNG 8.2.
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
AFTER_IHDR = 33


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """A chunk with its checksum, or with another one."""
    right = zlib.crc32(name + content)
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", right if checksum is None else checksum)
    )


def ihdr(width: int, height: int, bits: int, colour: int, interlace: int = 0) -> bytes:
    """Signature and header."""
    fields = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return SIGNATURE + chunk(b"IHDR", fields)


def packed(samples: NDArray[np.integer], bits: int) -> bytes:
    """Unfiltered rows of (H, W) or (H, W, C) samples: a filter byte, then the bits."""
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        octets = rows.astype(">u2").view(np.uint8).reshape(len(rows), -1)
    elif bits == 8:
        octets = rows.astype(np.uint8)
    else:
        places = np.arange(bits - 1, -1, -1)
        octets = np.packbits((rows[..., None] >> places & 1).reshape(len(rows), -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in octets)


def png(
    samples: NDArray[np.integer], bits: int, colour: int, before: bytes = b"", adam7: bool = False
) -> bytes:
    """A PNG written chunk by chunk; `before` comes between IHDR and IDAT."""
    height, width = samples.shape[:2]
    if adam7:
        passes = [samples[y::down, x::across] for x, y, across, down in ADAM7]
        body = b"".join(packed(part, bits) for part in passes if part.size)
    else:
        body = packed(samples, bits)
    data = chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return ihdr(width, height, bits, colour, int(adam7)) + before + data


PLAIN = png(GREY, 8, 0)


def kinds() -> Iterator[HostileFile]:
    def known(name: str, content: bytes, picture: np.ndarray) -> HostileFile:
        return sound(f"png-{name}.png", content, Row.PNG_KINDS, picture)

    for adam7 in (False, True):
        word = "-interlaced" if adam7 else ""
        for bits in (1, 2, 4, 8):
            few = GREY >> 8 - bits
            full = few.astype(int) * 255 // ((1 << bits) - 1)
            yield known(f"grey-{bits}{word}", png(few, bits, 0, adam7=adam7), full)
            yield known(f"palette-{bits}{word}", *_palette(few, bits, adam7))
        yield known(f"rgb-8{word}", png(COLOUR, 8, 2, adam7=adam7), np.rint(luminance(COLOUR)))
        wide = COLOUR.astype(np.uint16) * 257
        yield known(f"rgb-16{word}", png(wide, 16, 2, adam7=adam7), windowed(luminance(wide)))
        yield known(f"grey-16{word}", png(DEEP, 16, 0, adam7=adam7), windowed(DEEP))
        alpha = np.roll(GREY, 7, 1)[..., None]
        both = np.concatenate([GREY[..., None], alpha], -1)
        yield known(f"grey-alpha-8{word}", png(both, 8, 4, adam7=adam7), GREY)
        four = np.concatenate([COLOUR, alpha], -1)
        yield known(f"rgba-8{word}", png(four, 8, 6, adam7=adam7), np.rint(luminance(COLOUR)))
        deep_both = np.stack([DEEP, DEEP[::-1]], -1)
        yield known(f"grey-alpha-16{word}", png(deep_both, 16, 4, adam7=adam7), windowed(DEEP))
        deep_four = np.concatenate([wide, DEEP[..., None]], -1)
        picture = windowed(luminance(wide))
        yield known(f"rgba-16{word}", png(deep_four, 16, 6, adam7=adam7), picture)
    grey_hole = chunk(b"tRNS", struct.pack(">H", int(GREY[5, 5])))
    yield known("grey-trns", png(GREY, 8, 0, grey_hole), GREY)
    rgb_hole = chunk(b"tRNS", struct.pack(">HHH", *map(int, COLOUR[5, 5])))
    yield known("rgb-trns", png(COLOUR, 8, 2, rgb_hole), np.rint(luminance(COLOUR)))
    sheer = chunk(b"tRNS", bytes(range(256)))
    yield known("palette-trns", *_palette(GREY, 8, False, sheer))
    yield known("gamma", png(GREY, 8, 0, chunk(b"gAMA", struct.pack(">I", 22000))), GREY)
    yield known("by-pillow", saved(GREY, "PNG"), GREY)
    yield known("one-row", png(GREY[:1], 8, 0), GREY[:1])
    yield known("one-column", png(GREY[:, :1], 8, 0), GREY[:, :1])
    yield from _depths()


def _palette(
    samples: np.ndarray, bits: int, adam7: bool, after: bytes = b""
) -> tuple[bytes, np.ndarray]:
    table = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3), np.uint8)
    before = chunk(b"PLTE", table.tobytes()) + after
    return png(samples, bits, 3, before, adam7), np.rint(luminance(table[samples]))


def _depths() -> Iterator[HostileFile]:
    content = png(TWELVE, 16, 0)
    yield sound("png-12-bits-in-16.png", content, Row.DEPTH, windowed(TWELVE))
    low = (TWELVE >> 6).astype(np.uint16)
    yield sound("png-6-bits-in-16.png", png(low, 16, 0), Row.DEPTH, windowed(low))
    two = np.where(BILEVEL, 4000, 3000).astype(np.uint16)
    yield sound("png-two-values-in-16.png", png(two, 16, 0), Row.DEPTH, windowed(two))
    for value in (0, 128, 255):
        flat = np.full((ROWS, COLUMNS), value, np.uint8)
        name = f"png-constant-{value}.png"
        yield refused(name, png(flat, 8, 0), Row.CONSTANT, FailureCode.CONSTANT)
    for value in (0, 4095, 65535):
        deep = np.full((ROWS, COLUMNS), value, np.uint16)
        name = f"png-constant-16-bit-{value}.png"
        yield refused(name, png(deep, 16, 0), Row.CONSTANT, FailureCode.CONSTANT)


def turns_and_checksums() -> Iterator[HostileFile]:
    for orientation in range(1, 9):
        content = png(GREY, 8, 0, chunk(b"eXIf", exif_block(orientation)))
        name = f"png-exif-{orientation}.png"
        yield sound(name, content, Row.ORIENTATION, turned(GREY, orientation))
    bad = chunk(b"eXIf", exif_block(6), checksum=1)
    content = PLAIN[:AFTER_IHDR] + bad + PLAIN[AFTER_IHDR:]
    yield refused(
        "png-exif-6-bad-checksum.png", content, Row.ORIENTATION_TWICE, FailureCode.CORRUPT
    )
    for name, where in (
        ("header", AFTER_IHDR - 1),
        ("pixels", len(PLAIN) - 13),
        ("end", len(PLAIN) - 1),
    ):
        broken = bytearray(PLAIN)
        broken[where] ^= 255
        yield refused(
            f"png-bad-checksum-{name}.png", bytes(broken), Row.PNG_CHECKSUM, FailureCode.CORRUPT
        )
    for name in (b"tEXt", b"gAMA", b"zTXt", b"tIME", b"iCCP"):
        added = chunk(name, b"bytes of nothing", checksum=7)
        content = PLAIN[:AFTER_IHDR] + added + PLAIN[AFTER_IHDR:]
        word = f"png-bad-checksum-{name.decode()}.png"
        yield refused(word, content, Row.PNG_CHECKSUM, FailureCode.CORRUPT)
    for name in (b"tEXt", b"gAMA", b"iCCP", b"sPLT", b"pHYs", b"zzZz"):
        added = chunk(name, b"\xff\0\xff")
        content = PLAIN[:AFTER_IHDR] + added + PLAIN[AFTER_IHDR:]
        yield sound(f"png-odd-{name.decode()}.png", content, Row.PNG_CHECKSUM, GREY)
    lying = PLAIN[:AFTER_IHDR] + b"\xff\xff\xff\xf0eXIf" + exif_block(6) + PLAIN[AFTER_IHDR:]
    codes = (FailureCode.TRUNCATED, FailureCode.CORRUPT)
    yield refused("png-exif-declares-4-gb.png", lying, Row.CHUNK_OF_4_GB, *codes)


def damage() -> Iterator[HostileFile]:
    for kind, content in (("grey", PLAIN), ("rgb", png(COLOUR, 8, 2)), ("deep", png(DEEP, 16, 0))):
        for share, cut in cuts(content):
            codes = [FailureCode.TRUNCATED, FailureCode.CORRUPT, FailureCode.NOT_AN_IMAGE]
            name = f"png-{kind}-cut-{share}.png"
            # Less than its signature is no PNG yet.
            yield refused(name, cut, Row.TRUNCATED, *codes[: 3 if len(cut) < 8 else 1])
        for number, flipped in flips(content, 8, 2, AFTER_IHDR):
            name = f"png-{kind}-flip-{number}.png"
            yield refused(name, flipped, Row.FLIPS, FailureCode.CORRUPT, FailureCode.TRUNCATED)
    yield from _wrong_structure()


def _wrong_structure() -> Iterator[HostileFile]:
    body = zlib.compress(packed(GREY, 8))
    header, end = ihdr(COLUMNS, ROWS, 8, 0), chunk(b"IEND", b"")
    wrong = {
        "no-width": ihdr(0, ROWS, 8, 0) + PLAIN[AFTER_IHDR:],
        "no-height": ihdr(COLUMNS, 0, 8, 0) + PLAIN[AFTER_IHDR:],
        "3-bits": ihdr(COLUMNS, ROWS, 3, 0) + PLAIN[AFTER_IHDR:],
        "colour-type-5": ihdr(COLUMNS, ROWS, 8, 5) + PLAIN[AFTER_IHDR:],
        "interlace-7": ihdr(COLUMNS, ROWS, 8, 0, 7) + PLAIN[AFTER_IHDR:],
        "header-twice": header + header[8:] + PLAIN[AFTER_IHDR:],
        "no-header": SIGNATURE + PLAIN[AFTER_IHDR:],
        "no-pixels": header + end,
        "empty-pixels": header + chunk(b"IDAT", b"") + end,
        "half-of-the-rows": header + chunk(b"IDAT", zlib.compress(packed(GREY[:24], 8))) + end,
        "stream-cut": header + chunk(b"IDAT", body[: len(body) // 2]) + end,
        "stream-zeroed": header + chunk(b"IDAT", bytes(len(body))) + end,
        "no-such-filter": header + chunk(b"IDAT", zlib.compress(b"\x09" * 3120)) + end,
        "palette-missing": ihdr(COLUMNS, ROWS, 8, 3) + PLAIN[AFTER_IHDR:],
        "unknown-critical-chunk": header + chunk(b"ABCD", b"") + PLAIN[AFTER_IHDR:],
        "line-ends-changed": PLAIN.replace(b"\r\n", b"\n"),
    }
    for name, content in wrong.items():
        codes = (FailureCode.CORRUPT, FailureCode.TRUNCATED, FailureCode.NOT_AN_IMAGE)
        yield refused(f"png-{name}.png", content, Row.PARSE_STAGE, *codes)
    # Every byte of the stream is there, the checksum of the stream alone is wrong.
    content = header + chunk(b"IDAT", body[:-1] + bytes([body[-1] ^ 1])) + end
    yield HostileFile(
        "png-stream-checksum.png", content, Row.FLIPS, GREY, frozenset({FailureCode.CORRUPT})
    )
    outside = header + chunk(b"PLTE", bytes(30)) + PLAIN[AFTER_IHDR:]
    yield HostileFile(
        "png-grey-with-palette.png", outside, Row.PNG_KINDS, GREY, frozenset({FailureCode.CORRUPT})
    )
