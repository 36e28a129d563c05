"""What ends DALI's process: each file rebuilt from the description of what the parser does wrong.

All were tried in a fresh process, DALI 2.4 with nvImageCodec 0.9 on a CPU, grey output: SIGSEGV of
JPEG with a false frame larger than the true one and of PNG (only where DALI turns by EXIF), SIGABRT
and SIGSEGV of the TIFFs, SIGFPE of the bare JPEG 2000 without components. Not all die: a false
frame of 32 x 32 and orientations of 1 before 6 give a wrong picture, and in a JP2 box the missing
components are noticed. Of the sequence of JPEG 2000 mutants each alone only raises; together they
die of harm done to memory, so where depends on what else the process did. In a large process what
overruns by less than a megabyte may do its harm unseen.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from cxrsweep.bench.mutants import mutant
from cxrsweep.engine.failures import FailureCode
from hostile.files import DAMAGED, GREY, HostileFile, refused, saved, unknowable
from hostile.jpeg2000s import jp2, segment_with
from hostile.jpegs import BASELINE, exif_block, segment
from hostile.pngs import AFTER_IHDR, PLAIN, chunk
from hostile.rows import Row
from hostile.tiffs import compressed, page_of, tiff
from hostile.webps_and_bmps import GREYS_256, bmp

_WORDS = ("UNSUPPORTED", "TOO_LARGE", "NOT_AN_IMAGE", "EMPTY", "CONSTANT", "TOO_MUCH_MEMORY")
_ANY = (*DAMAGED, *map(FailureCode, _WORDS))
TEM_LENGTH = 0xFFFE  # what a parser takes for a length after TEM: the next marker, a comment's
HEAP_SEED, HEAP_FILES = 10, 60


def tem(width: int, height: int) -> bytes:
    """A JPEG with a frame header inside its comments, where a wrong length after TEM leads.

    Readers that know that TEM has no length skip two comments and find a sound JPEG after them.
    """
    first = segment(0xFE, bytes(59_998))
    landing = 4 + TEM_LENGTH  # TEM ends at byte 4
    false_frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\0"
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    before = bytes(landing - (4 + len(first) + 4))
    second = segment(0xFE, before + b"\xff\xc0" + false_frame + scan + bytes(50))
    return BASELINE[:2] + b"\xff\x01" + first + second + BASELINE[2:]


def exif_twice(first: int, second: int, after_pixels: bool = False) -> bytes:
    """A PNG with two orientations, the second before or after the pixels."""
    one, two = (chunk(b"eXIf", exif_block(turn)) for turn in (first, second))
    if after_pixels:
        return PLAIN[:AFTER_IHDR] + one + PLAIN[AFTER_IHDR:-12] + two + PLAIN[-12:]
    return PLAIN[:AFTER_IHDR] + one + two + PLAIN[AFTER_IHDR:]


def size_twice(content: bytes, tag: int, value: int, *, first: bool = False) -> bytes:
    """A little-endian TIFF whose directory holds a tag twice, the added one first or second."""
    start = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[start : start + 2], "little")
    entries = [content[start + 2 + 12 * n : start + 14 + 12 * n] for n in range(count)]
    place = next(n for n, entry in enumerate(entries) if int.from_bytes(entry[:2], "little") == tag)
    entries.insert(place + (not first), struct.pack("<HHII", tag, 4, 1, value))
    content += bytes(len(content) % 2)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return content[:4] + struct.pack("<I", len(content)) + content[8:] + directory


def _large(channels: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, 255, (300, 400, channels), np.uint8).squeeze()


def large_tiffs() -> dict[str, bytes]:
    """TIFFs that DALI leaves to its second reader, large enough to overrun more than padding."""
    alpha = tiff(page_of(_large(2), tags={338: (3, [2])}))
    inks = tiff(page_of(_large(4), tags={262: (3, [5])}))
    made = {}
    for tag, word in ((256, "width"), (257, "length")):
        for value in (8, 64):
            made[f"tiff-{word}-twice-{value}-alpha.tiff"] = size_twice(alpha, tag, value)
            made[f"tiff-{word}-twice-{value}-cmyk.tiff"] = size_twice(inks, tag, value)
    lzw = tiff(compressed(_large(1), "lzw"))
    made["tiff-width-twice-5000-lzw.tiff"] = size_twice(lzw, 256, 5000, first=True)
    return made


def heap_sequence(seed: int = HEAP_SEED) -> list[bytes]:
    """JPEG 2000 mutants that do harm to memory when one process decodes them all."""
    originals = [jp2(GREY, boxed=False), jp2(GREY)]
    generator = np.random.default_rng(seed)
    return [mutant(originals[number % 2], generator) for number in range(HEAP_FILES)]


def named_killers() -> Iterator[HostileFile]:
    sides = ((32, 32), (512, 512), (2048, 2048), (8000, 8000), (20_000, 20_000))
    for width, height in sides:
        name = f"killer-jpeg-tem-{width}.jpg"
        yield refused(name, tem(width, height), Row.KILLER_JPEG_TEM, FailureCode.CORRUPT)
    for first, second in ((6, 1), (1, 6), (8, 1)):
        for word, is_after in (("", False), ("-after-pixels", True)):
            name = f"killer-png-exif-{first}-{second}{word}.png"
            content = exif_twice(first, second, is_after)
            yield refused(name, content, Row.KILLER_PNG_EXIF, FailureCode.CORRUPT)
    for name, content in large_tiffs().items():
        codes = (*DAMAGED, FailureCode.UNSUPPORTED)
        yield unknowable(f"killer-{name}", content, Row.KILLER_TIFF_SIZE, *codes)
    for ending, content in (("j2k", jp2(GREY, boxed=False)), ("jp2", jp2(GREY))):
        none = segment_with(content, 38, b"\0\0")
        codes = (*DAMAGED, FailureCode.UNSUPPORTED)
        yield refused(f"killer-no-components.{ending}", none, Row.KILLER_J2K_COMPONENTS, *codes)
    for number, content in enumerate(heap_sequence()):
        ending = ("j2k", "jp2")[number % 2]
        name = f"killer-heap-{number:02d}.{ending}"
        yield unknowable(name, content, Row.KILLER_J2K_HEAP, *_ANY)


def random_mutants() -> Iterator[HostileFile]:
    generator = np.random.default_rng(21)
    originals = {
        "jpg": (BASELINE, Row.MUTANT_JPEG),
        "png": (PLAIN, Row.MUTANT_PNG),
        "tiff": (tiff(compressed(GREY, "lzw")), Row.MUTANT_TIFF),
        "jp2": (jp2(GREY), Row.MUTANT_J2K),
        "webp": (saved(GREY, "WEBP", lossless=True), Row.MUTANT_WEBP),
        "bmp": (bmp(8, GREY[::-1].tobytes(), GREYS_256), Row.MUTANT_BMP),
        "pgm": (b"P5\n64 48\n255\n" + GREY.tobytes(), Row.MUTANT_PNM),
    }
    for ending, (content, row) in originals.items():
        for number in range(8):
            name = f"mutant-{number:02d}.{ending}"
            yield unknowable(name, mutant(content, generator), row, *_ANY)
