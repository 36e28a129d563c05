from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from archive_support import file_info, outcome, outcomes, tar_bytes

from cxrsweep.engine.archive import Contents, open_archives, streams
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.gate.header import Limits

Packed = Callable[[bytes], Path]
GOOD = [file_info(f"a/{number}.jpg", bytes([number]) * (300 * number)) for number in range(5)]


def by_tarfile(path: Path, tar: bytes) -> dict[str, bytes]:
    """What the standard library extracts, with the ids that are expected here."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {
            f"{path.name}::{info.name}": opened.extractfile(info).read()  # type: ignore[union-attr]
            for info in opened
            if info.isfile()
        }


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_of_the_standard_library(packed: Packed, layout: int) -> None:
    long_name = "d" * 60 + "/" + "n" * 90 + ".png"
    folder = file_info("a", type=tarfile.DIRTYPE)
    tar = tar_bytes([folder, *GOOD, file_info(long_name, b"long")], layout)
    path = packed(tar)
    assert outcomes(path) == by_tarfile(path, tar)
    assert list(outcomes(path))[-1] == f"{path.name}::{long_name}"


def test_names_that_are_not_utf8_or_longer_than_a_header_come_back(packed: Packed) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "é" * 200 + ".png", "a,b\n.png"]
    tar = tar_bytes([file_info(name, b"x") for name in names])
    assert list(outcomes(packed(tar))) == [f"{packed(tar).name}::{name}" for name in names]


def test_leading_dots_slashes_and_hidden_members_are_as_in_a_folder(packed: Packed) -> None:
    names = ["./a//b.jpg", "./.hidden/c.jpg", "._d.jpg", "masks/e.jpg"]
    path = packed(tar_bytes([file_info(name, b"x") for name in names]))
    assert list(outcomes(path)) == [f"{path.name}::a/b.jpg", f"{path.name}::masks/e.jpg"]
    everything = list(outcomes(path, selection=Selection(hidden=True)))
    assert f"{path.name}::.hidden/c.jpg" in everything
    for pattern in ("masks/*", "x.tar*::masks/*", "*/e.jpg"):
        kept = list(outcomes(path, selection=Selection(exclude=(pattern,))))
        assert kept == [f"{path.name}::a/b.jpg"], pattern
        assert len(outcomes(path, selection=Selection(include=(pattern,)))) == 1


def test_unsafe_members_have_rows_and_are_not_read(packed: Packed, tmp_path: Path) -> None:
    bad = [
        file_info("/etc/passwd", b"x"),
        file_info("../../escape.jpg", b"x"),
        file_info("a/../../b.jpg", b"x"),
        file_info("..\\c.jpg", b"x"),
        file_info("C:\\d.jpg", b"x"),
        file_info("link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        file_info("hard.jpg", type=tarfile.LNKTYPE, linkname="a/1.jpg"),
        file_info("tty", type=tarfile.CHRTYPE, devmajor=5),
        file_info("disk", type=tarfile.BLKTYPE),
        file_info("pipe", type=tarfile.FIFOTYPE),
        file_info("odd", b"x", type=b"Q"),
        file_info("", b"x"),
        file_info("nul\0.jpg", b"x", pax_headers={"path": "nul\0.jpg"}),
        file_info("n" * 5000, b"x"),
    ]
    path = packed(tar_bytes([*GOOD, *bad]))
    before = sorted(tmp_path.parent.rglob("*"))
    found = outcomes(path)
    assert sorted(tmp_path.parent.rglob("*")) == before
    assert [found[f"{path.name}::a/{number}.jpg"] for number in range(5)] == [c for _, c in GOOD]
    assert list(found.values())[5:] == ["REFUSED_MEMBER"] * len(bad)
    assert len(list(found)[-1]) < 300
    assert not any("\0" in name for name in found)


def test_every_duplicate_has_its_row_and_the_first_is_read(packed: Packed) -> None:
    named = [("a.jpg", b"1"), ("./a.jpg", b"2"), ("a.jpg#2", b"3"), ("a.jpg", b"4")]
    path = packed(tar_bytes([file_info(name, content) for name, content in named]))
    assert outcomes(path) == {
        f"{path.name}::a.jpg": b"1",
        f"{path.name}::a.jpg#2": "REFUSED_MEMBER",
        f"{path.name}::a.jpg#2#2": "REFUSED_MEMBER",
        f"{path.name}::a.jpg#3": "REFUSED_MEMBER",
    }


def test_fifty_thousand_duplicates_take_no_quadratic_time(tmp_path: Path) -> None:
    block = tar_bytes([file_info("a.jpg")])[:512]
    (tmp_path / "x.tar").write_bytes(block * 50_000 + bytes(1024))
    start = time.process_time()
    assert sum(1 for _ in open_archives([tmp_path / "x.tar"], Selection())) == 50_000
    assert time.process_time() - start < 60  # some 4 s; quadratic would be an hour


@pytest.mark.parametrize("form", ["pax 0.0", "pax 0.1", "pax 1.0", "gnu"])
def test_sparse_members_are_refused(packed: Packed, tmp_path: Path, form: str) -> None:
    if form == "gnu":
        sparse = file_info("s.jpg", b"x" * 512, type=tarfile.GNUTYPE_SPARSE)
    else:
        keys = {
            "pax 0.0": {"GNU.sparse.size": "9999", "GNU.sparse.offset": "0"},
            "pax 0.1": {"GNU.sparse.map": "0,512", "GNU.sparse.size": "999999999999"},
            "pax 1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
        }[form]
        sparse = file_info("s.jpg", b"1\n0\n512\n".ljust(1024, b"\0"), pax_headers=keys)
    path = packed(tar_bytes([file_info("a.jpg", b"a"), sparse]))
    found = outcomes(path)
    assert found.pop(f"{path.name}::a.jpg") == b"a"
    assert set(found.values()) <= {"UNSUPPORTED", "CORRUPT", "TRUNCATED"}
    assert len(found) == 1


CUTS = [0, 100, 511, 512, 513, 700, 1024, 1323, 1324, 1500, 1536, 3000, 4484, 4608, 6319, 6656]


@pytest.mark.parametrize("place", CUTS)
def test_truncated_tar_gives_its_whole_members_and_one_error(tmp_path: Path, place: int) -> None:
    tar = tar_bytes(GOOD, tarfile.USTAR_FORMAT)
    path = tmp_path / "x.tar"
    path.write_bytes(tar[:place])
    with tarfile.open(fileobj=io.BytesIO(tar)) as whole:
        expected = [i.name for i in whole if i.offset_data + i.size <= place]
    found = outcomes(path)
    contents = {f"x.tar::{info.name}": content for info, content in GOOD}
    good = {name: value for name, value in found.items() if isinstance(value, bytes)}
    assert good == {f"x.tar::{name}": contents[f"x.tar::{name}"] for name in expected}
    bad = [value for value in found.values() if isinstance(value, str)]
    assert bad == ["TRUNCATED" if place else "EMPTY"]


def test_cut_member_that_is_left_out_still_shows_that_the_tar_is_cut(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar_bytes(GOOD, tarfile.USTAR_FORMAT)[:3000])
    found = outcomes(tmp_path / "x.tar", selection=Selection(exclude=("a/3.jpg",)))
    assert list(found)[-1] == "x.tar::<end>"
    assert found["x.tar::<end>"] == "TRUNCATED"


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.zst"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_truncated_compressed_tar_gives_its_whole_members(
    tmp_path: Path, ending: str, share: float
) -> None:
    generator = random.Random(0)
    members = [file_info(f"{n}.jpg", generator.randbytes(70_000)) for n in range(20)]
    tar = tar_bytes(members)
    packed = gzip.compress(tar) if ending == ".tar.gz" else zstandard.compress(tar)
    path = tmp_path / f"x{ending}"
    path.write_bytes(packed[: int(len(packed) * share)])
    found = outcomes(path)
    contents = {f"{path.name}::{info.name}": content for info, content in members}
    *whole, (last, code) = found.items()
    assert dict(whole) == dict(list(contents.items())[: len(whole)])
    # Zstandard gives whole blocks of 128 KiB, two members each.
    assert len(whole) >= 20 * share - 3
    assert code == "TRUNCATED"
    assert last in contents or last.endswith("::<end>")


def test_size_that_runs_past_the_end_is_one_truncated_row(packed: Packed) -> None:
    tar = bytearray(tar_bytes([*GOOD, file_info("liar.jpg", b"x")], tarfile.USTAR_FORMAT))
    at = tar.index(b"liar.jpg")
    header = tarfile.TarInfo("liar.jpg")
    header.size = 8 * 2**30 - 1
    tar[at : at + 512] = header.tobuf(tarfile.USTAR_FORMAT)
    path = packed(bytes(tar))
    found = outcomes(path)
    assert found.pop(f"{path.name}::liar.jpg") == "TRUNCATED"
    assert list(found.values()) == [content for _, content in GOOD]


def test_negative_size_does_not_lead_backwards(packed: Packed) -> None:
    """As in CVE-2025-8194: an unpatched parser goes round in a circle."""
    header = bytearray(tarfile.TarInfo("back.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (2**96 - 2048).to_bytes(12, "big")  # base 256, two's complement
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tar = tar_bytes(GOOD, tarfile.GNU_FORMAT)
    path = packed(tar[:6656] + bytes(header) + bytes(1024))
    found = outcomes(path)
    assert list(found.values())[:5] == [content for _, content in GOOD]
    assert set(list(found.values())[5:]) <= {"CORRUPT"}
    assert len(found) == 6


def test_damaged_header_in_the_middle_is_said(packed: Packed) -> None:
    tar = bytearray(tar_bytes(GOOD, tarfile.USTAR_FORMAT))
    at = tar.index(b"a/3.jpg")
    tar[at] ^= 1
    path = packed(bytes(tar))
    assert list(outcomes(path).items())[3:] == [(f"{path.name}::<end>", "CORRUPT")]


def test_joined_tars_are_not_dropped_in_silence(packed: Packed) -> None:
    for gap in (0, 512, 3_000_000):
        path = packed(tar_bytes(GOOD[:2]) + bytes(gap) + tar_bytes(GOOD[2:]))
        assert list(outcomes(path).items())[2:] == [(f"{path.name}::<end>", "REFUSED_MEMBER")]


def test_tar_that_a_failed_copy_filled_with_zeros_is_said(tmp_path: Path) -> None:
    tar = tar_bytes(GOOD, tarfile.USTAR_FORMAT)
    (tmp_path / "x.tar").write_bytes(tar[:3072] + bytes(20_000_000))
    assert list(outcomes(tmp_path / "x.tar").values())[3:] == ["CORRUPT"]
    (tmp_path / "x.tar").write_bytes(bytes(len(tar)))
    assert outcomes(tmp_path / "x.tar") == {"x.tar::<end>": "EMPTY"}


def hostile_headers() -> dict[str, bytes]:
    member = tar_bytes([file_info("a.jpg", b"x")], tarfile.USTAR_FORMAT)

    def extended(kind: bytes, body: bytes) -> bytes:
        info, _ = file_info("pax", body, type=kind)
        return info.tobuf(tarfile.USTAR_FORMAT) + body.ljust(-len(body) // 512 * -512, b"\0")

    slow = b"2 " * 8000
    return {
        "large": extended(b"x", b"9" * 10_000_000) + member,
        "long name": extended(b"L", b"n" * 10_000_000) + member,
        "digits": extended(b"x", b"1" * 30_000) + member,
        "records": extended(b"x", slow[:16_000]) + member,
        "chain": extended(b"x", b"11 a=bcdef\n") * 2000 + member,
        "global": b"".join(extended(b"g", b"12 k%05d=x\n" % n) for n in range(300)) + member,
        "zero length": extended(b"x", b"0 a=b\n") + member,
        "not a number": extended(b"x", b"19 GNU.sparse.map=x\n") + member,
    }


@pytest.mark.parametrize("name", hostile_headers())
def test_hostile_headers_end_in_a_row_soon(packed: Packed, name: str) -> None:
    path = packed(hostile_headers()[name])
    start = time.process_time()
    found = outcomes(path)
    assert time.process_time() - start < 30  # under 1 s; those of Python itself would take hours
    assert set(found) <= {f"{path.name}::a.jpg", f"{path.name}::<end>"}
    assert found.get(f"{path.name}::<end>", "CORRUPT") == "CORRUPT"
    assert len(found) == 1


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_gives_rows_and_nothing_else(packed: Packed, seed: int) -> None:
    generator = random.Random(seed)
    tar = bytearray(tar_bytes([*GOOD, file_info("n" * 200, b"x")], tarfile.PAX_FORMAT))
    for _ in range(generator.randint(1, 20)):
        tar[generator.randrange(8000)] = generator.randrange(256)
    outcomes(packed(bytes(tar)))
    raw = bytearray(packed(bytes(tar)).read_bytes())
    for _ in range(5):
        raw[generator.randrange(len(raw))] = generator.randrange(256)
    path = packed(b"")
    path.write_bytes(raw)
    outcomes(path)


def test_tar_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "EXPANSION_FLOOR", 1 << 20)
    tar = tar_bytes([file_info("a.jpg", b"a"), file_info("zeros", bytes(50_000_000))])
    for ending, content in ((".gz", gzip.compress(tar)), (".zst", zstandard.compress(tar))):
        path = tmp_path / f"x.tar{ending}"
        path.write_bytes(content)
        found = list(outcomes(path).items())
        assert found[0] == (f"{path.name}::a.jpg", b"a")
        assert found[1][1] in ("TRUNCATED", "TOO_LARGE")
        assert len(found) == 2


def test_member_over_the_byte_limit_is_not_read(packed: Packed) -> None:
    path = packed(tar_bytes([file_info("a", bytes(2**20)), file_info("b", b"x")]))
    assert list(outcomes(path, limits=Limits(mebibytes=0.5)).values()) == ["TOO_LARGE", b"x"]


def test_wide_window_of_zstandard_is_refused(tmp_path: Path) -> None:
    settings = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    tar = tar_bytes(GOOD)
    compressor = zstandard.ZstdCompressor(compression_params=settings)
    with (
        (tmp_path / "x.tar.zst").open("wb") as stream,
        compressor.stream_writer(stream) as writer,
    ):
        writer.write(tar)
    assert list(outcomes(tmp_path / "x.tar.zst").items()) == [("x.tar.zst::<end>", "CORRUPT")]


def test_changed_tar_is_noticed_by_every_member(packed: Packed) -> None:
    path = packed(tar_bytes(GOOD))
    entries = list(open_archives([path], Selection()))
    packed(tar_bytes([file_info(info.name, content[::-1], mtime=1) for info, content in GOOD]))
    contents = Contents(Limits())
    assert {outcome(contents, entry) for entry in entries} == {"READ_FAILED"}


def test_member_is_read_without_what_lies_before_it(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(tar_bytes(GOOD))
    last = list(open_archives([path], Selection()))[-1]
    with path.open("r+b") as stream:
        stream.write(bytes(last.offset - 512))  # the head is gone
    assert Contents(Limits()).content(last) == GOOD[-1][1]
    assert last.check == zlib.crc32(path.read_bytes()[last.offset - 512 : last.offset])


def test_compressed_tar_can_be_read_again_from_its_start(packed: Packed) -> None:
    path = packed(tar_bytes(GOOD))
    contents = Contents(Limits())
    entries = list(open_archives([path], Selection()))
    for entry in (*entries, *reversed(entries)):
        assert contents.content(entry) == GOOD[entry.ordinal][1]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_archives_stay_open(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.tar" for number in range(40)]
    for path in paths:
        path.write_bytes(tar_bytes(GOOD))
    contents = Contents(Limits())
    before = open_files()
    for entry in open_archives(paths, Selection()):
        contents.content(entry)
        assert open_files() <= before + 12
    contents.close()
    assert open_files() <= before


LIST_AND_TELL_PEAK = """
import resource, sys
from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
count = sum(1 for _ in open_archives([sys.argv[1]], Selection()))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_fifty_thousand_members_are_listed_in_little_memory(tmp_path: Path) -> None:
    peaks = []
    for count in (1000, 50_000):
        path = tmp_path / f"{count}.tar"
        with path.open("wb") as stream:
            for number in range(count):
                info, _ = file_info(f"{'d' * 60}/{number}.jpg")
                stream.write(info.tobuf(tarfile.USTAR_FORMAT))
            stream.write(bytes(1024))
        words = [sys.executable, "-c", LIST_AND_TELL_PEAK, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found, peak = map(int, done.stdout.split())
        assert found == count
        peaks.append(peak)
    # 100 bytes a member remember its name; a TarInfo each would be 50 MiB.
    assert peaks[1] - peaks[0] < 12 * 1024, f"KiB: {peaks}"


def test_unreadable_tar_stops_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.tar").write_bytes(tar_bytes(GOOD))

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(streams.HeaderStream, "read", failing)
    with pytest.raises(ArchiveError, match=r"x\.tar: Input/output error"):
        outcomes(tmp_path / "x.tar")
