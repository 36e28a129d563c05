"""How fast each stage is alone on the device, on the same files as the sweeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from cxrsweep.bench.ceilings import Ceilings, run_decoder, run_network
from cxrsweep.bench.gpu.files import (
    ARCHIVES,
    batches_of_files,
    described_files,
    files_of,
    load_of,
    repeated,
)
from cxrsweep.bench.gpu.kit import opened_kit
from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.kits import USUAL_SHARE, Kit, decoded, opened_decoder, opened_runner
from cxrsweep.bench.spread import Load, rate_of
from cxrsweep.engine.decode.batches import pixels_of
from cxrsweep.engine.decode.jpeg_share import CLASS_LIMITS_MP, NO_LIMIT_MP, SHARES
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, Reader

COPY_BYTES, COPIES = 256 * 2**20, 20
NETWORK_BATCHES = 8
LEAST_IN_GROUP = 8
RESERVE_S = 8.0


def measure(setting: Setting, note: Note) -> None:
    """Measure network, copy, reading and decoding, then decoding by size and codec."""
    with opened_kit(setting) as kit:
        files = {name: files_of(setting, name) for name in ARCHIVES}
        note("batch", setting.batch)
        network = network_rate(kit, files["jpeg-1024"], setting)
        note("network", network)
        copied = kit.copy_rate(COPY_BYTES // (64 if setting.quick else 1), COPIES)
        note("copy_gib_per_s", round(copied / 2**30, 3))
        for name, archive in files.items():
            measured = _archive(kit, archive, setting)
            limits = Ceilings(
                {
                    "read_and_gate": measured["read_and_gate"]["radiographs_per_s"],
                    "decode": best_of(measured["decode"])[1],
                    "network": network["radiographs_per_s"],
                }
            )
            copies = _copies_per_s(load_of(archive), copied)
            plain = {**limits.per_s, "least": limits.least, "shared": limits.shared, **copies}
            note(name, {**measured, "ceilings": {k: round(v, 2) for k, v in plain.items()}})
        for name, group in groups_of(files["given"]).items():
            if setting.left_s < RESERVE_S:
                note(f"decode {name}", {"reason": "no time left"})
                continue
            note(f"decode {name}", _decode_rates(kit, group, setting, kit.shares))


def best_of(decode: dict[str, dict[str, float]]) -> tuple[str, float]:
    """The share that decodes fastest, and its radiographs/s."""
    share = max(decode, key=lambda name: decode[name]["radiographs_per_s"])
    return share, decode[share]["radiographs_per_s"]


def groups_of(files: Sequence[Checked]) -> dict[str, list[Checked]]:
    """Files by codec and class of size; groups of a few files alone are left out."""
    limits = (*CLASS_LIMITS_MP, NO_LIMIT_MP)
    groups: dict[str, list[Checked]] = {}
    for file in files:
        limit = next(limit for limit in limits if pixels_of(file) / 1e6 <= limit)
        size = "larger" if limit == NO_LIMIT_MP else f"to {limit:g} MP"
        groups.setdefault(f"{file.header.kind} {size}", []).append(file)
    return {name: group for name, group in groups.items() if len(group) >= LEAST_IN_GROUP}


def network_rate(kit: Kit, files: Sequence[Checked], setting: Setting) -> dict[str, float]:
    """Full batches of pixels that are on the device already."""
    batch = repeated(files, setting.batch)
    with (
        opened_decoder(kit, setting.batch, USUAL_SHARE) as decoder,
        opened_runner(kit, setting.batch) as runner,
    ):
        parts = batches_of_files(batch, setting.batch, kit.batch_pixels)
        pixels = [kit.on_host(decoded(decoder, part).pixels) for part in parts]
        resident = kit.on_device(np.concatenate(pixels))
        count = 1 if setting.quick else NETWORK_BATCHES
        side = kit.bundle.recipe.side
        load = Load(count * setting.batch, count * setting.batch * side**2, 0)
        return rate_of(load, lambda: run_network(runner, [resident] * count), setting.measure_s)


def _archive(kit: Kit, files: Sequence[Checked], setting: Setting) -> dict[str, Any]:
    has_jpeg = any(file.header.kind == "jpeg" for file in files)
    shares = SHARES if len(kit.shares) > 1 and has_jpeg else (USUAL_SHARE,)
    decode = _decode_rates(kit, files, setting, shares)
    return {
        "files": described_files(files),
        "read_and_gate": _read_rate(files, setting),
        "decode": decode,
        "best_share": best_of(decode)[0],
    }


def _read_rate(files: Sequence[Checked], setting: Setting) -> dict[str, float]:
    entries = [file.entry for file in files]
    reader = Reader(Limits(), setting.threads + 1, 3 * setting.batch)
    try:
        return rate_of(
            load_of(files), lambda: deque(reader.read(entries), maxlen=0), setting.measure_s
        )
    finally:
        reader.close()


def _decode_rates(
    kit: Kit, files: Sequence[Checked], setting: Setting, shares: Sequence[float]
) -> dict[str, dict[str, float]]:
    many = repeated(files, max(len(files), 1 if setting.quick else 2 * setting.batch))
    batches = batches_of_files(many, setting.batch, kit.batch_pixels)
    rates = {}
    for share in shares:
        with opened_decoder(kit, setting.batch, share) as decoder:
            rates[f"{share:g}"] = rate_of(
                load_of(many),
                lambda decoder=decoder: run_decoder(kit, decoder, batches),  # type: ignore[misc]
                setting.measure_s,
            )
    return rates


def _copies_per_s(load: Load, bytes_per_s: float) -> dict[str, float]:
    """Radiographs/s that the copy to the device allows, as files and as raw pixels."""
    return {
        "copy_of_files": bytes_per_s * load.radiographs / load.bytes,
        "copy_of_pixels": bytes_per_s * load.radiographs / load.pixels,
    }
