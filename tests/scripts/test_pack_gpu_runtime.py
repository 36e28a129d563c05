"""What is packed is every wheel, unchanged, in parts that fit; then a real one for Python 3.12."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pack_gpu_runtime
import pycuda_wheel
import pytest
import unpack_gpu_runtime
from pack_gpu_runtime import check_members, collect, main, oldest_glibc
from tiny_wheels import HERE, make_parts, make_wheel
from unpack_gpu_runtime import RuntimePackError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CACHE = Path.home() / ".cache" / "cxrsweep"


def noise(count: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(count)


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    made = {"numpy": noise(5000), "pycuda": noise(3000), "cxrsweep": noise(300)}
    return [make_wheel(tmp_path / "wheels", name, {f"{name}.py": c}) for name, c in made.items()]


def test_parts_joined_by_hand_are_a_tar_of_the_unchanged_wheels(
    wheels: list[Path], tmp_path: Path
) -> None:
    folder = make_parts(tmp_path / "parts", *wheels, part_bytes=1000)
    parts = sorted(folder.glob("runtime.part-*"))
    assert [part.name for part in parts[:2]] == ["runtime.part-000", "runtime.part-001"]
    assert {part.stat().st_size for part in parts[:-1]} == {1000}
    assert 0 < parts[-1].stat().st_size <= 1000
    with tarfile.open(fileobj=io.BytesIO(b"".join(p.read_bytes() for p in parts))) as stream:
        found = {member.name: stream.extractfile(member).read() for member in stream}  # type: ignore[union-attr]
    assert found == {wheel.name: wheel.read_bytes() for wheel in wheels}


def test_sha256sum_agrees_with_every_checksum(wheels: list[Path], tmp_path: Path) -> None:
    folder = make_parts(tmp_path / "parts", *wheels)
    words = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    checked = {line.removesuffix(": OK") for line in done.stdout.splitlines()}
    assert checked == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    manifest = json.loads((folder / "runtime.json").read_text())
    sums = {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}
    assert manifest["wheels"] == sums


def test_after_a_change_of_cxrsweep_only_the_end_is_carried_again(
    wheels: list[Path], tmp_path: Path
) -> None:
    first = make_parts(tmp_path / "first", *wheels, part_bytes=2000)
    os.utime(wheels[0])  # a later download of the same wheel
    changed = make_wheel(tmp_path / "later", "cxrsweep", {"cxrsweep.py": noise(300, seed=2)})
    second = make_parts(tmp_path / "second", *wheels[:2], changed, part_bytes=2000)
    parts = sorted(path.name for path in first.glob("runtime.part-*"))
    same = [(first / name).read_bytes() == (second / name).read_bytes() for name in parts]
    # numpy and pycuda with their tar headers take up more than four parts
    assert same[:4] == [True] * 4
    assert not all(same)


def test_packing_puts_what_changes_often_last_and_leaves_out_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_wheel(tmp_path / "own", "cxrsweep", {})
    asked: list[str] = []

    def pip(_: object, *words: str | Path) -> None:
        asked.extend(str(word) for word in words)
        for name in ("zlib_ng", "openvino_telemetry", "pycuda", "cxrsweep", "Mako"):
            make_wheel(tmp_path / "wheels", name, {})

    monkeypatch.setattr(pack_gpu_runtime, "pip", pip)
    found = collect(HERE, [own], {"openvino_telemetry"}, tmp_path / "wheels")
    names = [path.name.split("-")[0] for path in found]
    assert names == ["Mako", "zlib_ng", "pycuda", "cxrsweep"]
    assert any(word.startswith("pycuda>=") for word in asked)
    asked.clear()
    collect(HERE, [own], {"pycuda"}, tmp_path / "wheels")
    assert not any(word.startswith("pycuda") for word in asked)
    with pytest.raises(RuntimePackError, match=r"--leave-out numpi: not among .*mako"):
        collect(HERE, [own], {"numpi"}, tmp_path / "wheels")


def test_what_would_fail_on_the_host_is_told_when_packing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path_file = make_wheel(tmp_path, "tiny", {"tiny.py": b"", "tiny-hook.pth": b"import tiny\n"})
    check_members(path_file)
    assert capsys.readouterr().out == (
        "note: tiny-1.0-py3-none-any.whl holds tiny-hook.pth, which Python does not read on"
        " PYTHONPATH\n"
    )
    headers = make_wheel(tmp_path, "tiny", {"tiny-1.0.data/headers/tiny.h": b""})
    with pytest.raises(RuntimePackError, match="leave it out with --leave-out when packing"):
        check_members(headers)


@pytest.mark.parametrize(
    ("tags", "needed"),
    [
        (["py3-none-any"], (2, 17)),
        (["cp312-cp312-manylinux2014_x86_64"], (2, 17)),
        (["cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64"], (2, 27)),
        (
            ["py3-none-any", "py3-none-manylinux_2_28_x86_64", "py3-none-manylinux_2_9_x86_64"],
            (2, 28),
        ),
        # 2.9 is older than 2.34, as text it would be newer
        (["cp312-cp312-linux_x86_64", "py3-none-manylinux_2_28_x86_64"], (2, 34)),
    ],
)
def test_the_newest_c_library_that_any_wheel_needs_counts(
    tags: list[str], needed: tuple[int, int], tmp_path: Path
) -> None:
    library = b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBCXX_3.4.29\0"
    made = [
        make_wheel(tmp_path, f"w{i}", {"lib.cpython-312.so": library}, tag)
        for i, tag in enumerate(tags)
    ]
    assert oldest_glibc(made) == needed


def test_pycuda_is_built_once_and_then_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = f"{HERE.tag}-{HERE.tag}-linux_x86_64"
    wheel = make_wheel(tmp_path, "pycuda", {}, tag)
    builds = []

    def build(*_: object) -> Path:
        builds.append(1)
        return wheel

    monkeypatch.setattr(pycuda_wheel, "_built_pycuda", build)
    monkeypatch.setattr(pycuda_wheel, "pinned", lambda _: "1.0")
    for _ in range(2):
        found = pycuda_wheel.pycuda_wheel(HERE, tmp_path / "cache", None, tmp_path)
        assert found == tmp_path / "cache" / wheel.name
    assert found.read_bytes() == wheel.read_bytes()
    assert len(builds) == 1


def test_a_pycuda_that_would_not_import_beside_a_driver_is_refused(tmp_path: Path) -> None:
    tag = f"{HERE.tag}-{HERE.tag}-linux_x86_64"
    member = "pycuda/_driver.cpython-312-x86_64-linux-gnu.so"
    good = make_wheel(tmp_path / "good", "pycuda", {member: b"\x7fELF\0libcuda.so.1\0"}, tag)
    pycuda_wheel.check_pycuda(good, HERE)
    unlinked = make_wheel(tmp_path, "pycuda", {member: b"\x7fELF\0libstdc++.so.6\0"}, tag)
    with pytest.raises(RuntimePackError, match=r"linked without libcuda\.so\.1"):
        pycuda_wheel.check_pycuda(unlinked, HERE)
    other = make_wheel(tmp_path, "pycuda", {}, "cp399-cp399-linux_x86_64")
    with pytest.raises(RuntimePackError, match=f"no wheel of pycuda for Python {HERE.python}"):
        pycuda_wheel.check_pycuda(other, HERE)


def test_a_toolkit_without_headers_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "cuda.h").write_text("")
    with pytest.raises(RuntimePackError, match=r"include has no cudaProfiler\.h: .*leave out"):
        pycuda_wheel.cuda_headers(HERE, tmp_path, tmp_path)


def test_what_the_gpu_extra_asks_for_is_pinned() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for line in [*settings["dependencies"], *settings["optional-dependencies"]["gpu"]]:
        name = re.split(r"[<>=]", line)[0]
        text = (REPOSITORY / "constraints.txt").read_text()
        spelled = re.sub("[-_]", "[-_]", re.escape(name).replace(r"\-", "-"))
        assert re.search(rf"^{spelled}==\S+$", text, re.MULTILINE | re.IGNORECASE), name


def test_an_unknown_python_stops_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-o", str(tmp_path / "parts"), "--python", "python9.9"]) == 1
    assert "python9.9 was not found: install the Python" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_parts_of_nothing_are_a_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["-o", str(tmp_path / "parts"), "--part-mib", "0"])
    assert end.value.code == 2
    assert "--part-mib 0: at least 1" in capsys.readouterr().err


def test_every_option_of_the_offline_page_exists() -> None:
    page = (REPOSITORY / "docs" / "offline.md").read_text(encoding="utf-8")
    helps = [
        subprocess.run([sys.executable, file, "--help"], capture_output=True, text=True, check=True)
        for file in (pack_gpu_runtime.__file__, unpack_gpu_runtime.__file__)
    ]
    told = "".join(done.stdout for done in helps)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) - {"--help", "--check"}
    assert options
    assert {option for option in options if option not in told} == set()


def python_312() -> Path | None:
    """A Python 3.12 of this machine."""
    found = shutil.which("python3.12")
    if found is not None and subprocess.run([found, "-c", ""], check=False).returncode == 0:
        return Path(found)
    return next((Path.home() / ".pyenv" / "versions").glob("3.12*/bin/python3.12"), None)


@pytest.fixture(scope="module")
def unpacked_312(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, str]]:
    """The real runtime without building pycuda: its Python, its folder, what unpacking said."""
    python = python_312()
    if python is None:
        pytest.skip("no Python 3.12 on PATH or in ~/.pyenv/versions")
    reach = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "click"]
    work = tmp_path_factory.mktemp("real")
    if subprocess.run([*reach, "--dest", work / "reach"], check=False).returncode:
        pytest.skip("the package index is out of reach")
    words = ["-o", str(work / "parts"), "--python", str(python)]
    if not any(CACHE.glob("pycuda-*-cp312-*.whl")):
        words += ["--leave-out", "pycuda"]
    assert main(words) == 0
    assert max(path.stat().st_size for path in (work / "parts").iterdir()) == 60 << 20
    script = work / "parts" / "unpack_gpu_runtime.py"
    done = subprocess.run(
        [python, "-I", "-S", script, "-o", work / "runtime"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield python, work / "runtime", done.stdout
    shutil.rmtree(work)  # 1.8 GiB


@pytest.mark.slow  # about a minute: half a gigabyte is fetched, packed and unpacked
def test_a_real_runtime_imports_from_its_folder_alone(
    unpacked_312: tuple[Path, Path, str],
) -> None:
    python, folder, _ = unpacked_312
    modules = "numpy cv2 openvino nvidia.dali pydantic tensorrt_rtx pynvml PIL.Image"
    code = (
        "import importlib, sys\n"
        f"for name in '{modules} cxrsweep.engine cxrsweep.bench.demonstration'.split():\n"
        "    print(importlib.import_module(name).__file__)\n"
        "from importlib.metadata import version\n"
        "print(version('cxrsweep'), version('nvidia-dali-cuda130'))\n"
    )
    bare = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder)}
    words = [python, "-S", "-P", "-c", code]
    done = subprocess.run(words, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *files, versions = done.stdout.splitlines()
    assert len(files) == 10
    assert all(Path(file).is_relative_to(folder) for file in files), files
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert versions.split()[0] == settings["project"]["version"]
    bare.pop("PYTHONPATH")
    words = [folder / "bin" / "cxrsweep", "--help"]
    done = subprocess.run(words, env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: cxrsweep ")


@pytest.mark.slow
def test_pycuda_of_a_real_runtime_lacks_the_driver_alone(
    unpacked_312: tuple[Path, Path, str],
) -> None:
    (line,) = [line for line in unpacked_312[2].splitlines() if "pycuda.driver" in line]
    if "left out" in line:
        pytest.skip(f"no pycuda for Python 3.12 in {CACHE}: pack once, which takes minutes")
    # on a machine with a driver it imports
    assert "imports" in line or "libcuda.so.1: cannot open shared object file" in line
