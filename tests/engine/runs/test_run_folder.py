from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.archive import Entry
from cxrsweep.engine.errors import RunError, TableError
from cxrsweep.engine.meter import ShardMeter
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runs.run_folder import RunFolder, read_record
from cxrsweep.engine.runs.shard import Shard, shards_of
from cxrsweep.engine.runs.table import Row

RecipeWith = Callable[..., Recipe]


def rows(*names: str) -> list[Row]:
    return [Row(name, True, ("ok", *[""] * 11)) for name in names]


@pytest.mark.parametrize(
    "name", ["plain.png", 'a,b\n"c".png', "=cmd", "'quoted'", "é", os.fsdecode(b"caf\xe9")]
)
def test_index_gives_every_name_back(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path / "run")
    entries = [Entry(0, name, f"/archive/{name}", 7), Entry(1, "next", "/next", -1)]
    assert folder.write_index(entries) == 2
    assert list(folder.entries()) == entries
    folder.close()


def test_part_without_a_row_per_radiograph_is_refused(
    tmp_path: Path, recipe_with: RecipeWith
) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(TableError, match="1 rows for 2"):
        folder.write_part(Shard(0, 0, 2), recipe_with(), rows("a"), ShardMeter())
    assert not folder.is_done(Shard(0, 0, 2))
    folder.close()


def test_half_written_part_does_not_count(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    (folder.parts / "000000.csv.partial").write_text("half")
    assert not folder.is_done(Shard(0, 0, 2))
    folder.close()


def test_parts_join_in_order_under_one_header(tmp_path: Path, recipe_with: RecipeWith) -> None:
    folder, shards = RunFolder(tmp_path / "run"), shards_of(3, 2)
    for shard, names in zip(reversed(shards), (["c"], ["a", "b"]), strict=True):
        folder.write_part(shard, recipe_with(), rows(*names), ShardMeter(radiographs=shard.count))
    folder.join(recipe_with(), shards)
    lines = folder.results.read_bytes().split(b"\r\n")
    assert [line.split(b",")[0] for line in lines] == [b"radiograph", b"a", b"b", b"c", b""]
    folder.close()


def test_part_of_another_recipe_is_refused(tmp_path: Path, recipe_with: RecipeWith) -> None:
    folder, shards = RunFolder(tmp_path / "run"), shards_of(1, 1)
    folder.write_part(shards[0], recipe_with(), rows("a"), ShardMeter())
    other = recipe_with(classifier={"side": 64, "labels": ["other"]})
    with pytest.raises(TableError, match="was changed after"):
        folder.join(other, shards)
    folder.close()


def test_shards_cover_the_index_once() -> None:
    shards = shards_of(1001, 256)
    assert [shard.count for shard in shards] == [256, 256, 256, 233]
    assert [shard.start for shard in shards] == [0, 256, 512, 768]
    assert shards_of(0, 256) == []


def test_damaged_figures_of_a_part_are_named(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run, SweepOptions(shard_size=6))
    figures = run / "parts" / "000001.json"
    figures.write_text("{")
    with pytest.raises(TableError, match=r"000001\.json is damaged .* delete it"):
        sweep([small_archive], light_bundle, run, SweepOptions(shard_size=6))
    figures.unlink()
    assert sweep([small_archive], light_bundle, run, SweepOptions(shard_size=6)).ok == 12


@pytest.mark.parametrize("key", ["counts", "starts", "hardware", "bundle"])
def test_a_record_that_lacks_a_key_is_refused(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path, key: str
) -> None:
    run = tmp_path / "run"
    sweep([small_archive], light_bundle, run)
    record = json.loads((run / "run.json").read_text())
    del record[key]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=f"lacks {key}"):
        sweep([small_archive], light_bundle, run)
    with pytest.raises(RunError, match=f"lacks {key}"):
        read_record(run)
