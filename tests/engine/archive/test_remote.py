"""URLs: the memory file system of fsspec stands for object stores, a small server for the web."""

from __future__ import annotations

import gzip
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
import zstandard
from archive_support import file_info, outcomes, tar_bytes

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.archive import remote
from cxrsweep.engine.archive.opening import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.errors import ArchiveError
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.header import Limits

MEMBERS = {f"a/{number}.jpg": bytes([0xFF, number]) * (500 * number) for number in range(6)}
TAR = tar_bytes([file_info(name, content) for name, content in MEMBERS.items()])


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    return stream.getvalue()


FILES = {
    "x.tar": TAR,
    "x.tar.gz": gzip.compress(TAR),
    "x.tar.zst": zstandard.compress(TAR),
    "x.zip": zipped(),
    "list.txt": "\n".join(MEMBERS).encode(),
    "list.csv": b"uid,path\n7,a/1.jpg\n8,a/2.jpg\n",
    ".hidden.jpg": b"hidden",
    **MEMBERS,
}


@pytest.fixture
def store() -> Iterator[str]:
    """A folder in an object store with everything in it; its URL."""
    system = fsspec.filesystem("memory")
    for name, content in FILES.items():
        system.pipe(f"/bucket/{name}", content)
    yield "memory://bucket"
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tar.zst", "x.zip"])
def test_archives_behind_urls_give_what_they_hold(store: str, name: str) -> None:
    assert outcomes(f"{store}/{name}") == {f"{name}::{n}": c for n, c in MEMBERS.items()}


def test_folder_of_a_store_is_listed_in_order(store: str) -> None:
    found = outcomes(store, selection=Selection(exclude=("x.*", "list.*")))
    assert list(found.items()) == sorted(MEMBERS.items())
    everything = outcomes(store, selection=Selection(hidden=True))
    assert everything[".hidden.jpg"] == b"hidden"


def test_lists_behind_urls_start_at_their_folder(store: str) -> None:
    assert outcomes(f"{store}/list.txt") == MEMBERS
    named = outcomes(f"{store}/list.csv", selection=Selection(id_column="uid"))
    assert named == {"7": MEMBERS["a/1.jpg"], "8": MEMBERS["a/2.jpg"]}


