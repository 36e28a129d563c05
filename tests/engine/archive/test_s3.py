"""Archives in an S3-compatible store, over real sockets, also where it fails now and then."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_support import file_info, tar_bytes
from s3_server import Fault, FaultyStore, s3_server

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.archive import remote

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: the extra [cloud]")

BUCKET = "radiographs"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[FaultyStore, str]]:
    with s3_server() as started:
        yield started


@pytest.fixture
def store(
    server: tuple[FaultyStore, str],
    small_archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FaultyStore]:
    """The store with the small archive in it as a folder, a tar, a zip and a list."""
    faulty, address = server
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.001)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    if not system.exists(BUCKET):
        system.mkdir(BUCKET)
    files = {
        str(path.relative_to(small_archive)): path.read_bytes()
        for path in sorted(small_archive.rglob("*"))
        if path.is_file()
    }
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
            system.pipe(f"{BUCKET}/folder/{name}", content)
    members = [file_info(name, content) for name, content in files.items()]
    system.pipe(f"{BUCKET}/x.tar", tar_bytes(members))
    system.pipe(f"{BUCKET}/x.zip", zipped.getvalue())
    system.pipe(f"{BUCKET}/folder/list.txt", "\n".join(files).encode())
    system.invalidate_cache()
    yield faulty
    faulty.restore()
    s3fs.S3FileSystem.clear_instance_cache()


def rows(archive: str, bundle: Bundle, run: Path) -> bytes:
    """What a sweep of an archive in the store writes, ids without the archive's name."""
    name = archive.rpartition("/")[2]
    options = SweepOptions(shard_size=5)
    if name == "folder":  # the list lies in it, and is no radiograph
        from cxrsweep.engine.archive.selection import Selection

        options = SweepOptions(shard_size=5, selection=Selection(exclude=("list.txt",)))
    sweep([f"s3://{BUCKET}/{archive}"], bundle, run, options)
    return (run / "results.csv").read_bytes().replace(f"{name}::".encode(), b"")


ARCHIVES = ("folder", "x.tar", "x.zip", "folder/list.txt")


@pytest.mark.parametrize("archive", ARCHIVES)
def test_archives_in_a_store_have_the_rows_of_the_folder(
    store: FaultyStore, small_archive: Path, light_bundle: Bundle, tmp_path: Path, archive: str
) -> None:
    sweep([small_archive], light_bundle, tmp_path / "local")
    local = (tmp_path / "local" / "results.csv").read_bytes()
    assert local.count(b",ok,") == 12
    assert rows(archive, light_bundle, tmp_path / "remote") == local


@pytest.mark.parametrize("archive", ARCHIVES)
def test_reads_that_fail_now_and_then_lose_no_row(
    store: FaultyStore, small_archive: Path, light_bundle: Bundle, tmp_path: Path, archive: str
) -> None:
    sweep([small_archive], light_bundle, tmp_path / "local")
    faults: tuple[Fault, ...] = ("error 500", "cut off", "error 503")
    store.fail(3 if archive.startswith("folder") else 2, faults)
    found = rows(archive, light_bundle, tmp_path / "remote")
    assert found == (tmp_path / "local" / "results.csv").read_bytes()
    assert store.failed


def test_a_store_that_never_answers_rightly_gives_every_file_its_row(
    store: FaultyStore, light_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # the client's own; ours come on top
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    store.fail(1, ("error 500",))
    options = SweepOptions(shard_size=5)
    summary = sweep([f"s3://{BUCKET}/folder"], light_bundle, tmp_path / "run", options)
    assert (summary.indexed, summary.ok, summary.failed) == (13, 0, 13)
    table = (tmp_path / "run" / "results.csv").read_text()
    assert table.count(",failed,READ_FAILED,") == 13
