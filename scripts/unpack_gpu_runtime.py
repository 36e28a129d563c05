#!/usr/bin/env python3
"""The parts that pack_gpu_runtime.py wrote in, a folder for PYTHONPATH out: no network, no pip.

It travels with the parts, so it is one file and uses the standard library alone.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SUMS = "SHA256SUMS"
MANIFEST = "runtime.json"
BUFFER_BYTES = 1 << 20
# Where a wheel's NAME.data/KEY goes below the folder (Binary distribution format 1.0).
SCHEMES = {"purelib": ".", "platlib": ".", "data": ".", "scripts": "bin"}
# Wheel: what of it is imported in the self-check.
IMPORTS = {
    "numpy": "numpy",
    "opencv_python_headless": "cv2",
    "openvino": "openvino",
    "nvidia_dali_cuda130": "nvidia.dali",
    "pillow": "PIL.Image",
    "pydantic": "pydantic",
    "scikit_learn": "sklearn.linear_model",
    "scipy": "scipy.stats",
    "nvidia_ml_py": "pynvml",
    "tensorrt_rtx": "tensorrt_rtx",
    "pycuda": "pycuda.driver",
    "cxrsweep": "cxrsweep.engine.commands",
}
STARTER = """\
#!/bin/sh
folder=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
PYTHONPATH=$folder${{PYTHONPATH:+:$PYTHONPATH}}
export PYTHONPATH
# -P: a file in the current folder never hides a package
exec {python} -P -c \\
    'import sys; sys.argv[0] = "cxrsweep"; from cxrsweep.engine.cli import main; main()' "$@"
"""


class RuntimePackError(Exception):
    """Packing or unpacking cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Runtime:
    """What `runtime.json` says.

    Attributes:
        python: version, for example "3.12".
        soabi: name of that Python's binary interface, `sysconfig.get_config_var("SOABI")`.
        glibc: oldest C library that every wheel loads with.
        unpacked_bytes: of all files of all wheels.
        parts: names, in order.
        wheels: SHA-256 in hexadecimal by file name, in order of the stream.
    """

    python: str
    soabi: str
    glibc: tuple[int, int]
    unpacked_bytes: int
    parts: tuple[str, ...]
    wheels: dict[str, str]


class JoinedParts(io.RawIOBase):
    """Files read as if they were one; seekable, so that no copy of a wheel is needed."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._starts = [0, *accumulate(path.stat().st_size for path in paths)]
        self._position = 0

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read in any order: yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte of the joined stream."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}
        self._position = origin[whence] + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read up to the end of the part; a caller that wants more asks again."""
        if self._position >= self._starts[-1]:
            return 0
        index = bisect_right(self._starts, self._position) - 1
        # opened anew each time: the buffer around this asks for a MiB at once
        with self._paths[index].open("rb", buffering=0) as part:
            part.seek(self._position - self._starts[index])
            count = part.readinto(buffer)
        self._position += count
        return count


