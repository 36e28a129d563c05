from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError


def ids(*paths: Path, selection: Selection | None = None) -> list[str]:
    return [entry.radiograph for entry in open_archives(paths, selection or Selection())]


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_folder_is_listed_in_byte_order_whatever_the_file_system_says(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "b.png", "B.png", "a/z.png", "a.png", "é.png", "10.png", "9.png")
    assert ids(folder) == ["10.png", "9.png", "B.png", "a/z.png", "a.png", "b.png", "é.png"]


def test_every_regular_file_has_an_entry_and_a_folder_named_like_a_file_is_entered(
    tmp_path: Path,
) -> None:
    folder = make(tmp_path / "a", "x.png/inside.jpg", "notes.txt", "noending")
    assert ids(folder) == ["noending", "notes.txt", "x.png/inside.jpg"]


def test_entries_carry_size_ordinal_and_location(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "one.png", "two.png")
    entries = list(open_archives([folder], Selection()))
    assert [(entry.ordinal, entry.size) for entry in entries] == [(0, 1), (1, 1)]
    assert Path(entries[1].location) == folder / "two.png"


def test_link_loops_end(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "x.png", "deep/y.png")
    (folder / "deep" / "again").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    found = ids(folder)
    assert found.count("x.png") == 1
    assert "deep/y.png" in found
    assert "self" in found  # an endless link is a file that cannot be read
    assert len(found) < 10


def test_folder_below_that_cannot_be_listed_keeps_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "a", "x.png", "secret/y.png")
    scan = os.scandir

    def refusing(path: str) -> object:  # root may list everything, so permissions cannot test it
        if path.endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert ids(folder) == ["secret", "x.png"]
    with pytest.raises(ArchiveError, match="cannot list"):
        ids(folder / "secret")


def test_dangling_links_and_pipes_keep_their_rows(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "x.png")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.png")
    assert ids(folder) == ["gone.png", "pipe.png", "x.png"]


def test_patterns_see_the_whole_id(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", "a.png"), make(tmp_path / "two", "a.png")
    assert ids(one, two, selection=Selection(include=("one/*",))) == ["one/a.png"]


def test_very_deep_folders_are_listed(tmp_path: Path) -> None:
    folder = deep = tmp_path / "a"
    folder.mkdir()
    for _ in range(1200):  # deeper than Python's recursion
        deep = deep / "d"
        deep.mkdir()
    (deep / "x.png").write_bytes(b"x")
    assert ids(folder) == ["d/" * 1200 + "x.png"]
    subprocess.run(["rm", "-r", folder], check=True)  # pytest's own clean-up recurses


@pytest.mark.parametrize("row", ["2,", "2," + "x" * 5000])
def test_manifest_row_without_a_usable_path_is_named(tmp_path: Path, row: str) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"label,path\n1,a.png\n{row}\n")
    with pytest.raises(ArchiveError, match="line 3: a path of"):
        ids(manifest)


def test_hidden_files_and_patterns_select(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", ".DS_Store", ".cache/x.png", "a.png", "m/b.png", "c.txt")
    assert ids(folder) == ["a.png", "c.txt", "m/b.png"]
    assert ids(folder, selection=Selection(hidden=True))[:2] == [".DS_Store", ".cache/x.png"]
    assert ids(folder, selection=Selection(include=("*.png",))) == ["a.png", "m/b.png"]
    assert ids(folder, selection=Selection(exclude=("m/*", "*.txt"))) == ["a.png"]


def test_two_archives_have_ids_with_their_names(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", "a.png"), make(tmp_path / "two", "a.png")
    assert ids(one, two) == ["one/a.png", "two/a.png"]


def test_two_archives_of_one_name_are_refused(tmp_path: Path) -> None:
    one, two = make(tmp_path / "x" / "same", "a.png"), make(tmp_path / "y" / "same", "a.png")
    with pytest.raises(ArchiveError, match="'same'"):
        ids(one, two)


def test_csv_manifest_takes_its_path_column_in_order(tmp_path: Path) -> None:
    make(tmp_path, "images/b.png", "images/a.png")
    manifest = tmp_path / "list.csv"
    manifest.write_text('label,Image\n1,images/b.png\n2,"images/a.png"\n3,images/gone.png\n')
    entries = list(open_archives([manifest], Selection()))
    assert [entry.radiograph for entry in entries] == [
        "images/b.png",
        "images/a.png",
        "images/gone.png",
    ]
    assert [entry.size for entry in entries] == [1, 1, -1]
    assert Path(entries[0].location) == tmp_path / "images" / "b.png"


def test_text_manifest_skips_comments_and_blank_lines(tmp_path: Path) -> None:
    manifest = tmp_path / "list.txt"
    manifest.write_text("# comment\n\na b.png\r\n/absolute/c.png\n")
    assert ids(manifest) == ["a b.png", "/absolute/c.png"]
    entries = list(open_archives([manifest], Selection()))
    assert entries[1].location == "/absolute/c.png"


def test_manifest_that_names_a_path_twice_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "list.txt"
    manifest.write_text("a.png\nb.png\na.png\n")
    with pytest.raises(ArchiveError, match=r"line 3.*line 1"):
        ids(manifest)


def test_manifest_without_path_column_says_what_it_has(tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text("label,score\n1,2\n")
    with pytest.raises(ArchiveError, match=r"\['label', 'score'\]"):
        ids(manifest)


def test_missing_and_unknown_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="does not exist"):
        ids(tmp_path / "nowhere")
    with pytest.raises(ArchiveError, match="is no archive"):
        ids(make(tmp_path, "x.png") / "x.png")