def test_local_list_may_name_urls(store: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{store}/a/1.jpg\n{store}/gone.jpg\n")
    found = outcomes(tmp_path / "list.txt")
    assert list(found.values()) == [MEMBERS["a/1.jpg"], "READ_FAILED"]


def test_brace_lists_and_single_radiographs_behind_urls(store: str) -> None:
    found = outcomes(f"{store}/x.{{tar,zip}}", f"{store}/a/5.jpg")
    assert len(found) == 13
    assert list(found.items())[-1] == ("5.jpg", MEMBERS["a/5.jpg"])


def test_missing_url_is_said_before_anything_is_swept(store: str) -> None:
    with pytest.raises(ArchiveError, match=r"cannot open gone\.tar: not found"):
        outcomes(f"{store}/gone.tar")
    with pytest.raises(ArchiveError, match="give s3, gs, az or https"):
        outcomes("nonsense://bucket/x.tar")


def test_reason_of_a_url_that_nobody_knows_does_not_quote_it() -> None:
    with pytest.raises(Refused) as refused:
        remote.remote_content("nonsense://bucket/doe-jane.png?signature=1", Limits())
    assert refused.value.code == FailureCode.READ_FAILED
    assert "starts with nonsense:// is of no known kind" in refused.value.reason
    assert "doe" not in refused.value.reason


def test_file_over_the_byte_limit_is_refused(store: str) -> None:
    found = outcomes(f"{store}/list.txt", limits=Limits(mebibytes=2500 / 2**20))
    assert list(found.values()) == [*list(MEMBERS.values())[:3], *["TOO_LARGE"] * 3]


@pytest.mark.parametrize("missing", ["fsspec", "tenacity"])
def test_missing_package_is_named(
    store: str, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    monkeypatch.setitem(__import__("sys").modules, f"{missing}.core", None)
    with pytest.raises(ArchiveError, match=r"pip install .*'\.\[cloud\]'"):
        outcomes(f"{store}/x.tar")


def test_a_list_of_urls_without_the_package_is_refused_before_any_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tenacity", None)
    (tmp_path / "list.txt").write_text("near.png\ns3://bucket/far.png\n")
    with pytest.raises(ArchiveError, match=r"pip install .*'\.\[cloud\]'"):
        list(open_archives([tmp_path / "list.txt"], Selection()))


def failing_at_first(failures: int, error: Exception) -> tuple[list[int], Any]:
    calls = [0]

    def call() -> str:
        calls[0] += 1
        if calls[0] <= failures:
            raise error
        return "done"

    return calls, call


def test_what_fails_for_a_moment_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.001)
    calls, call = failing_at_first(
        remote.ATTEMPTS - 1, ConnectionResetError("https://x?sig=SECRET")
    )
    assert remote.tried(call) == "done"
    assert calls == [remote.ATTEMPTS]
    calls, call = failing_at_first(99, ConnectionResetError("https://x?sig=SECRET"))
    with pytest.raises(OSError, match=r"^\[Errno 5\] ConnectionResetError in 4 tries$"):
        remote.tried(call)
    assert calls == [remote.ATTEMPTS]
    calls, call = failing_at_first(99, FileNotFoundError("x"))
    with pytest.raises(OSError, match="not found"):
        remote.tried(call)
    assert calls == [1]


def test_sweep_over_urls_has_the_rows_of_the_folder(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    sweep([small_archive], light_bundle, tmp_path / "local")
    system = fsspec.filesystem("memory")
    files = [file for file in sorted(small_archive.rglob("*")) if file.is_file()]
    names = [str(file.relative_to(small_archive)) for file in files]
    members = [file_info(name, file.read_bytes()) for name, file in zip(names, files, strict=True)]
    for name, content in members:
        system.pipe(f"/archive/{name.name}", content)
    system.pipe("/x.tar", tar_bytes(members))
    options = SweepOptions(shard_size=5)
    sweep(["memory://archive"], light_bundle, tmp_path / "remote", options)
    local = (tmp_path / "local" / "results.csv").read_bytes()
    assert (tmp_path / "remote" / "results.csv").read_bytes() == local
    sweep(["memory://x.tar"], light_bundle, tmp_path / "tar", options)
    rows = (tmp_path / "tar" / "results.csv").read_bytes()
    assert rows.replace(b"x.tar::", b"") == local
    system.store.clear()


class Server(BaseHTTPRequestHandler):
    """Serves FILES, in parts unless told otherwise; some requests fail first."""

    gives_parts: ClassVar[bool] = True
    failures: ClassVar[int] = 0

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        content = FILES.get(self.path.partition("?")[0].lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        if with_body and Server.failures > 0:
            Server.failures -= 1
            self.send_error(503)
            return
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        total = len(content)
        if asked and self.gives_parts:
            first, last = int(asked[1]), min(int(asked[2] or total - 1), total - 1)
            content = content[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        else:
            self.send_response(200)
        if self.gives_parts:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.001)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tar.zst", "x.zip"])
def test_archives_on_a_web_server(web: str, name: str) -> None:
    found = outcomes(f"{web}/{name}?signature=SECRET")
    assert found == {f"{name}::{n}": c for n, c in MEMBERS.items()}


def test_busy_web_server_is_asked_again(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "failures", 2)
    assert outcomes(f"{web}/a/5.jpg") == {"5.jpg": MEMBERS["a/5.jpg"]}
    assert outcomes(f"{web}/list.txt") == MEMBERS


def test_web_server_that_gives_no_parts(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "gives_parts", False)
    assert outcomes(f"{web}/a/5.jpg") == {"5.jpg": MEMBERS["a/5.jpg"]}
    monkeypatch.setattr(remote, "BLOCK_BYTES", 512)  # a tar that is larger than a block
    with pytest.raises(ArchiveError, match=r"cannot read x\.tar: the server does not give parts"):
        outcomes(f"{web}/x.tar")
