"""JPEG 2000: depths, signs, tiles, damage."""

from __future__ import annotations

from collections.abc import Iterator

import imagecodecs
import numpy as np

from cxrsweep.engine.failures import FailureCode
from hostile.files import (
    COLOUR,
    DAMAGED,
    DEEP,
    GREY,
    TWELVE,
    HostileFile,
    cuts,
    flips,
    luminance,
    refused,
    saved,
    sound,
    unknowable,
    windowed,
)
from hostile.rows import Row

SIZE_SEGMENT = b"\xff\x51"


def jp2(
    pixels: np.ndarray, bits: int | None = None, boxed: bool = True, **options: object
) -> bytes:
    """A lossless JPEG 2000, in boxes or a bare codestream."""
    kind = "JP2" if boxed else "J2K"
    chosen = {"reversible": True, **options}
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat=kind, bitspersample=bits, **chosen))


def segment_with(content: bytes, offset: int, value: bytes) -> bytes:
    """A codestream with other bytes in its image-size segment, `offset` after the marker."""
    at = content.index(SIZE_SEGMENT) + offset
    return content[:at] + value + content[at + len(value) :]


def kinds() -> Iterator[HostileFile]:
    def known(
        name: str, content: bytes, picture: np.ndarray, row: Row = Row.J2K_KINDS
    ) -> HostileFile:
        return sound(f"j2k-{name}", content, row, picture)

    ten = (TWELVE >> 2).astype(np.uint16)
    for boxed, ending in ((True, ".jp2"), (False, ".j2k")):
        yield known(f"8{ending}", jp2(GREY, boxed=boxed), GREY)
        rest = b"\0\0\1\x2cuuid" + bytes(292)  # a box of 300 bytes
        yield known(f"rest-after-the-end{ending}", jp2(GREY, boxed=boxed) + rest, GREY)
        yield known(f"10{ending}", jp2(ten, 10, boxed), windowed(ten))
        yield known(f"12{ending}", jp2(TWELVE, 12, boxed), windowed(TWELVE))
        yield known(f"16{ending}", jp2(DEEP, 16, boxed), windowed(DEEP))
        yield known(f"rgb{ending}", jp2(COLOUR, boxed=boxed), np.rint(luminance(COLOUR)))
        tiled = saved(GREY, "JPEG2000", tile_size=(16, 16), no_jp2=not boxed)
        yield known(f"tiled{ending}", tiled, GREY)
        lossy = jp2(GREY, boxed=boxed, reversible=False, level=40)
        yield known(f"lossy{ending}", lossy, imagecodecs.jpeg2k_decode(lossy))
        minus = (DEEP.astype(np.int32) - 32768).astype(np.int16)
        yield known(f"signed-16{ending}", jp2(minus, 16, boxed), windowed(minus), Row.J2K_SIGNED)
    few = (GREY ^ 128).view(np.int8)
    # Eight signed bits may be shown as they are, shifted by half, or windowed.
    content = jp2(few, 8)
    yield unknowable("j2k-signed-8.jp2", content, Row.J2K_SIGNED, FailureCode.UNSUPPORTED)
    ht = bytes(imagecodecs.htj2k_encode(GREY, reversible=True))
    yield known("htj2k-8.j2k", ht, GREY)
    deep = bytes(imagecodecs.htj2k_encode(TWELVE, reversible=True))
    yield known("htj2k-12-in-16.j2k", deep, windowed(TWELVE))


def damage() -> Iterator[HostileFile]:
    for boxed, ending in ((True, "jp2"), (False, "j2k")):
        content = jp2(GREY, boxed=boxed)
        codes = (*DAMAGED, FailureCode.NOT_AN_IMAGE)
        for share, cut in cuts(content):
            yield refused(f"j2k-cut-{share}.{ending}", cut, Row.TRUNCATED, *codes)
        start = content.index(b"\xff\x93")
        for number, flipped in flips(content, 8, 9, start):
            name = f"j2k-flip-{number}.{ending}"
            codes = (*DAMAGED, FailureCode.CONSTANT, FailureCode.UNSUPPORTED)
            yield unknowable(name, flipped, Row.J2K_FLIPS, *codes)
    bare = jp2(GREY, boxed=False)
    wrong = {
        "no-width": segment_with(bare, 6, bytes(4)),
        "no-height": segment_with(bare, 10, bytes(4)),
        "2-to-the-32": segment_with(bare, 6, b"\xff" * 8),
        "offset-beyond": segment_with(bare, 14, b"\0\0\xff\xff"),
        "no-tile-width": segment_with(bare, 22, bytes(4)),
        "16384-components": segment_with(bare, 38, b"\x40\0"),
        "two-components-of-one": segment_with(bare, 38, b"\0\2"),
        "128-bits": segment_with(bare, 40, b"\x7f"),
        "no-sampling": segment_with(bare, 41, b"\0"),
        "only-the-start": bare[:4],
    }
    for name, content in wrong.items():
        codes = (*DAMAGED, FailureCode.UNSUPPORTED, FailureCode.TOO_LARGE)
        yield refused(f"j2k-{name}.j2k", content, Row.PARSE_STAGE, *codes)
