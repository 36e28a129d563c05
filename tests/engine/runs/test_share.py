from __future__ import annotations

import pytest

from cxrsweep.engine.errors import RunError
from cxrsweep.engine.runs.shard import shards_of
from cxrsweep.engine.runs.share import Share, share_from

SLURM = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "5",
    "SLURM_ARRAY_TASK_COUNT": "4",
}


@pytest.mark.parametrize(
    ("asked", "environment", "share"),
    [
        ("0/1", {}, Share(0, 1)),
        ("7/8", SLURM, Share(7, 8)),
        ("auto", SLURM, Share(2, 4)),
        ("auto/12", SLURM, Share(2, 12)),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_STEP": "2"}, Share(1, 4)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "3"}, Share(3, 8)),
    ],
)
def test_shares_come_from_words_or_the_environment(
    asked: str, environment: dict[str, str], share: Share
) -> None:
    assert share_from(asked, environment) == share


@pytest.mark.parametrize(
    ("asked", "environment", "message"),
    [
        ("8/8", {}, "no share 8 of 8"),
        ("1/0", {}, "no share 1 of 0"),
        ("-1/8", {}, "no share '-1/8'; say i/n"),
        ("auto/", {}, "say i/n"),
        ("half", {}, "say i/n"),
        ("auto", {}, "neither by SLURM_ARRAY_TASK_ID.* nor by JOB_COMPLETION_INDEX"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "1"}, "tells no share"),
        ("auto", {"JOB_COMPLETION_INDEX": "3"}, "does not tell of how many; say auto/n"),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_ID": "11"}, "no share 6 of 4"),
        ("auto/2", {"JOB_COMPLETION_INDEX": "3"}, "no share 3 of 2"),
    ],
)
def test_what_is_no_share_is_refused(asked: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(RunError, match=message):
        share_from(asked, environment)


@pytest.mark.parametrize(("indexed", "count"), [(100, 1), (100, 4), (7, 3), (2, 5), (0, 3)])
def test_shares_hold_every_shard_once(indexed: int, count: int) -> None:
    shards = shards_of(indexed, 3)
    found = [shard for index in range(count) for shard in Share(index, count).of(shards)]
    assert sorted(found, key=lambda shard: shard.number) == shards
