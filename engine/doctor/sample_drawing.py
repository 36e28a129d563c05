"""Draws the samples: `python -m cxrsweep.engine.doctor.sample_drawing FOLDER`.

The files are kept, not drawn anew at each install: a decoder is tested with files that another
build wrote.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrsweep.engine.doctor.samples import LIST, REFERENCES, SIDE, pixel_hash

Uint8 = NDArray[np.uint8]
# Grey of colour: ITU-R BT.601, as every decoder here has it.
WEIGHTS = (0.299, 0.587, 0.114)


def gradient() -> Uint8:
    """(32, 48) uint8: brighter to the right and down, with steps, a disc and one white corner.

    No two turns or flips of it are equal, so a decoder that turns it is noticed.
    """
    x, y = np.meshgrid(np.arange(SIDE[0]), np.arange(SIDE[1]))
    grey = 3 * x + 2 * y + 20 * (x // 8 % 2)
    grey[(x - 30) ** 2 + (y - 12) ** 2 < 60] //= 2
    grey[:4, :6] = 255
    return grey.astype(np.uint8)


def colours() -> Uint8:
    """(32, 48, 3) uint8: the gradient with a tint that moves from red to blue."""
    grey = gradient().astype(int)
    tint = np.linspace(-40, 40, SIDE[0]).round().astype(int)[None, :]
    channels = [np.clip(grey + change, 0, 255) for change in (-tint, np.zeros_like(tint), tint)]
    return np.stack(channels, -1).astype(np.uint8)


def pictures() -> list[tuple[str, str, Image.Image, dict[str, object], int]]:
    """Every sample: name, file, picture, how Pillow saves it, tolerance in grey levels."""
    grey, colour = Image.fromarray(gradient()), Image.fromarray(colours())
    translucent = colour.copy()
    translucent.putalpha(Image.fromarray(255 - gradient() // 2))
    # A grey palette out of order: a decoder that forgets the palette is noticed, exactly.
    order = np.random.default_rng(5).permutation(256)
    palette = Image.fromarray(np.argsort(order).astype(np.uint8)[gradient()]).convert("P")
    palette.putpalette(np.repeat(order.astype(np.uint8), 3).tobytes())
    return [
        ("JPEG grey", "grey.jpg", grey, {"quality": 90}, 2),
        ("JPEG colour 4:2:0", "colour.jpg", colour, {"quality": 90, "subsampling": "4:2:0"}, 2),
        ("JPEG progressive", "progressive.jpg", grey, {"quality": 90, "progressive": True}, 2),
        ("PNG grey", "grey.png", grey, {"optimize": True}, 0),
        ("PNG palette", "palette.png", palette, {"optimize": False}, 0),
        ("PNG RGBA", "translucent.png", translucent, {"optimize": True}, 2),
        ("BMP", "grey.bmp", grey, {}, 0),
        ("TIFF LZW", "grey.tif", grey, {"compression": "tiff_lzw"}, 0),
        ("WebP lossless", "grey.webp", grey, {"lossless": True}, 0),
    ]


def reference_of(picture: Image.Image, content: bytes) -> Uint8:
    """(32, 48) uint8 that a file must decode to: JPEG as Pillow decodes it, others as drawn."""
    with Image.open(io.BytesIO(content)) as image:
        if image.format == "JPEG":
            image.draft("L", None)  # the stored brightness, without a detour through RGB
            return np.asarray(image)
    if picture.mode == "RGBA":
        weighed = np.asarray(picture, float)[..., :3] @ WEIGHTS
        return weighed.round().astype(np.uint8)
    return gradient()


def draw(folder: Path) -> None:
    """Write every sample, their list and the references that need more than a hash."""
    references: dict[str, Uint8] = {}
    entries = []
    for name, file, picture, how, tolerance in pictures():
        picture.save(folder / file, **how)  # type: ignore[arg-type]
        reference = reference_of(picture, (folder / file).read_bytes())
        if tolerance:
            references[file] = reference
        entry = {"name": name, "file": file, "tolerance": tolerance}
        entries.append({**entry, "sha256": pixel_hash(reference)})
    np.savez_compressed(folder / REFERENCES, **references)  # type: ignore[arg-type]
    (folder / LIST).write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
