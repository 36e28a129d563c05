from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from archive_support import outcomes
from pyarrow import parquet

from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError

CASES = {
    "image": ["b.png", "a.png", "gone.png"],
    "uid": ["007", "1.2.3", "x/y"],
    "label": ["1", "0", "1"],
}


def write_list(folder: Path, ending: str) -> Path:
    (folder / "a.png").write_bytes(b"a")
    (folder / "b.png").write_bytes(b"b")
    path = folder / f"list{ending}"
    if ending == ".csv":
        rows = [",".join(CASES), *map(",".join, zip(*CASES.values(), strict=True))]
        path.write_text("\n".join(rows))
    else:
        parquet.write_table(pa.table(CASES), path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".of-any-name"])
def test_any_column_may_be_the_id(tmp_path: Path, ending: str) -> None:
    path = write_list(tmp_path, ending)
    assert outcomes(path) == {"b.png": b"b", "a.png": b"a", "gone.png": "READ_FAILED"}
    named = outcomes(path, selection=Selection(id_column="uid"))
    assert named == {"007": b"b", "1.2.3": b"a", "x/y": "READ_FAILED"}
    other = outcomes(path, selection=Selection(path_column="image", id_column="image"))
    assert list(other) == CASES["image"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_columns_that_are_missing_are_named_with_what_there_is(tmp_path: Path, ending: str) -> None:
    path = write_list(tmp_path, ending)
    with pytest.raises(
        ArchiveError, match=r"\['image', 'uid', 'label'\].*--id-column asks for 'x'"
    ):
        outcomes(path, selection=Selection(id_column="x"))
    with pytest.raises(ArchiveError, match=r"\['image', 'uid', 'label'\]; one must be named 'x'"):
        outcomes(path, selection=Selection(path_column="x"))
    with pytest.raises(ArchiveError, match="its id was already named in line"):
        outcomes(path, selection=Selection(id_column="label"))


def test_numbers_may_be_ids_of_a_parquet_and_none_may_not(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    parquet.write_table(pa.table({"path": ["a", "b"], "study": [7, 8]}), path)
    assert list(outcomes(path, selection=Selection(id_column="study"))) == ["7", "8"]
    parquet.write_table(pa.table({"path": ["a", None]}), path)
    with pytest.raises(ArchiveError, match="line 2: a path of 0 characters"):
        outcomes(path)


def test_damaged_parquet_is_one_message(tmp_path: Path) -> None:
    path = write_list(tmp_path, ".parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArchiveError, match="cannot read the list"):
        outcomes(path)


def test_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_list(tmp_path, ".parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ArchiveError, match=r"pip install .*'\.\[parquet\]'"):
        outcomes(path)


def test_csv_is_known_by_its_columns_whatever_its_name(tmp_path: Path) -> None:
    csv = write_list(tmp_path, ".csv")
    assert list(outcomes(csv.rename(tmp_path / "list.txt"))) == CASES["image"]


def test_urls_in_a_list_are_kept_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("s3://bucket/a.png\nb.png\n")
    entries = list(open_archives([path], Selection()))
    assert [entry.location for entry in entries] == ["s3://bucket/a.png", str(tmp_path / "b.png")]
    assert [entry.radiograph for entry in entries] == ["s3://bucket/a.png", "b.png"]
