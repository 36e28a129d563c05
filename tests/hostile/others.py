"""Formats that are rarely radiographs, and what is none at all."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator

import imagecodecs
import numpy as np
from PIL import Image

from cxrsweep.engine.failures import FailureCode
from hostile.files import (
    COLOUR,
    COLUMNS,
    GREY,
    ROWS,
    TWELVE,
    HostileFile,
    cuts,
    luminance,
    refused,
    saved,
    sound,
    windowed,
)
from hostile.jpegs import BASELINE
from hostile.pngs import PLAIN
from hostile.rows import Row

_NO_PICTURE = (FailureCode.NOT_AN_IMAGE, FailureCode.UNSUPPORTED)


def later_formats() -> Iterator[HostileFile]:
    def later(name: str, content: bytes, picture: np.ndarray) -> HostileFile:
        return sound(name, content, Row.OTHER_FORMATS, picture)

    yield later("gif-grey.gif", saved(GREY, "GIF"), GREY)
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    animated = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield later("gif-animated.gif", animated, GREY)
    avif = saved(COLOUR, "AVIF", quality=95)
    yield later("avif-rgb.avif", avif, _luminance_of(avif))
    yield later("jpegls-8.jls", bytes(imagecodecs.jpegls_encode(GREY)), GREY)
    twelve = bytes(imagecodecs.jpegls_encode(TWELVE))
    yield later("jpegls-12.jls", twelve, windowed(TWELVE))
    near = bytes(imagecodecs.jpegls_encode(GREY, level=2))
    yield later("jpegls-near.jls", near, imagecodecs.jpegls_decode(near))
    lossless = bytes(imagecodecs.jpegxl_encode(GREY, lossless=True))
    yield later("jxl-lossless.jxl", lossless, GREY)
    boxed = bytes(imagecodecs.jpegxl_encode(GREY, lossless=True, usecontainer=True))
    yield later("jxl-in-boxes.jxl", boxed, GREY)
    deep = bytes(imagecodecs.jpegxl_encode(TWELVE, lossless=True))
    yield later("jxl-16.jxl", deep, windowed(TWELVE))
    codes = (FailureCode.CORRUPT, FailureCode.TRUNCATED, FailureCode.NOT_AN_IMAGE)
    whole = {"gif": saved(GREY, "GIF"), "avif": avif, "jls": twelve, "jxl": lossless}
    for kind, content in whole.items():
        for share, cut in list(cuts(content))[:4]:
            name = f"{kind}-cut-{share}.{kind}"
            yield refused(name, cut, Row.TRUNCATED, *codes)


def _luminance_of(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.rint(luminance(np.array(image.convert("RGB"))))


def foreign_formats() -> Iterator[HostileFile]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.png"), PLAIN)
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a.png"), io.BytesIO())
    foreign = {
        "qoi.qoi": bytes(imagecodecs.qoi_encode(COLOUR)),
        "ico.ico": saved(Image.fromarray(GREY), "ICO"),
        "tga.tga": saved(GREY, "TGA"),
        "heif.heic": b"\0\0\0\x18ftypheic" + bytes(200),
        "psd.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 1, ROWS, COLUMNS, 8, 1),
        "svg.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>',
        "pdf.pdf": b"%PDF-1.7\n" + bytes(100),
        "jpeg-xr.jxr": bytes(imagecodecs.jpegxr_encode(GREY)),
        "nifti.nii": struct.pack("<i", 348) + bytes(344) + b"n+1\0" + bytes(GREY.size),
        "zip.png": zipped.getvalue(),
        "tar.png": tarred.getvalue(),
        "gzip.png": gzip.compress(PLAIN, mtime=0),
        "zstd.png": bytes(imagecodecs.zstd_encode(PLAIN)),
        "jpeg-xs.jxs": b"\xff\x10\xff\x50" + bytes(60),
    }
    for name, content in foreign.items():
        codes = (*_NO_PICTURE, FailureCode.CORRUPT)
        yield refused(f"foreign-{name}", content, Row.OTHER_FORMATS, *codes)


def no_pictures() -> Iterator[HostileFile]:
    generator = np.random.default_rng(13)
    texts = {
        "letter.jpg": b"Dear colleague,\nthe radiograph is attached.\n",
        "page.png": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "table.tiff": b"name,label\n1,2\n",
        "byte-order-mark.bmp": b"\xef\xbb\xbftext",
        "utf-16.webp": "text".encode("utf-16"),
        "git-lfs.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "one-byte.jpg": b"\xff",
        "two-bytes.jpg": b"\xff\xd8",
        "newline.png": b"\n",
        "zeros.jpg": bytes(5000),
        "ones.jpg": b"\xff" * 5000,
        "spaces.dcm": b" " * 5000,
        "nul.dcm": b"\0",
        "archive-listing.txt": b"a.png\nb.png\n",
        "shell.sh": b"#!/bin/sh\nrm -rf nothing\n",
        "pickle.pkl": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07builtins\x94.",
        "numpy.npy": b"\x93NUMPY\x01\0v\0{'descr': '|u1', 'fortran_order': False}",
        "elf.so": b"\x7fELF\x02\x01\x01" + bytes(200),
    }
    for name, content in texts.items():
        codes = (FailureCode.NOT_AN_IMAGE, FailureCode.TRUNCATED, FailureCode.CORRUPT)
        yield refused(f"no-image-{name}", content, Row.NOT_AN_IMAGE, *codes)
    for size in (7, 64, 1000, 20_000):
        content = b"\x11" + generator.bytes(size)
        name = f"no-image-rubbish-{size}.jpg"
        yield refused(name, content, Row.NOT_AN_IMAGE, FailureCode.NOT_AN_IMAGE)
    for ending in ("jpg", "png", "dcm"):
        name = f"no-image-empty.{ending}"
        yield refused(name, b"", Row.NOT_AN_IMAGE, FailureCode.EMPTY)
    magics = {
        "jpg": BASELINE[:3],
        "png": PLAIN[:8],
        "tiff": b"II*\0",
        "webp": b"RIFF\xff\0\0\0WEBP",
    }
    magics |= {"bmp": b"BM" + bytes(12) + b"\x28\0\0\0", "dcm": bytes(128) + b"DICM"}
    for ending, magic in magics.items():
        codes = (FailureCode.CORRUPT, FailureCode.TRUNCATED, FailureCode.NOT_AN_IMAGE)
        for word, content in (("alone", magic), ("and-rubbish", magic + generator.bytes(3000))):
            name = f"no-image-magic-{word}.{ending}"
            more = (FailureCode.TOO_LARGE, FailureCode.UNSUPPORTED, FailureCode.NO_PIXELS)
            yield refused(name, content, Row.NOT_AN_IMAGE, *codes, *more)
