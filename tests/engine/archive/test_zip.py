from __future__ import annotations

import io
import random
import stat
import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archive_support import outcome, outcomes

from cxrsweep.engine.archive import Contents, open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.gate.header import Limits

METHODS = {"stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED}
GENERATOR = random.Random(0)
GOOD = {f"a/{number}.jpg": GENERATOR.randbytes(3000 * number) for number in range(5)}


def zip_bytes(
    members: dict[str, bytes] | None = None, method: int = zipfile.ZIP_DEFLATED
) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in (GOOD if members is None else members).items():
            archive.writestr(name, content)
    return bytearray(stream.getvalue())


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_members_are_those_of_the_standard_library(tmp_path: Path, method: str) -> None:
    path = written(tmp_path, zip_bytes({"folder/": b"", **GOOD}, METHODS[method]))
    with zipfile.ZipFile(path) as archive:
        expected = {f"x.zip::{i.filename}": archive.read(i) for i in archive.infolist()}
    del expected["x.zip::folder/"]
    assert outcomes(path) == expected


def test_threads_share_a_zip(tmp_path: Path) -> None:
    members = {f"{n}.jpg": bytes([n]) * 50_000 for n in range(200)}
    path = written(tmp_path, zip_bytes(members))
    contents = Contents(Limits())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(contents.content, open_archives([path], Selection())))
    assert found == list(members.values())


def test_unsafe_members_have_rows(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("good.jpg", b"good")
        for name in ("/etc/passwd", "../up.jpg", "a/../../b.jpg", "C:/d.jpg", "..\\e.jpg"):
            archive.writestr(zipfile.ZipInfo(name), b"x")
        for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
            info = zipfile.ZipInfo(f"kind-{kind}")
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, b"/etc/passwd")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("good.jpg", b"other")
    found = outcomes(written(tmp_path, stream.getvalue()))
    assert found.pop("x.zip::good.jpg") == b"good"
    assert set(found.values()) == {"REFUSED_MEMBER"}
    assert len(found) == 9


def test_overlapping_members_are_refused_and_the_others_read(tmp_path: Path) -> None:
    """A kernel of compressed bytes that many entries of the directory name."""
    content = zip_bytes({"kernel": bytes(1_000_000), "good.jpg": b"good"})
    start = content.index(b"PK\x01\x02")
    entry = bytes(content[start : start + 46 + len("kernel")])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        end = archive.start_dir + len(content[start:]) - 22
    entries = entry * 1000
    tail = bytearray(content[end:])
    struct.pack_into("<HH", tail, 8, 1002, 1002)
    struct.pack_into("<I", tail, 12, end - start + len(entries))
    found = outcomes(written(tmp_path, content[:end] + entries + tail))
    assert len(found) == 1002
    assert found.pop("x.zip::good.jpg") == b"good"
    assert set(found.values()) == {"REFUSED_MEMBER"}


def test_nested_quoting_bomb_is_refused(tmp_path: Path) -> None:
    """Members that contain the headers of the next ones: small file, every range nested."""
    content = zip_bytes({"a": b"x" * 100, "b": b"y" * 100}, zipfile.ZIP_STORED)
    second = content.index(b"PK\x03\x04", 4)
    at = content.index(b"PK\x01\x02")
    stop = at - second + 100  # a's data now reaches over b's header and data
    struct.pack_into("<II", content, at + 20, stop, stop)
    struct.pack_into("<II", content, 18, stop, stop)
    assert set(outcomes(written(tmp_path, content)).values()) == {"REFUSED_MEMBER"}


def test_bomb_stops_at_the_size_it_declares(tmp_path: Path) -> None:
    content = zip_bytes({"bomb": bytes(200_000_000), "good.jpg": b"good"})
    at = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, at + 24, 1000)
    path = written(tmp_path, content)
    tracemalloc.start()
    found = outcomes(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {"x.zip::bomb": "CORRUPT", "x.zip::good.jpg": b"good"}
    assert peak < 5_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_cannot_be_bounded_are_not_read(tmp_path: Path, method: int) -> None:
    path = written(tmp_path, zip_bytes({"a.jpg": b"x" * 1000}, method))
    assert outcomes(path) == {"x.zip::a.jpg": "UNSUPPORTED"}


def test_declared_bomb_is_too_large_and_unread(tmp_path: Path) -> None:
    path = written(tmp_path, zip_bytes({"bomb": bytes(3_000_000)}))
    assert outcomes(path, limits=Limits(mebibytes=1)) == {"x.zip::bomb": "TOO_LARGE"}


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (24, b"\xff\xff\0\0", "CORRUPT"),  # more bytes than there are
        (8, b"\1\0", "UNSUPPORTED"),  # encrypted
        (10, b"\x09\0", "UNSUPPORTED"),  # deflate64
        (16, b"abcd", "CORRUPT"),  # checksum
    ],
)
def test_lying_directories_are_refused(tmp_path: Path, at: int, value: bytes, code: str) -> None:
    content = zip_bytes({"liar.jpg": b"some bytes that deflate" * 9, "good.jpg": b"good"})
    start = content.index(b"PK\x01\x02") + at
    content[start : start + len(value)] = value
    found = outcomes(written(tmp_path, content))
    assert found == {"x.zip::liar.jpg": code, "x.zip::good.jpg": b"good"}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_zip_that_is_cut_has_one_row(tmp_path: Path, share: float) -> None:
    content = zip_bytes()
    found = outcomes(written(tmp_path, content[: int(len(content) * share)]))
    assert found == {"x.zip::<end>": "CORRUPT"}


def test_zip_without_members_has_one_row(tmp_path: Path) -> None:
    assert outcomes(written(tmp_path, zip_bytes({}))) == {"x.zip::<end>": "EMPTY"}


def test_changed_zip_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path, zip_bytes())
    entries = list(open_archives([path], Selection()))
    written(tmp_path, zip_bytes({name: content[::-1] + b"x" for name, content in GOOD.items()}))
    contents = Contents(Limits())
    assert {outcome(contents, entry) for entry in entries} == {"READ_FAILED"}


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_gives_rows_and_nothing_else(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    content = zip_bytes(method=generator.choice(list(METHODS.values())))
    for _ in range(generator.randint(1, 10)):
        at = generator.choice([generator.randrange(len(content)), -generator.randint(1, 300)])
        content[at] = generator.randrange(256)
    assert outcomes(written(tmp_path, content))
