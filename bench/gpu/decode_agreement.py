"""Pixels from the device's decoder against those from the CPU's, codec by codec."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cxrsweep.bench.gpu.agreement import pixel_agreement
from cxrsweep.bench.gpu.files import CODECS, batches_of_files, files_of
from cxrsweep.bench.gpu.kit import opened_kit
from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.kits import (
    CpuKit,
    Kit,
    Uint8,
    decoded,
    opened_decoder,
)
from cxrsweep.engine.hardware.cuda import DevicePixels
from cxrsweep.engine.reader import Checked

BATCH = 16
GIVEN_PER_KIND = 48


def compare_decoders(setting: Setting, note: Note) -> None:
    """Decode files of each codec on the device, for each share, and on the CPU."""
    with opened_kit(setting) as kit:
        note("recipe", {"fit": kit.bundle.recipe.fit, "equalise": kit.bundle.recipe.equalise})
        for name, files in _groups(setting).items():
            note(name, _compared(kit, files, setting.threads))


def _groups(setting: Setting) -> dict[str, list[Checked]]:
    given = files_of(setting, "given")
    kinds = sorted({file.header.kind for file in given})
    groups = {
        f"given {kind}": [f for f in given if f.header.kind == kind][:GIVEN_PER_KIND]
        for kind in kinds
    }
    return {**{codec: files_of(setting, f"codecs/{codec}") for codec in CODECS}, **groups}


def _compared(kit: Kit, files: Sequence[Checked], threads: int) -> dict[str, object]:
    truth, _ = all_pixels(CpuKit(kit.bundle, threads), files, 0.0)
    names = [file.entry.radiograph for file in files]
    found: dict[str, object] = {}
    for share in kit.shares:
        pixels, on_cpu = all_pixels(kit, files, share)
        found[f"share {share:g}"] = {
            **pixel_agreement(truth, pixels, names),
            "batches_not_on_gpu": on_cpu,
        }
    return found


def all_pixels(kit: Kit, files: Sequence[Checked], share: float) -> tuple[Uint8, int]:
    """Decode files in batches.

    Returns:
        (N, 1, S, S) uint8 in host memory, and how many batches were not decoded on a GPU: there
        the decoder has silently left them to the CPU.
    """
    parts, on_cpu = [], 0
    with opened_decoder(kit, BATCH, share) as decoder:
        for batch in batches_of_files(files, BATCH, kit.batch_pixels):
            pixels = decoded(decoder, batch).pixels
            on_cpu += not isinstance(pixels, DevicePixels)
            parts.append(kit.on_host(pixels))
            del pixels
    return np.concatenate(parts), on_cpu
