from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.archive import Entry
from cxrsweep.engine.decode.audit import Audit, is_chosen
from cxrsweep.engine.decode.batches import Batch
from cxrsweep.engine.decode.fast_lane import Decoded, Decoder
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, Cost


@pytest.fixture
def decoder(demo_bundle: Bundle) -> Iterator[Decoder]:
    opened = Decoder(demo_bundle.recipe, 8, 2)
    yield opened
    opened.close()


@pytest.fixture
def audit_of(demo_bundle: Bundle) -> Iterator[Callable[[float], Audit]]:
    opened: list[Audit] = []

    def build(fraction: float) -> Audit:
        opened.append(Audit(demo_bundle.recipe, fraction))
        return opened[-1]

    yield build
    for audit in opened:
        audit.close()


def batch_of(contents: list[bytes]) -> Batch:
    batch = Batch(is_fast=True)
    for ordinal, content in enumerate(contents):
        entry = Entry(ordinal, f"{ordinal}.jpg", f"{ordinal}.jpg", len(content))
        batch.add(Checked(entry, Cost(1, 0, 0), content, header_of(content, Limits())))
    return batch


def test_two_decoders_see_whole_radiographs_alike(
    decoder: Decoder, encoded: Callable[..., bytes], audit_of: Callable[[float], Audit]
) -> None:
    batch = batch_of([encoded(".jpg"), encoded(".png")])
    audit = audit_of(1.0)
    files = batch.files
    decoded = decoder.decode([f.content for f in files], [f.header for f in files])
    audit.compare(batch, decoded)
    assert audit.taken() == []
    # DALI and OpenCV both take the luminance from libjpeg: not one grey level of difference.
    assert audit.described() == (
        "audit: 2 radiographs were decoded a second way; the largest mean difference is 0.00"
        " grey levels"
    )


def test_a_scrambled_picture_is_noticed(
    decoder: Decoder, encoded: Callable[..., bytes], audit_of: Callable[[float], Audit]
) -> None:
    batch = batch_of([encoded(".jpg"), encoded(".png")])
    files = batch.files
    decoded = decoder.decode([f.content for f in files], [f.header for f in files])
    pixels = decoded.pixels.copy()
    pixels[1, 0] = np.roll(pixels[1, 0], 200, axis=1)
    expected = np.abs(pixels[1].astype(int) - decoded.pixels[1]).mean()
    audit = audit_of(1.0)
    audit.compare(batch, Decoded(pixels, {}))
    (found,) = audit.taken()
    assert found.entry.ordinal == 1
    assert found.difference == pytest.approx(expected)
    assert audit.taken() == []


def test_the_sample_has_the_size_that_was_asked_for() -> None:
    # Binomial: five standard deviations of 100,000 draws at 1 %.
    chosen = sum(is_chosen(ordinal, 0.01) for ordinal in range(100_000))
    assert abs(chosen - 1000) < 5 * np.sqrt(1000)
    assert not any(is_chosen(ordinal, 0.0) for ordinal in range(1000))
    assert all(is_chosen(ordinal, 1.0) for ordinal in range(1000))


def test_a_disagreement_is_in_the_log_and_at_the_end_of_the_sweep(
    demo_bundle: Bundle,
    small_archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = Decoder._decoded_fast

    def scrambled(self: Decoder, contents: list[bytes], headers: list[object]) -> object:
        pixels, refused = whole(self, contents, headers)  # type: ignore[arg-type]
        pixels[0] = np.roll(pixels[0], 200, axis=-1)
        return pixels, refused

    monkeypatch.setattr(Decoder, "_decoded_fast", scrambled)
    run = tmp_path / "run"
    summary = sweep([small_archive], demo_bundle, run, SweepOptions(audit=1.0))
    assert summary.ok == 12
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    (found,) = [line for line in lines if line["event"] == "audit_disagreement"]
    assert found["radiograph"] == "study-0/00.jpg"
    assert any("'study-0/00.jpg' differently" in note for note in summary.notes)
    assert any(note.startswith("audit: 6 radiographs") for note in summary.notes)
