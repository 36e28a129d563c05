"""PBM, PGM, PPM, PAM and PFM: numbers in rows, read by NumPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrsweep.engine.decode.formats.samples import grey_of
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Header
from cxrsweep.engine.gate.pnm_walk import PnmFacts, pnm_facts

_NUMBERS = re.compile(rb"[\s\d]*")
_COMMENT = re.compile(rb"#[^\r\n]*")


def decode(content: bytes, header: Header) -> NDArray[Any]:
    """Decode the first picture.

    Returns:
        (H, W): uint8 where white is up to 255, brought to the whole range; uint16 or float32
        as they are.

    Raises:
        Refused: CORRUPT, text that is not as many numbers as there are samples, or a sample
            brighter than white.
    """
    facts = pnm_facts(content)
    shape = (facts.height, facts.width, facts.channels)
    if facts.is_bitmap:
        return np.where(_bits(content, facts), np.uint8(0), np.uint8(255)).reshape(shape[:2])
    samples = _written(content, facts) if facts.is_plain else _stored(content, facts)
    samples = samples.reshape(shape)
    if facts.variant in "fF":
        return grey_of(samples[::-1], header.bits)  # the lowest row comes first
    if samples.max() > facts.brightest:
        raise Refused(FailureCode.CORRUPT, f"pnm of {samples.max()}, over {facts.brightest:g}")
    if facts.brightest > 255:
        return grey_of(samples.astype(np.uint16), header.bits)
    scaled = np.floor(np.arange(256) * 255 / facts.brightest + 0.5).clip(0, 255).astype(np.uint8)
    return grey_of(scaled[samples], 8)


def _stored(content: bytes, facts: PnmFacts) -> NDArray[Any]:
    if facts.variant in "fF":
        kind = "<f4" if facts.brightest < 0 else ">f4"
    else:
        kind = ">u2" if facts.brightest > 255 else "u1"
    count = facts.width * facts.height * facts.channels
    found = np.frombuffer(content, kind, count, facts.start)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def _bits(content: bytes, facts: PnmFacts) -> NDArray[Any]:
    """One for black."""
    if facts.is_plain:  # digits that need no gaps
        digits = np.frombuffer(content, np.uint8, offset=facts.start)
        found = digits[(digits == ord("0")) | (digits == ord("1"))] - ord("0")
        return _counted(found, facts)
    stride = (facts.width + 7) // 8
    packed = np.frombuffer(content, np.uint8, facts.stored_bytes, facts.start)
    return np.unpackbits(packed.reshape(facts.height, stride), axis=1)[:, : facts.width]


def _written(content: bytes, facts: PnmFacts) -> NDArray[Any]:
    """Numbers as text, comments left out; whatever follows the last that is needed is not read.

    What is larger than any white stays so, up to 65536.
    """
    found = _NUMBERS.match(_COMMENT.sub(b" ", content[facts.start :]))
    text = found[0].strip() if found else b""
    # NumPy takes no empty text; of a number that is too large it makes a large or a negative one.
    numbers = np.fromstring(text.decode(), np.int64, sep=" ") if text else np.empty(0, np.int64)
    numbers[numbers < 0] = 65536
    return _counted(numbers.clip(0, 65536), facts).astype(np.uint32)


def _counted(numbers: NDArray[Any], facts: PnmFacts) -> NDArray[Any]:
    count = facts.width * facts.height * facts.channels
    if len(numbers) < count:
        raise Refused(FailureCode.CORRUPT, f"pnm of {len(numbers)} numbers instead of {count}")
    return numbers[:count]
