"""Parts are checked before anything is written, and what is written is what pip would write."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import unpack_gpu_runtime
from tiny_wheels import HERE, files_below, make_parts, make_wheel
from unpack_gpu_runtime import JoinedParts, RuntimePackError, main, member_place, unpack_wheel

ECHO = b"import sys\n\ndef main():\n    sys.stdout.write('|'.join(sys.argv))\n"
ENGINE = {"__init__": b"", "cli": ECHO, "commands": b""}


def unpacked(parts: Path, folder: Path) -> int:
    return main([str(parts), "-o", str(folder)])


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Two wheels in about a dozen parts."""
    small = make_wheel(tmp_path / "wheels", "pydantic", {"pydantic/__init__.py": b"x = 1\n" * 400})
    own = make_wheel(
        tmp_path / "wheels",
        "cxrsweep",
        {f"cxrsweep/engine/{name}.py": text for name, text in ENGINE.items()},
    )
    return make_parts(tmp_path / "parts", small, own)


def test_a_wheel_unpacks_to_the_files_that_pip_installs(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "tiny",
        {
            "tiny/__init__.py": b"VERSION = 1\n",
            "tiny/lib.so": bytes(range(256)) * 9,
            "tiny/tool": b"#!/bin/sh\n",
            "tiny-1.0.data/purelib/pure.py": b"pure = True\n",
            "tiny-1.0.data/platlib/tiny/plat.py": b"plat = True\n",
            "tiny-1.0.data/data/share/tiny/text": b"text",
            "tiny-1.0.data/scripts/start": b"#!python\nprint(1)\n",
            "tiny-1.0.data/scripts/shell": b"#!/bin/sh\necho 1\n",
        },
        executable=("tiny/tool", "tiny-1.0.data/scripts/start", "tiny-1.0.data/scripts/shell"),
    )
    reference = tmp_path / "pip"
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*words, "--target", reference, wheel], check=True)
    with wheel.open("rb") as opened:
        unpack_wheel(opened, wheel.name, tmp_path / "ours")
    # written by pip about its own work, and its new RECORD
    own = {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD"}
    expected = {k: v for k, v in files_below(reference).items() if k.split("/")[-1] not in own}
    found = {k: v for k, v in files_below(tmp_path / "ours").items() if not k.endswith("/RECORD")}
    assert len(found) == 10
    assert found == expected


def test_joined_parts_read_like_one_file_at_every_place(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    pieces = [random.bytes(size) for size in (7, 1, 0, 30, 4)]
    paths = [tmp_path / str(index) for index in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    reference = io.BytesIO(b"".join(pieces))
    with io.BufferedReader(JoinedParts(paths), 3) as joined:
        for _ in range(300):
            place, count = (int(value) for value in random.integers(0, 46, 2))
            assert joined.seek(place) == reference.seek(place)
            assert joined.read(count) == reference.read(count), (place, count)
        assert joined.seek(-5, os.SEEK_END) == reference.seek(-5, os.SEEK_END)
        assert joined.read() == reference.read()


def test_every_missing_and_every_damaged_part_is_named(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (parts / "runtime.part-002").unlink()
    (parts / "runtime.part-004").unlink()
    damaged = parts / "runtime.part-001"
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    assert unpacked(parts, tmp_path / "runtime") == 1
    message = capsys.readouterr().err
    assert "missing: runtime.part-002, runtime.part-004: bring them over;" in message
    assert "damaged: runtime.part-001: bring them over again" in message
    assert not (tmp_path / "runtime").exists()


@pytest.mark.parametrize("kept", [0, 40, -30, "last line"])
def test_a_list_of_checksums_that_was_cut_short_is_noticed(
    kept: int | str, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sums = parts / "SHA256SUMS"
    text = sums.read_text()
    cut = text.index("unpack_gpu") + len("unpack_gpu_runtime.py\n") if kept == "last line" else kept
    sums.write_text(text[:cut])  # type: ignore[misc]
    assert unpacked(parts, tmp_path / "runtime") == 1
    assert "SHA256SUMS is damaged: bring SHA256SUMS over again" in capsys.readouterr().err


def test_parts_of_several_trips_unpack_once_all_are_there(parts: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    (parts / "runtime.part-003").rename(later / "runtime.part-003")
    assert unpacked(parts, tmp_path / "runtime") == 1
    shutil.copy(later / "runtime.part-003", parts)
    assert unpacked(parts, tmp_path / "runtime") == 0
    assert (tmp_path / "runtime/pydantic/__init__.py").read_bytes() == b"x = 1\n" * 400


def test_another_python_is_refused_with_both_versions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = make_wheel(tmp_path, "tiny", {"tiny.py": b""})
    other = replace(HERE, python="3.99", soabi="cpython-399-x86_64-linux-gnu")
    parts = make_parts(tmp_path / "parts", wheel, target=other)
    assert unpacked(parts, tmp_path / "runtime") == 1
    message = capsys.readouterr().err
    assert "packed for Python 3.99 (cpython-399-x86_64-linux-gnu)" in message
    assert HERE.soabi in message
    assert "start this script with python3.99" in message


def test_an_older_c_library_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "tiny", {"tiny.py": b""}, tag="py3-none-manylinux_2_28_x86_64")
    parts = make_parts(tmp_path / "parts", wheel)
    monkeypatch.setattr(unpack_gpu_runtime, "glibc_here", lambda: (2, 27))
    assert unpacked(parts, tmp_path / "runtime") == 1
    assert "need glibc 2.28, this system has 2.27" in capsys.readouterr().err


def test_too_small_a_disk_is_refused_before_anything_is_written(
    parts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(4000, 2000, 2000))
    assert unpacked(parts, tmp_path / "runtime") == 1
    assert "MiB free" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"parts", "wheels"}


@pytest.mark.parametrize(
    "member",
    ["../up.py", "/absolute.py", "tiny/../../up.py", "tiny\\..\\up.py", "t-1.data/data/../../up"],
)
def test_a_file_that_leaves_the_folder_stops_all_and_leaves_nothing(
    member: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_wheel(tmp_path / "wheels", "good", {"good.py": b""})
    bad = make_wheel(tmp_path / "wheels", "tiny", {"tiny/first.py": b"", member: b"bad"})
    parts = make_parts(tmp_path / "parts", good, bad)
    before = files_below(tmp_path)
    assert unpacked(parts, tmp_path / "runtime") == 1
    assert "which leaves the folder: do not use it" in capsys.readouterr().err
    assert files_below(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"parts", "wheels"}


def test_a_kind_of_file_without_a_place_is_refused() -> None:
    with pytest.raises(RuntimePackError, match="known are purelib, platlib, data, scripts"):
        member_place("tiny-1.0.data/headers/tiny.h", "tiny.whl")


def test_a_wheel_that_is_not_the_packed_one_is_refused(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((parts / "runtime.json").read_text())
    name = next(iter(manifest["wheels"]))
    manifest["wheels"][name] = "0" * 64
    (parts / "runtime.json").write_text(json.dumps(manifest))
    names = [line.split()[1] for line in (parts / "SHA256SUMS").read_text().splitlines()]
    sums = subprocess.run(["sha256sum", *names], cwd=parts, capture_output=True, check=True)
    (parts / "SHA256SUMS").write_bytes(sums.stdout)
    assert unpacked(parts, tmp_path / "runtime") == 1
    assert f"{name} in {parts} is not the wheel that was packed" in capsys.readouterr().err
    assert not (tmp_path / "runtime").exists()


def test_a_folder_in_use_is_refused_and_an_empty_one_taken(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    assert unpacked(parts, folder) == 1
    assert "is not an empty folder: name a new one" in capsys.readouterr().err
    assert files_below(folder) == {"mine": (b"mine", False)}
    (folder / "mine").unlink()
    assert unpacked(parts, folder) == 0


def test_the_folder_is_as_open_to_others_as_the_umask_says(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert unpacked(parts, tmp_path / "runtime") == 0
    assert (tmp_path / "runtime").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_starter_runs_the_unpacked_program_from_anywhere(parts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    assert unpacked(parts, folder) == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # must not stand in for the package
    (elsewhere / "cxrsweep.py").write_text("raise SystemExit('the wrong one')\n")
    (elsewhere / "link").symlink_to(folder / "bin" / "cxrsweep")
    for starter in (folder / "bin" / "cxrsweep", elsewhere / "link"):
        words = [starter, "sweep", "two words", "$HOME"]
        done = subprocess.run(words, cwd=elsewhere, capture_output=True, text=True, check=True)
        assert done.stdout == "cxrsweep|sweep|two words|$HOME"


def test_the_self_check_tells_what_is_broken_from_what_waits_for_a_driver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = b"raise ImportError('libcuda.so.1: cannot open shared object file')\n"
    driver = make_wheel(tmp_path, "pycuda", {"pycuda/driver.py": waiting})
    good = make_parts(tmp_path / "good", driver)
    assert unpacked(good, tmp_path / "runtime") == 0
    assert "pycuda.driver              waits for the NVIDIA driver" in capsys.readouterr().out
    broken = make_wheel(tmp_path, "pydantic", {"pydantic.py": b"import no_such_module\n"})
    bad = make_parts(tmp_path / "bad", driver, broken)
    assert unpacked(bad, tmp_path / "other") == 1
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("  pydantic ")]
    assert "does not import: ModuleNotFoundError: No module named 'no_such_module'" in line
    # this Python has numpy, the folder has not
    assert "  numpy                      left out when packing" in lines


def test_the_copy_beside_the_parts_unpacks_them_without_site_packages(
    parts: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-I", "-S", parts / "unpack_gpu_runtime.py", "-o", "runtime"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"export PYTHONPATH={tmp_path / 'runtime'}" in done.stdout