def file_sha256(file: IO[bytes] | Path) -> str:
    """SHA-256 of a file from its start, in hexadecimal."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return file_sha256(opened)
    digest = hashlib.sha256()
    while block := file.read(BUFFER_BYTES):
        digest.update(block)
    return digest.hexdigest()


def checked_runtime(folder: Path) -> Runtime:
    """Check that every file lies in the folder undamaged.

    Returns:
        what was packed.

    Raises:
        RuntimePackError: files are missing or damaged, all of them named.
    """
    sums = _sums_of(folder)
    missing = [name for name in sums if not (folder / name).is_file()]
    damaged = [
        name for name in sums if name not in missing and file_sha256(folder / name) != sums[name]
    ]
    if missing or damaged:
        raise RuntimePackError(
            f"{folder} is not whole, nothing was unpacked"
            + (f"; missing: {', '.join(missing)}: bring them over" if missing else "")
            + (f"; damaged: {', '.join(damaged)}: bring them over again" if damaged else "")
        )
    values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return Runtime(
        python=values["python"],
        soabi=values["soabi"],
        glibc=(values["glibc"][0], values["glibc"][1]),
        unpacked_bytes=values["unpacked_bytes"],
        parts=tuple(values["parts"]),
        wheels=dict(values["wheels"]),
    )


def _sums_of(folder: Path) -> dict[str, str]:
    """Checksum by name; the last line is the manifest's, so a list cut short is noticed."""
    again = f"bring {SUMS} over again from the folder that pack_gpu_runtime.py wrote"
    try:
        text = (folder / SUMS).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise RuntimePackError(f"{folder / SUMS} cannot be read ({error}): {again}") from error
    lines = [re.fullmatch(r"([0-9a-f]{64})  ([\w.-]+)", line) for line in text.splitlines()]
    sums = {line[2]: line[1] for line in lines if line}
    if None in lines or not text.endswith(f"  {MANIFEST}\n"):
        raise RuntimePackError(f"{folder / SUMS} is damaged: {again}")
    return sums


def check_host(runtime: Runtime) -> None:
    """Check that the wheels load in the Python that runs this.

    Raises:
        RuntimePackError: other version, build or processor, or an older C library.
    """
    soabi = str(sysconfig.get_config_var("SOABI"))
    if soabi != runtime.soabi:
        raise RuntimePackError(
            f"packed for Python {runtime.python} ({runtime.soabi}), but {sys.executable} is"
            f" {sys.version_info[0]}.{sys.version_info[1]} ({soabi}): start this script with"
            f" python{runtime.python}, or pack again with --python of the version that is here"
        )
    glibc = glibc_here()
    if glibc < runtime.glibc:
        raise RuntimePackError(
            "the packages need glibc {}.{}, this system has {}.{}: pack again on a system as old as"
            " this one, or use a newer one".format(*runtime.glibc, *glibc)
        )


def glibc_here() -> tuple[int, int]:
    """Version of the C library, for example (2, 36)."""
    return version_pair((os.confstr("CS_GNU_LIBC_VERSION") or "glibc 0.0").split()[1])


