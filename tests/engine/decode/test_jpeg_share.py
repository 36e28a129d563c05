"""Choosing the JPEG engines' share: the arithmetic, with a clock that is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cxrsweep.engine.archive import Entry, open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.decode.jpeg_share import (
    SHARES,
    class_for,
    measured_classes,
    sampled,
    size_class_from_json,
)
from cxrsweep.engine.decode.pipelines import DecoderUse
from cxrsweep.engine.gate.header import Header, Limits
from cxrsweep.engine.reader import Checked, Cost


def file(side: int, kind: str = "jpeg") -> Checked:
    entry = Entry(0, "r", "r", 1)
    return Checked(entry, Cost(1, 0.0, 0.0), b"", Header(kind, side, side, 8, 1))  # type: ignore[arg-type]


def seconds_with_best(best: dict[int, float]) -> Callable[..., float]:
    """A decoder that is fastest at one share for each side, and slower the further from it."""

    def seconds(use: DecoderUse, batches: Sequence[Sequence[Checked]]) -> float:
        side = batches[0][0].header.width
        return 1 + abs(use.hardware_share - best[side])

    return seconds


def test_each_class_of_size_gets_its_own_fastest_share() -> None:
    files = [file(1000), file(2000), file(3000)]
    best = {1000: 0.2, 2000: 0.65, 3000: 1.0}
    classes = measured_classes(files, 1, 4, seconds_with_best(best))
    assert [found.use.hardware_share for found in classes] == [0.2, 0.65, 1.0]
    assert [found.use.number for found in classes] == [1, 1, 1]
    assert [found.use.width_hint for found in classes] == [1000, 2000, 3000]
    # Two rounds of four in one second at the best share.
    assert classes[0].rates["0.2"] == 8.0
    assert set(classes[0].rates) == {str(share) for share in SHARES}


def test_a_class_without_jpeg_is_not_measured() -> None:
    def never(use: DecoderUse, batches: Sequence[Sequence[Checked]]) -> float:
        raise AssertionError("nothing to measure")

    classes = measured_classes([file(1000, "png")], 0, 4, never)
    assert [found.rates for found in classes] == [{}, {}, {}]
    assert classes[0].use.width_hint == 1000


@pytest.mark.parametrize(("sides", "place"), [([500], 0), ([500, 2000, 2000], 1), ([5000], 2)])
def test_a_batch_belongs_to_the_class_of_its_median(sides: list[int], place: int) -> None:
    classes = measured_classes([], 0, 4, seconds_with_best({}))
    assert class_for(classes, [side * side for side in sides]) == place


def test_classes_survive_run_json() -> None:
    classes = measured_classes([file(1000)], 0, 4, seconds_with_best({1000: 0.5}))
    written = json.loads(json.dumps([found.as_json() for found in classes]))
    assert [size_class_from_json(values) for values in written] == classes


def test_the_sample_is_spread_over_the_archive_and_decodable(small_archive: Path) -> None:
    entries = list(open_archives([small_archive], Selection()))
    whole = sampled(entries, len(entries), Limits(), size=12)
    # Of four formats, the fast lane decodes JPEG and PNG.
    assert {file.header.kind for file in whole} == {"jpeg", "png"}
    assert len(whole) == 6
    spread = sampled(entries, len(entries), Limits(), size=4)
    assert [file.entry.ordinal for file in spread] == [0, 9]
