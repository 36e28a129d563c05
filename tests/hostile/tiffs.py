"""TIFF: written tag by tag, every kind that is known to trouble a reader."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrsweep.engine.failures import FailureCode
from hostile.files import (
    BILEVEL,
    COLOUR,
    COLUMNS,
    DEEP,
    GREY,
    ROWS,
    HostileFile,
    by_opencv,
    cuts,
    flips,
    luminance,
    refused,
    saved,
    sound,
    unknowable,
    windowed,
)
from hostile.jpegs import turned
from hostile.rows import Row

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS = 256, 257, 258, 259, 262, 273
ORIENTATION, PER_PIXEL, ROWS_PER_STRIP, COUNTS, PLANAR, PREDICTOR = 274, 277, 278, 279, 284, 317
COLOUR_MAP, EXTRA, FORMAT = 320, 338, 339
_SIZES = {1: "B", 3: "H", 4: "I", 16: "Q"}

Tags = dict[int, tuple[int, list[int]]]


@dataclass
class Page:
    """One page: tags beside the usual ones, and its strips as they lie in the file."""

    width: int
    height: int
    strips: list[bytes]
    tags: Tags = field(default_factory=dict)

    def all_tags(self) -> Tags:
        """Type and values of every tag but the strips' offsets."""
        usual: Tags = {
            WIDTH: (4, [self.width]),
            LENGTH: (4, [self.height]),
            BITS: (3, [8]),
            COMPRESSION: (3, [1]),
            PHOTOMETRIC: (3, [1]),
            OFFSETS: (4, [0] * len(self.strips)),
            PER_PIXEL: (3, [1]),
            ROWS_PER_STRIP: (4, [-(-self.height // len(self.strips))]),
            COUNTS: (4, [len(strip) for strip in self.strips]),
        }
        return {**usual, **self.tags}


def tiff(*pages: Page, order: str = "<", loop: bool = False) -> bytes:
    """A TIFF; with `loop` the last directory is followed by the first."""
    content = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    link, first = 4, 0
    for page in pages:
        starts = []
        for strip in page.strips:
            starts.append(len(content))
            content += strip + bytes(len(strip) % 2)
        tags = page.all_tags()
        tags[OFFSETS] = (4, starts)
        entries = [_entry(content, tag, *tags[tag], order) for tag in sorted(tags)]
        struct.pack_into(f"{order}I", content, link, len(content))
        first = first or len(content)
        content += struct.pack(f"{order}H", len(entries)) + b"".join(entries)
        link = len(content)
        content += bytes(4)
    if loop:
        struct.pack_into(f"{order}I", content, link, first)
    return bytes(content)


def _entry(content: bytearray, tag: int, kind: int, values: list[int], order: str) -> bytes:
    packed = struct.pack(f"{order}{len(values)}{_SIZES[kind]}", *values)
    if len(packed) > 4:
        content += bytes(len(content) % 2)
        place = struct.pack(f"{order}I", len(content))
        content += packed
        packed = place
    return struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")


def bigtiff(pixels: NDArray[np.uint8]) -> bytes:
    """A BigTIFF of 8-bit grey."""
    tags = Page(pixels.shape[1], pixels.shape[0], [pixels.tobytes()]).all_tags()
    start = 16 + 8 + 20 * len(tags) + 8
    tags[OFFSETS] = (16, [start])
    entries = b"".join(
        struct.pack("<HHQ", tag, kind, 1)
        + struct.pack(f"<{_SIZES[kind]}", values[0]).ljust(8, b"\0")
        for tag, (kind, values) in sorted(tags.items())
    )
    head = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, len(tags))
    return head + entries + bytes(8) + pixels.tobytes()


def page_of(
    samples: NDArray[Any],
    bits: int | None = None,
    strips: int = 3,
    encode: Callable[[bytes], bytes] = bytes,
    tags: Tags | None = None,
    order: str = "<",
) -> Page:
    """A page of (H, W) or interleaved (H, W, C) samples, row after row."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    bits = bits or 8 * samples.itemsize
    rows = -(-height // strips)
    ordered = samples.astype(samples.dtype.newbyteorder(order))
    parts = [ordered[start : start + rows] for start in range(0, height, rows)]
    own: Tags = {BITS: (3, [bits] * channels), PER_PIXEL: (3, [channels])}
    if channels >= 3:
        own[PHOTOMETRIC] = (3, [2])
    encoded = [encode(_bits_of(part, bits)) for part in parts]
    return Page(width, height, encoded, {**own, **(tags or {})})


def _bits_of(samples: NDArray[Any], bits: int) -> bytes:
    if bits >= 8:
        return bytes(samples.tobytes())
    places = np.arange(bits - 1, -1, -1)
    rows = (samples.reshape(len(samples), -1)[..., None] >> places & 1).reshape(len(samples), -1)
    return np.packbits(rows, axis=1).tobytes()


COMPRESSIONS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "lzw": (5, lambda raw: bytes(imagecodecs.lzw_encode(raw))),
    "deflate": (8, zlib.compress),
    "old-deflate": (32946, zlib.compress),
    "packbits": (32773, lambda raw: bytes(imagecodecs.packbits_encode(raw))),
    "zstd": (50000, lambda raw: bytes(imagecodecs.zstd_encode(raw))),
}


def compressed(
    samples: NDArray[Any], name: str, tags: Tags | None = None, order: str = "<"
) -> Page:
    """A page in one of the compressions."""
    number, encode = COMPRESSIONS[name]
    own: Tags = {COMPRESSION: (3, [number]), **(tags or {})}
    return page_of(samples, encode=encode, tags=own, order=order)


def kinds() -> Iterator[HostileFile]:
    def known(name: str, content: bytes, picture: np.ndarray) -> HostileFile:
        return sound(f"tiff-{name}.tiff", content, Row.TIFF_KINDS, picture)

    for order, word in (("<", ""), (">", "-big-endian")):
        yield known(f"grey-8{word}", tiff(page_of(GREY), order=order), GREY)
        deep = tiff(page_of(DEEP, order=order), order=order)
        yield known(f"grey-16{word}", deep, windowed(DEEP))
        grey = np.rint(luminance(COLOUR))
        yield known(f"rgb-8{word}", tiff(page_of(COLOUR), order=order), grey)
        for name in COMPRESSIONS:
            page = compressed(GREY, name, order=order)
            yield _packed(f"{name}{word}", tiff(page, order=order), GREY)
            page = compressed(DEEP, name, order=order)
            yield _packed(f"{name}-16{word}", tiff(page, order=order), windowed(DEEP))
    inverted = tiff(page_of(255 - GREY, tags={PHOTOMETRIC: (3, [0])}))
    yield known("miniswhite", inverted, GREY)
    one = tiff(page_of(BILEVEL.astype(np.uint8), bits=1))
    yield known("1-bit", one, 255 * BILEVEL)
    fax = saved(Image.fromarray(BILEVEL), "TIFF", compression="group4")
    yield known("group-4", fax, 255 * BILEVEL)
    jpeg = saved(GREY, "TIFF", compression="jpeg", quality=95)
    yield known("jpeg", jpeg, np.array(_opened(jpeg)))
    yield known("one-strip", tiff(page_of(GREY, strips=1)), GREY)
    yield known("strip-per-row", tiff(page_of(GREY, strips=ROWS)), GREY)
    pages = tiff(page_of(GREY), page_of(255 - GREY), page_of(DEEP))
    yield known("three-pages", pages, GREY)
    difference = np.diff(GREY, axis=1, prepend=np.uint8(0)).astype(np.uint8)
    yield known("predictor", tiff(compressed(difference, "lzw", {PREDICTOR: (3, [2])})), GREY)
    yield known("by-opencv", by_opencv(".tiff", GREY), GREY)
    for orientation in range(1, 9):
        page = page_of(GREY, tags={ORIENTATION: (3, [orientation])})
        name = f"tiff-orientation-{orientation}.tiff"
        yield sound(name, tiff(page), Row.ORIENTATION, turned(GREY, orientation))
    both = np.stack([GREY, GREY[::-1]], -1)
    yield known("grey-alpha", tiff(page_of(both, tags={EXTRA: (3, [2])})), GREY)


def _packed(name: str, content: bytes, picture: np.ndarray) -> HostileFile:
    return sound(f"tiff-{name}.tiff", content, Row.TIFF_KINDS, picture)


def _opened(content: bytes) -> Image.Image:
    from io import BytesIO

    return Image.open(BytesIO(content)).convert("L")


def rare() -> Iterator[HostileFile]:
    def later(name: str, page: Page, picture: np.ndarray, row: Row = Row.TIFF_RARE) -> HostileFile:
        return sound(f"tiff-{name}.tiff", tiff(page), row, picture)

    signed: Tags = {FORMAT: (3, [2])}
    minus = DEEP.astype(np.int32) - 32768
    yield later("signed-8", page_of((GREY ^ 128).view(np.int8), tags=signed), GREY)
    yield later("signed-16", page_of(minus.astype(np.int16), tags=signed), windowed(minus))
    yield later("signed-32", page_of(minus * 1000, tags=signed), windowed(minus))
    yield later("unsigned-32", page_of(DEEP.astype(np.uint32) * 60000), windowed(DEEP))
    for bits in (2, 4):
        few = GREY >> 8 - bits
        full = few.astype(int) * 255 // ((1 << bits) - 1)
        yield later(f"{bits}-bits", page_of(few, bits=bits), full)
    floats: Tags = {FORMAT: (3, [3])}
    share = DEEP.astype(np.float32) / 65535
    yield later("float-32", page_of(share, tags=floats), windowed(share))
    yield later("float-64", page_of(share.astype(np.float64), tags=floats), windowed(share))
    yield later("float-hounsfield", page_of(share * 2000 - 1000, tags=floats), windowed(share))
    holes = share.copy()
    holes[3, 4], holes[5, 6] = np.nan, np.inf
    page = page_of(holes, tags=floats)
    yield unknowable("tiff-float-nan.tiff", tiff(page), Row.TIFF_RARE, FailureCode.UNSUPPORTED)
    lzma = page_of(GREY, encode=imagecodecs.lzma_encode, tags={COMPRESSION: (3, [34925])})
    yield later("lzma", lzma, GREY)
    planes = np.moveaxis(COLOUR, -1, 0)
    separate: Tags = {BITS: (3, [8] * 3), PER_PIXEL: (3, [3]), PHOTOMETRIC: (3, [2])}
    separate[PLANAR] = (3, [2])
    strips = [plane.tobytes() for plane in planes]
    page = Page(COLUMNS, ROWS, strips, {**separate, ROWS_PER_STRIP: (4, [ROWS])})
    yield later("planar-8", page, np.rint(luminance(COLOUR)), Row.TIFF_PLANAR)
    wide = planes.astype("<u2") * 257
    deep: Tags = {**separate, BITS: (3, [16] * 3), ROWS_PER_STRIP: (4, [ROWS])}
    page = Page(COLUMNS, ROWS, [plane.tobytes() for plane in wide], deep)
    yield later("planar-16", page, windowed(luminance(COLOUR)), Row.TIFF_PLANAR)
    big = HostileFile("tiff-bigtiff.tiff", bigtiff(GREY), Row.TIFF_KINDS, GREY)
    yield big
    yield from _odd_colours()
    yield from _longer_strips()


def _longer_strips() -> Iterator[HostileFile]:
    """Strips that go on below the picture, as some writers fill up the last one."""
    noise = np.random.default_rng(8).integers(0, 256, GREY.shape, np.uint8)
    below = np.concatenate([GREY, noise])
    for name, strips in (("filled-up", [below[:32], below[32:64]]), ("endless", [below])):
        packed = [zlib.compress(strip.tobytes()) for strip in strips]
        rows = min(len(strips[0]), ROWS)
        page = Page(COLUMNS, ROWS, packed, {COMPRESSION: (3, [8]), ROWS_PER_STRIP: (4, [rows])})
        yield sound(f"tiff-deflate-{name}.tiff", tiff(page), Row.TIFF_STREAM, GREY)


def _odd_colours() -> Iterator[HostileFile]:
    table = np.random.default_rng(3).integers(0, 256, (256, 3), np.uint8)
    colour_map: Tags = {
        COLOUR_MAP: (3, (table.T.astype(int) * 257).ravel().tolist()),
        PHOTOMETRIC: (3, [3]),
    }
    shown = np.rint(luminance(table[GREY]))
    page = page_of(GREY, tags=colour_map)
    yield sound("tiff-palette.tiff", tiff(page), Row.TIFF_KINDS, shown)
    both = np.stack([GREY, GREY[::-1]], -1)
    page = page_of(both, tags={**colour_map, EXTRA: (3, [2])})
    yield HostileFile(
        "tiff-palette-alpha.tiff",
        tiff(page),
        Row.TIFF_PLANAR,
        np.asarray(shown, np.uint8),
        frozenset({FailureCode.UNSUPPORTED, FailureCode.CORRUPT}),
    )
    inks = np.concatenate([255 - COLOUR, np.zeros((ROWS, COLUMNS, 1), np.uint8)], -1)
    for name, samples in (("cmyk-8", inks), ("cmyk-16", inks.astype(np.uint16) * 257)):
        page = page_of(samples, tags={PHOTOMETRIC: (3, [5])})
        yield HostileFile(
            f"tiff-{name}.tiff",
            tiff(page),
            Row.TIFF_RARE,
            np.asarray(np.rint(luminance(COLOUR)), np.uint8),
            frozenset({FailureCode.UNSUPPORTED}),
        )


def damage() -> Iterator[HostileFile]:
    whole = {name: tiff(compressed(GREY, name)) for name in ("lzw", "deflate", "packbits")}
    whole["plain"] = tiff(page_of(GREY))
    codes = (FailureCode.CORRUPT, FailureCode.TRUNCATED, FailureCode.NOT_AN_IMAGE)
    for kind, content in whole.items():
        for share, cut in cuts(content):
            name = f"tiff-{kind}-cut-{share}.tiff"
            # The last bytes say that no page follows: without them the picture is whole.
            is_whole = share in ("less-one", "99-percent")
            picture = GREY if is_whole else None
            yield HostileFile(name, cut, Row.TRUNCATED, picture, frozenset(codes))
    for kind in ("lzw", "deflate"):
        page = compressed(GREY, kind)
        end = 8 + sum(len(strip) for strip in page.strips)
        for number, flipped in flips(whole[kind][:end], 5, 4, 8):
            content = flipped + whole[kind][end:]
            yield unknowable(f"tiff-{kind}-flip-{number}.tiff", content, Row.TIFF_STREAM)
        rubbish = [np.random.default_rng(5).bytes(len(strip)) for strip in page.strips]
        content = tiff(Page(COLUMNS, ROWS, rubbish, page.tags))
        name = f"tiff-{kind}-rubbish.tiff"
        yield refused(name, content, Row.TIFF_STREAM, FailureCode.CORRUPT)
        half = [strip[: len(strip) // 2] for strip in page.strips]
        content = tiff(Page(COLUMNS, ROWS, half, page.tags))
        name = f"tiff-{kind}-half-strips.tiff"
        yield refused(name, content, Row.TIFF_STREAM, *codes)
    for number, flipped in flips(whole["plain"], 5, 6, 8 + GREY.size):
        yield unknowable(f"tiff-tags-flip-{number}.tiff", flipped, Row.FLIPS, *codes, *_ODD)
    yield from _wrong_tags()


_ODD = (FailureCode.UNSUPPORTED, FailureCode.CONSTANT, FailureCode.TOO_LARGE)


def _wrong_tags() -> Iterator[HostileFile]:
    wrong: dict[str, Tags] = {
        "compression-34999": {COMPRESSION: (3, [34999])},
        "compression-0": {COMPRESSION: (3, [0])},
        "no-width": {WIDTH: (4, [0])},
        "no-length": {LENGTH: (4, [0])},
        "0-bits": {BITS: (3, [0])},
        "9-bits": {BITS: (3, [9])},
        "65535-bits": {BITS: (3, [65535])},
        "no-samples": {PER_PIXEL: (3, [0])},
        "65535-samples": {PER_PIXEL: (3, [65535])},
        "strips-of-4-gb": {COUNTS: (4, [2**32 - 1] * 3)},
        "rows-per-strip-0": {ROWS_PER_STRIP: (4, [0])},
        "photometric-99": {PHOTOMETRIC: (3, [99])},
        "planar-9": {PLANAR: (3, [9])},
    }
    for name, tags in wrong.items():
        content = tiff(page_of(GREY, tags=tags))
        row = Row.TIFF_STREAM if "compression" in name else Row.PARSE_STAGE
        yield HostileFile(
            f"tiff-{name}.tiff",
            content,
            row,
            GREY,
            frozenset({FailureCode.CORRUPT, FailureCode.TRUNCATED, *_ODD}),
        )
    directory = int.from_bytes(tiff(page_of(GREY))[4:8], "little")
    for name, place in (("outside", 10**9), ("at-itself", 4), ("at-the-end", directory + 500)):
        content = tiff(page_of(GREY))
        content = content[:4] + struct.pack("<I", place) + content[8:]
        codes = (FailureCode.CORRUPT, FailureCode.TRUNCATED, FailureCode.UNSUPPORTED)
        yield refused(f"tiff-directory-{name}.tiff", content, Row.PARSE_STAGE, *codes)
    loops = {"loop-of-1": tiff(page_of(GREY), loop=True)}
    loops["loop-of-2"] = tiff(page_of(GREY), page_of(255 - GREY), loop=True)
    for name, content in loops.items():
        yield HostileFile(
            f"tiff-{name}.tiff",
            content,
            Row.TIFF_LOOP,
            GREY,
            frozenset({FailureCode.CORRUPT, FailureCode.UNSUPPORTED}),
        )