def version_pair(text: str) -> tuple[int, int]:
    """First two numbers of a version."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that takes its place if the block ends well, else goes.

    Raises:
        RuntimePackError: `path` exists and is not an empty folder.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise RuntimePackError(f"{path} exists and is not an empty folder: name a new one")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        partial.chmod(0o777 & ~_umask())  # mkdtemp makes it for the owner alone
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def unpack(parts: Path, runtime: Runtime, folder: Path) -> None:
    """Unpack every wheel and write the starter `bin/cxrsweep`.

    Raises:
        RuntimePackError: too little space, or a wheel is not what was packed.
    """
    free = shutil.disk_usage(folder).free
    if free < runtime.unpacked_bytes:
        raise RuntimePackError(
            f"{folder.parent} has {free >> 20} MiB free and {runtime.unpacked_bytes >> 20} are"
            " needed: name a folder on a larger disk"
        )
    joined = io.BufferedReader(JoinedParts([parts / name for name in runtime.parts]), BUFFER_BYTES)
    with joined, tarfile.open(fileobj=joined, mode="r:") as stream:
        names = stream.getnames()
        if names != list(runtime.wheels):
            raise RuntimePackError(f"{parts} holds {names}, expected {list(runtime.wheels)}")
        for name, sha256 in runtime.wheels.items():
            wheel = stream.extractfile(name)
            if wheel is None or file_sha256(wheel) != sha256:
                raise RuntimePackError(f"{name} in {parts} is not the wheel that was packed")
            unpack_wheel(wheel, name, folder)
    starter = folder / "bin" / "cxrsweep"
    starter.parent.mkdir(exist_ok=True)
    starter.write_text(STARTER.format(python=shlex.quote(sys.executable)), encoding="utf-8")
    starter.chmod(0o777 & ~_umask())


def unpack_wheel(wheel: IO[bytes], name: str, folder: Path) -> None:
    """Unpack one wheel as `pip install --target` does, without scripts for its entry points.

    Args:
        wheel: the file, seekable.
        name: for messages.
        folder: gets the files.

    Raises:
        RuntimePackError: a file of the wheel has no place in the folder.
    """
    mask = _umask()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            target = folder / member_place(member.filename, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            is_script = ".data/scripts/" in member.filename
            with archive.open(member) as source, target.open("wb") as copy:
                if is_script:
                    copy.write(_with_this_python(source.readline()))
                shutil.copyfileobj(source, copy, BUFFER_BYTES)
            if is_script or member.external_attr >> 16 & 0o111:
                target.chmod(0o777 & ~mask)


def member_place(member: str, wheel: str) -> PurePosixPath:
    """Where a file of a wheel goes below the folder.

    Raises:
        RuntimePackError: outside of it, or a kind of file that has no place.
    """
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member:
        raise RuntimePackError(f"{wheel} holds {member!r}, which leaves the folder: do not use it")
    if not path.parts[0].endswith(".data"):
        return path
    if len(path.parts) < 3 or path.parts[1] not in SCHEMES:
        raise RuntimePackError(
            f"{wheel} holds {member!r}; known are {', '.join(SCHEMES)}: leave it out with"
            " --leave-out when packing"
        )
    return PurePosixPath(SCHEMES[path.parts[1]], *path.parts[2:])


def _with_this_python(first_line: bytes) -> bytes:
    """The first line of a script, its `#!python` replaced as the wheel format wants."""
    if first_line.startswith(b"#!python"):
        return b"#!" + os.fsencode(sys.executable) + b"\n"
    return first_line


def failed_import(module: str, folder: Path) -> str | None:
    """Import a module from the folder alone.

    Returns:
        None, or the last line of what went wrong.
    """
    # -S: packages of this Python's own site folder must not stand in for a missing one
    words = [sys.executable, "-S", "-P", "-c", f"import {module}"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]


def report(runtime: Runtime, folder: Path) -> bool:
    """Say what imports and what to set.

    Returns:
        whether everything imports; what waits for the driver of the GPU counts as if it did.
    """
    packed = {name.split("-")[0].lower() for name in runtime.wheels}
    say(f"unpacked {len(runtime.wheels)} packages into {folder}")
    good = True
    for distribution, module in IMPORTS.items():
        if distribution not in packed:
            say(f"  {module:26} left out when packing")
        elif (failure := failed_import(module, folder)) is None:
            say(f"  {module:26} imports")
        elif "libcuda.so" in failure:
            say(f"  {module:26} waits for the NVIDIA driver ({failure})")
        else:
            good = False
            say(f"  {module:26} does not import: {failure}")
    say(f"start: {shlex.quote(str(folder / 'bin' / 'cxrsweep'))} --help")
    say(f"or:    export PYTHONPATH={shlex.quote(str(folder))}")
    say(f'       export PATH={shlex.quote(str(folder / "bin"))}:"$PATH"')
    return good


def say(line: str) -> None:
    """Write a line to stdout at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Unpack and check; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Check the parts of a packed runtime and unpack them into a folder.",
        epilog="Example: python3.12 parts/unpack_gpu_runtime.py parts -o runtime",
    )
    here = Path(__file__).resolve().parent
    told = "folder with every part; by default the one this script lies in"
    parser.add_argument("parts", nargs="?", type=Path, default=here, help=told)
    parser.add_argument("-o", "--output", type=Path, required=True, help="new folder")
    options = parser.parse_args(arguments)
    folder: Path = options.output.absolute()
    try:
        runtime = checked_runtime(options.parts)
        check_host(runtime)
        with new_folder(folder) as partial:
            unpack(options.parts, runtime, partial)
    except (RuntimePackError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0 if report(runtime, folder) else 1


if __name__ == "__main__":
    sys.exit(main())
