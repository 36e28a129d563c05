"""Small files of every format for tests, written around pixels that a test knows."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

# (32, 40) of 3 x + 2 y + 40 ((x // 8 + y // 8) mod 2), quality 90: no library here writes these.
ARITHMETIC = {
    "sequential": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQ"
        "DQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/yQALCAAgACgBAREA/8wABgAQEAX/2gAIAQEAAD8A/wDtrJAu"
        "8QDJZrTUtPDeIGMcmW2ura9R/OCiqDh07/cU2ah+ViRGynsUajkybNER69Kh2E8ZM4QfUkrHRcNjFrjEKyrf"
        "ebg5TKbMUEPVqohw/9k="
    ),
    "progressive": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQ"
        "DQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/ygALCAAgACgBAREA/8wABAAQ/9oACAEBAAAAAf8A21qLOCZL"
        "1HJYh7qHDUeGT3hgJGVnnnbjQP/MAAQQBf/aAAgBAQABBQITkEDXWwKuXL8FET+hkWF3UeEQiEQiEQr/zAAE"
        "EAX/2gAIAQEABj8CsP/MAAQQBf/aAAgBAQABPyHVcdUh2uuM/9oACAEBAAAAEMXqYP/MAAQQBf/aAAgBAQAB"
        "PxCmMd3PGmDIzv/Z"
    ),
}


def arithmetic_jpeg(process: str) -> tuple[bytes, NDArray[np.uint8]]:
    """A JPEG with arithmetic coding, and the (32, 40) pixels that it was made of."""
    y, x = np.mgrid[:32, :40]
    pixels = 3 * x + 2 * y + 40 * ((x // 8 + y // 8) % 2)
    return base64.b64decode(ARITHMETIC[process]), pixels.astype(np.uint8)


def by_pillow(pixels: NDArray[Any] | Image.Image, file_format: str, **options: Any) -> bytes:
    """A file that Pillow writes."""
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def tinted(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): three different channels of one radiograph."""
    return np.stack([grey, 255 - grey // 2, np.roll(grey, 40, 1)], -1)


def pnm(mark: str, pixels: NDArray[Any], brightest: str) -> bytes:
    """A binary PGM, PPM or PFM with a comment."""
    height, width = pixels.shape[:2]
    comment = b"" if mark in ("Pf", "PF") else b"# a comment\n"
    words = f"{mark}\n".encode() + comment + f"{width} {height}\n{brightest}\n".encode()
    return words + pixels.tobytes()


def pam(pixels: NDArray[Any], brightest: int) -> bytes:
    """A PAM file of (H, W, C)."""
    height, width, channels = pixels.shape
    words = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {brightest}\n"
    return words.encode() + b"TUPLTYPE ANY\nENDHDR\n" + pixels.tobytes()


def exact_files(grey: NDArray[np.uint8]) -> dict[str, bytes]:
    """Files that hold the grey pixels without any loss."""
    codecs, text = imagecodecs, " ".join(map(str, grey.ravel())).encode()
    size = f"{grey.shape[1]} {grey.shape[0]}".encode()
    palette = Image.fromarray(255 - grey).convert("P")
    palette.putpalette(np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes())
    alpha = np.dstack([grey, 255 - grey])
    return {
        "jpeg2000 codestream": codecs.jpeg2k_encode(grey.copy(), codecformat="j2k"),
        "jpeg2000 boxed": codecs.jpeg2k_encode(grey.copy()),
        "jpeg2000 tiled": codecs.htj2k_encode(grey.copy(), tile=(128, 128)),
        "jpeg2000 alpha": codecs.jpeg2k_encode(alpha),
        "jpeg2000 signed": codecs.jpeg2k_encode((grey.astype(int) - 128).astype(np.int8)),
        "jpeg2000 high throughput": codecs.htj2k_encode(grey.copy()),
        "jpegls": codecs.jpegls_encode(grey.copy()),
        "jpegxl": codecs.jpegxl_encode(grey.copy(), lossless=True),
        "jpegxl boxed": codecs.jpegxl_encode(grey.copy(), lossless=True, usecontainer=True),
        "jpegxl alpha": codecs.jpegxl_encode(alpha, lossless=True),
        "jpeglossless": codecs.jpeg8_encode(grey.copy(), lossless=True, predictor=1),
        "avif": codecs.avif_encode(grey.copy(), level=100, pixelformat="400"),
        "gif": by_pillow(grey, "GIF", interlace=0),
        "gif interlaced": by_pillow(grey, "GIF", interlace=1),
        "gif transparent": by_pillow(grey, "GIF", transparency=int(grey[150, 130])),
        "gif palette": by_pillow(palette, "GIF"),
        "gif moving": by_pillow(
            grey, "GIF", save_all=True, append_images=[Image.fromarray(255 - grey)]
        ),
        "pnm P2": b"P2\n" + size + b"\n255\n" + text,
        "pnm P5": pnm("P5", grey, "255"),
        "pnm P7": pam(grey[..., None], 255),
        "pnm P7 alpha": pam(alpha, 255),
        **exact_tiffs(grey),
    }


def exact_tiffs(grey: NDArray[np.uint8]) -> dict[str, bytes]:
    """TIFFs that hold the grey pixels without any loss."""
    encode = imagecodecs.tiff_encode
    palette = Image.fromarray(255 - grey).convert("P")
    palette.putpalette(np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes())
    signed = (grey.astype(int) - 128).astype(np.int8)
    return {
        "tiff strips": encode(grey.copy(), rowsperstrip=7),
        "tiff tiles": encode(grey.copy(), tile=(64, 64), compression="deflate", predictor=True),
        "tiff big": encode(grey.copy(), bigtiff=True),
        "tiff big, big-endian": encode(grey.copy(), bigtiff=True, byteorder=">"),
        "tiff white is zero": encode(255 - grey, photometric="miniswhite"),
        "tiff signed": encode(signed.copy()),
        "tiff palette": by_pillow(palette, "TIFF"),
        "tiff alpha": by_pillow(Image.fromarray(np.dstack([grey, 255 - grey]), "LA"), "TIFF"),
        "tiff lzw": by_pillow(grey, "TIFF", compression="tiff_lzw"),
        "tiff zstd": by_pillow(grey, "TIFF", compression="zstd"),
        "tiff lzma": by_pillow(grey, "TIFF", compression="lzma"),
        "tiff packbits": by_pillow(grey, "TIFF", compression="packbits"),
        "tiff two pages": by_pillow(
            grey, "TIFF", save_all=True, append_images=[Image.fromarray(255 - grey)]
        ),
    }


def deep_files(deep: NDArray[np.uint16]) -> dict[str, bytes]:
    """Files of more than 8 bits that hold 12-bit pixels without any loss."""
    codecs, signed = imagecodecs, (deep.astype(int) - 2000).astype(np.int16)
    big_endian = deep.astype(">u2")
    return {
        "jpeg2000 12": codecs.jpeg2k_encode(deep.copy(), bitspersample=12),
        "jpeg2000 16 signed": codecs.jpeg2k_encode(signed.copy()),
        "jpeg2000 16 high throughput": codecs.htj2k_encode(deep.copy()),
        "jpegls 16": codecs.jpegls_encode(deep.copy()),
        "jpegxl 12": codecs.jpegxl_encode(deep.copy(), lossless=True, bitspersample=12),
        "jpegxl 16": codecs.jpegxl_encode(deep.copy(), lossless=True),
        "jpeglossless 12": codecs.jpeg8_encode(deep.copy(), lossless=True, bitspersample=12),
        "jpeglossless 16": codecs.jpeg8_encode(deep.copy(), lossless=True, bitspersample=16),
        "avif 12": codecs.avif_encode(deep.copy(), level=100, bitspersample=12, pixelformat="400"),
        "tiff 12": codecs.tiff_encode(deep.copy(), bitspersample=12),
        "tiff 16": codecs.tiff_encode(deep.copy(), byteorder=">"),
        "tiff 16 signed": codecs.tiff_encode(signed.copy()),
        "tiff 16 tiles": codecs.tiff_encode(deep.copy(), tile=(64, 64), compression="lzw"),
        "tiff 32": codecs.tiff_encode(deep.astype(np.uint32)),
        "tiff 32 float": codecs.tiff_encode(deep.astype(np.float32) / 7),
        "tiff 64 float": codecs.tiff_encode(deep.astype(np.float64) / 7),
        "pnm 12 P5": pnm("P5", big_endian, "4095"),
        "pnm 12 P7": pam(big_endian[..., None], 4095),
        "pnm 32 Pf little": pnm("Pf", np.ascontiguousarray(deep[::-1]).astype("<f4"), "-1.0"),
        "pnm 32 Pf big": pnm("Pf", np.ascontiguousarray(deep[::-1]).astype(">f4"), "1.0"),
    }
