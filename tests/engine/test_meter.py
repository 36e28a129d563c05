from __future__ import annotations

import json
from collections import Counter

from cxrsweep.engine.meter import ShardMeter, shard_meter_from_json, total_of


def meter(**waits: float) -> ShardMeter:
    made = ShardMeter(radiographs=10, pixels=100, bytes=50, wall_s=2.0)
    made.waits.update(waits)
    made.failures = Counter({"CORRUPT": 1})
    return made


def test_rate_is_radiographs_over_wall_time() -> None:
    assert meter().rate == 5.0
    assert ShardMeter().rate == 0.0


def test_binding_stage_is_the_one_that_was_waited_for() -> None:
    assert meter(wait_for_network=2, starving_decode=1).binding == "network"
    assert meter(wait_for_network=1, starving_decode=2).binding == "decode"
    assert meter(wait_for_read=3, starving_decode=2).binding == "read"
    slow_disk = meter(wait_for_read=1)
    slow_disk.seconds["write"] = 2
    assert slow_disk.binding == "write"
    assert ShardMeter().binding == ""


def test_meter_survives_json() -> None:
    before = meter(wait_for_network=0.25)
    after = shard_meter_from_json(json.loads(json.dumps(before.as_json())))
    assert after == before


def test_total_adds_everything() -> None:
    total = total_of([meter(wait_for_read=1), meter(wait_for_read=2)])
    assert (total.radiographs, total.pixels, total.bytes, total.wall_s) == (20, 200, 100, 4.0)
    assert total.waits["wait_for_read"] == 3
    assert total.failures == {"CORRUPT": 2}
    assert total.failed == 2
