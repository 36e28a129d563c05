from __future__ import annotations

import bz2
import gzip
import shutil
from pathlib import Path

import pytest
import zstandard
from archive_support import file_info, outcomes, tar_bytes

from cxrsweep.engine import Bundle, sweep
from cxrsweep.engine.errors import ArchiveError

TAR = tar_bytes([file_info("a.jpg", b"a")])


@pytest.mark.parametrize("packed", [TAR, gzip.compress(TAR), zstandard.compress(TAR)])
def test_content_decides_and_not_the_name(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(packed)
    assert outcomes(tmp_path / "x.csv") == {"x.csv::a.jpg": b"a"}


@pytest.mark.parametrize("name", ["x.tar", "x.tgz", "x.tar.gz", "x.tar.zst", "x.zip", "x.TAR"])
def test_damaged_archive_is_known_by_its_name_and_has_a_row(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"damaged from the first byte on" * 99)
    assert outcomes(tmp_path / name) == {f"{name}::<end>": "CORRUPT"}


def test_radiograph_alone_is_an_archive_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\0")
    (tmp_path / "b.dcm").write_bytes(bytes(128) + b"DICM" + bytes(600))
    assert list(outcomes(tmp_path / "a.jpg", tmp_path / "b.dcm")) == ["a.jpg", "b.dcm"]


def test_unread_kinds_of_archives_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar.bz2").write_bytes(bz2.compress(TAR))
    with pytest.raises(ArchiveError, match="packed with bzip2, which is not read"):
        outcomes(tmp_path / "x.tar.bz2")


def test_brace_lists_and_several_kinds_at_once(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"s-{number:02d}.tar").write_bytes(TAR)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.jpg").write_bytes(b"f")
    (tmp_path / "a{1,2}.tar").write_bytes(TAR)
    found = outcomes(tmp_path / "s-{00..02}.tar", tmp_path / "folder", tmp_path / "a{1,2}.tar")
    assert found == {
        **{f"s-0{number}.tar::a.jpg": b"a" for number in range(3)},
        "folder/a.jpg": b"f",
        "a{1,2}.tar::a.jpg": b"a",
    }
    with pytest.raises(ArchiveError, match=r"s-03\.tar does not exist"):
        outcomes(tmp_path / "s-{00..03}.tar")


def test_two_tars_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.tar").write_bytes(TAR)
    with pytest.raises(ArchiveError, match=r"two archives are named 'x\.tar'"):
        outcomes(tmp_path / "{one,two}" / "x.tar")


@pytest.mark.parametrize("archive", ["radiographs", Path("radiographs")])
def test_one_path_instead_of_a_list_is_said(
    archive: str | Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match=r"must be a list, not the single path 'radiographs'"):
        sweep(archive, light_bundle, tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_local_archives_do_not_need_the_packages_for_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("fsspec", "tenacity", "pyarrow", "aiohttp"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    (tmp_path / "x.tar").write_bytes(TAR)
    shutil.copy(tmp_path / "x.tar", tmp_path / "y.tar")
    assert len(outcomes(tmp_path / "{x,y}.tar")) == 2
