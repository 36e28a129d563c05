from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxrsweep.engine import reader as reading
from cxrsweep.engine.archive import Entry
from cxrsweep.engine.archive import ahead as reading_ahead
from cxrsweep.engine.archive.file_content import file_content, whole
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Reader, Rejected


def entries_of(folder: Path, count: int, size: int) -> Iterator[Entry]:
    for number in range(count):
        path = folder / f"{number}.bin"
        path.write_bytes(b"x" * size)
        yield Entry(number, path.name, str(path), size)


def test_files_come_in_order_whatever_finishes_first(tmp_path: Path) -> None:
    reader = Reader(Limits(), threads=4, ahead=8)
    found = list(reader.read(entries_of(tmp_path, 50, 10)))
    reader.close()
    assert [file.entry.ordinal for file in found] == list(range(50))
    assert all(isinstance(file, Rejected) and file.cost.size == 10 for file in found)


@pytest.mark.parametrize(("ahead", "max_bytes", "most"), [(5, 10**9, 5), (100, 35, 3)])
def test_files_ahead_are_bounded_in_count_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int, max_bytes: int, most: int
) -> None:
    monkeypatch.setattr(reading_ahead, "MAX_BYTES_AHEAD", max_bytes)
    started, lock = [0], threading.Lock()

    def counted(content: bytes, limits: Limits, frame: int) -> None:
        with lock:
            started[0] += 1
        raise Refused(FailureCode.NOT_AN_IMAGE, "counted")

    monkeypatch.setattr(reading, "header_of", counted)
    reader = Reader(Limits(), threads=2, ahead=ahead)
    taken = 0
    for _ in reader.read(entries_of(tmp_path, 30, 10)):
        taken += 1
        assert started[0] <= taken + most
    reader.close()
    assert taken == 30


def test_file_over_the_byte_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 2**20)
    with pytest.raises(Refused) as refused:
        file_content(str(tmp_path / "big"), Limits(mebibytes=0.5))
    assert refused.value.code == FailureCode.TOO_LARGE
    assert len(file_content(str(tmp_path / "big"), Limits(mebibytes=1))) == 2**20


@pytest.mark.parametrize("name", ["none", "folder", "nul\0byte"])
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Refused) as refused:
        file_content(f"{tmp_path}/{name}", Limits())
    assert refused.value.code == FailureCode.READ_FAILED
    assert refused.value.reason


@pytest.mark.parametrize("declared", [0, 10, 2**20 - 1, 2**20, 2**21, 2**22])
def test_a_file_is_read_whole_whatever_size_it_declares(tmp_path: Path, declared: int) -> None:
    content = bytes(range(256)) * 8192
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as stream:
        assert whole(stream.fileno(), declared, 2**22) == content
    with (tmp_path / "file").open("rb") as stream:
        assert 1000 < len(whole(stream.fileno(), declared, 1000)) <= 1002


def test_an_empty_file_is_read_as_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert file_content(str(tmp_path / "empty"), Limits()) == b""
