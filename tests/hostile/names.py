"""Sound files with odd names: each is its own picture, so that none can stand for another."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from cxrsweep.engine.failures import FailureCode
from hostile.files import GREY, HostileFile, sound
from hostile.pngs import PLAIN, png
from hostile.rows import Row

NAMES = (
    "röntgen.png",
    "胸部X線.png",
    "грудь.png",
    "صدر.png",
    "🫁.png",
    "e\u0301-decomposed.png",
    "\u202egnp.right-to-left.png",
    "zero\u200bwidth.png",
    "new\nline.png",
    "carriage\rreturn.png",
    "tab\there.png",
    "\ttab-first.png",
    "escape\x1b[31mred.png",
    'quote".png',
    "apostrophe'.png",
    "'first.png",
    "comma,semicolon;.png",
    "=cmd|calc.png",
    "=1+1.png",
    "+1.png",
    "-1.png",
    "--include.png",
    "@sum.png",
    "space in the middle.png",
    " space-first.png",
    "space-last.png ",
    "back\\slash.png",
    "colon:colon::two.png",
    "percent%20.png",
    "brace-{000..003}.png",
    "star*question?[a-z].png",
    "dollar$HOME.png",
    "tilde~.png",
    "hash#fragment.png",
    "ampersand&amp;.png",
    "no-ending",
    "two.endings.tar.gz",
    "upper.PNG",
    "wrong-ending.dcm",
    "a" * 251 + ".png",
    "deep/" * 40 + "deep.png",
    "a.png.d/inside.png",
    "CON.png",
    os.fsdecode(b"caf\xe9.png"),
    os.fsdecode(b"\xff\xfe\x80.png"),
    os.fsdecode(b"mixed-\xc3\xa9-\xe9.png"),
    os.fsdecode(b"half-a-character-" + b"\xe2\x82.png"),
)


def odd_names() -> Iterator[HostileFile]:
    for number, name in enumerate(NAMES):
        picture = np.roll(GREY, number + 1, axis=1)
        yield sound(name, png(picture, 8, 0), Row.NAMES, picture)
    for name, content in ((".png", b"x"), ("=bad.png", b""), (os.fsdecode(b"\xe9.png"), b"text")):
        code = FailureCode.NOT_AN_IMAGE if content else FailureCode.EMPTY
        yield HostileFile(f"bad{name}", content, Row.NAMES, codes=frozenset({code}))
    for ending in ("jpg", "tiff", "dcm", "webp", "txt", "mp4"):
        name = f"a-png-as.{ending}"
        yield sound(name, PLAIN, Row.NAMES, GREY)
