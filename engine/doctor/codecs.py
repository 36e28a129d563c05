"""Decodes the samples with every decoder that a sweep uses, and compares the pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from cxrsweep.engine.decode.fast_lane import is_fast
from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.doctor.checks import REINSTALL, Check, Need, one_line
from cxrsweep.engine.doctor.samples import Sample, pixel_hash, samples
from cxrsweep.engine.failures import Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits

LOOK_AT_GPU = "unset CUDA_VISIBLE_DEVICES; nvidia-smi"

Decode = Callable[[bytes], NDArray[np.uint8]]


def codec_checks(*, has_gpu: bool) -> list[Check]:
    """One line for each sample and decoder: DALI for JPEG and PNG, the careful way for all."""
    checks = []
    for sample in samples():
        if is_jpeg_or_png(sample):
            checks.append(codec_check("DALI", sample, decoded_on_cpu, "cpu"))
            if has_gpu:
                checks.append(codec_check("DALI on the GPU", sample, decoded_on_gpu, "gpu"))
        checks.append(codec_check("careful lane", sample, decoded_carefully, "cpu"))
    return checks


def codec_check(decoder: str, sample: Sample, decode: Decode, needed_for: Need) -> Check:
    """Decode one sample and compare it.

    Args:
        decoder: its name, as printed.
        sample: what to decode.
        decode: whole file in, (H, W) uint8 grey pixels out.
        needed_for: which sweeps use this decoder.
    """
    name = f"{sample.name}, {decoder}"
    remedy = LOOK_AT_GPU if needed_for == "gpu" else REINSTALL
    try:
        grey = decode(sample.content)
    except (RuntimeError, Refused) as error:  # DALI raises RuntimeError
        return Check(name, "bad", f"does not decode: {one_line(error)}", remedy, needed_for)
    wrong = difference(sample, grey)
    if wrong:
        return Check(name, "bad", wrong, remedy, needed_for)
    return Check(name, "ok", agreement(sample, grey), needed_for=needed_for)


def difference(sample: Sample, grey: NDArray[np.uint8]) -> str:
    """What is wrong with decoded pixels; empty where nothing is."""
    if sample.reference is None:
        same = pixel_hash(grey) == sample.sha256
        return "" if same else "decodes to other pixels than it must"
    if grey.shape != sample.reference.shape:
        return f"decodes to {grey.shape}, not {sample.reference.shape} rows and columns"
    most = _most_different(sample.reference, grey)
    if most <= sample.tolerance:
        return ""
    return f"pixels differ by up to {most} grey levels, {sample.tolerance} are usual"


def agreement(sample: Sample, grey: NDArray[np.uint8]) -> str:
    """How well decoded pixels agree, in words."""
    if sample.reference is None:
        return "exact"
    most = _most_different(sample.reference, grey)
    return f"within {most} of {sample.tolerance} grey levels" if most else "exact"


def is_jpeg_or_png(sample: Sample) -> bool:
    """Whether a sweep gives the sample to DALI."""
    try:
        return is_fast(header_of(sample.content, Limits()))
    except Refused:
        return False  # the careful lane's line tells why


def decoded_carefully(content: bytes) -> NDArray[np.uint8]:
    """Gate and the careful lane's decoder, as in a sweep but in this process.

    Returns:
        (H, W) uint8.

    Raises:
        Refused: the gate or the decoder refuses it.
    """
    return grey_pixels(content, header_of(content, Limits()))[..., 0]


def decoded_on_cpu(content: bytes) -> NDArray[np.uint8]:
    """(H, W) uint8 by DALI on the CPU; RuntimeError if it cannot."""
    return _decoded_by_dali(content, "cpu", None)


def decoded_on_gpu(content: bytes) -> NDArray[np.uint8]:
    """(H, W) uint8 by DALI on the first GPU; RuntimeError if it cannot. Never run without one."""
    return _decoded_by_dali(content, "mixed", 0)


def _decoded_by_dali(
    content: bytes, device: Literal["cpu", "mixed"], device_id: int | None
) -> NDArray[np.uint8]:
    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=device_id, prefetch_queue_depth=1)
    with pipeline:
        file = fn.external_source(name="file", dtype=types.UINT8, ndim=1)
        grey = fn.decoders.image(
            file, device=device, output_type=types.GRAY, adjust_orientation=False
        )
        pipeline.set_outputs(grey)
    pipeline.build()
    pipeline.feed_input("file", [np.frombuffer(content, np.uint8)])
    (pixels,) = pipeline.run()
    host: Any = pixels.as_cpu() if device == "mixed" else pixels
    return np.array(host.at(0), np.uint8)[..., 0]


def _most_different(reference: NDArray[np.uint8], grey: NDArray[np.uint8]) -> int:
    return int(np.abs(reference.astype(int) - grey).max())
