#!/usr/bin/env python3
"""The GPU extra's wheels for one Python in, numbered parts with checksums out, to be carried.

Needs a network, the target Python on this machine and, for pycuda, a C++ compiler; no GPU, no
CUDA toolkit. `unpack_gpu_runtime.py`, which is written beside the parts, needs none of that.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pycuda_wheel import check_pycuda, pycuda_wheel
from target_python import REPOSITORY, Target, open_target, pip
from unpack_gpu_runtime import (
    MANIFEST,
    SUMS,
    RuntimePackError,
    file_sha256,
    member_place,
    new_folder,
    say,
    version_pair,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

UNPACKER = "unpack_gpu_runtime.py"
MIB = 1 << 20
LAST = {"pycuda": 1, "cxrsweep": 2}


class PartWriter(io.RawIOBase):
    """A stream cut into files of equal size.

    Attributes:
        names: of the files begun so far.
    """

    def __init__(self, folder: Path, part_bytes: int) -> None:
        self._folder = folder
        self._part_bytes = part_bytes
        self._file: BinaryIO | None = None
        self._room = 0
        self.names: list[str] = []

    def writable(self) -> bool:
        """Whether it can be written: yes."""
        return True

    def write(self, block: ReadableBuffer, /) -> int:
        """Write all of it, beginning new files as they fill up."""
        rest = memoryview(block).cast("B")
        count = len(rest)
        while len(rest):
            if not self._room:
                self._next()
            assert self._file is not None
            taken = self._file.write(rest[: self._room])
            self._room -= taken
            rest = rest[taken:]
        return count

    def _next(self) -> None:
        if self._file is not None:
            self._file.close()
        self.names.append(f"runtime.part-{len(self.names):03d}")
        self._file = (self._folder / self.names[-1]).open("wb")
        self._room = self._part_bytes

    def close(self) -> None:
        """Close the last part."""
        if self._file is not None:
            self._file.close()
        super().close()


def project_wheel(target: Target, work: Path) -> Path:
    """Build cxrsweep's own wheel from a copy, so that no leftover of an earlier build gets in."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {Path(f).parts[0] for f in settings["tool"]["setuptools"]["package-dir"].values()}
    source = work / "source"
    for folder in folders:
        leftovers = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=leftovers)
    for name in ("pyproject.toml", settings["project"]["readme"], "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    pip(target, "wheel", "--no-deps", "--wheel-dir", work / "own", source)
    return next((work / "own").glob("cxrsweep-*.whl"))


def collect(target: Target, given: Sequence[Path], left_out: set[str], folder: Path) -> list[Path]:
    """Gather the wheels of the GPU extra at the versions of constraints.txt.

    Args:
        target: whose pip chooses.
        given: wheels that are here already.
        left_out: packages, in wheels' spelling.
        folder: gets the wheels.

    Returns:
        in order of the stream: what changes most often comes last, so that after a change of
        cxrsweep only the last part differs.

    Raises:
        RuntimePackError: pip fails, a wheel has files without a place, or a package to leave
            out is not among them.
    """
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    asked = settings["project"]["optional-dependencies"]["gpu"]
    names = {line: wheel_spelling(re.split(r"[^\w.-]", line)[0]) for line in asked}
    own = {wheel.name.split("-")[0] for wheel in given}
    lines = [line for line in asked if names[line] not in left_out | own]
    constraints = REPOSITORY / "constraints.txt"
    pip(target, "wheel", "--constraint", constraints, "--wheel-dir", folder, *given, *lines)
    wheels = {path: wheel_spelling(path.name.split("-")[0]) for path in folder.glob("*.whl")}
    unknown = left_out - {*wheels.values(), *names.values()}
    if unknown:
        raise RuntimePackError(
            f"--leave-out {', '.join(sorted(unknown))}: not among {', '.join(wheels.values())}"
        )
    kept = [path for path, name in wheels.items() if name not in left_out]
    for path in kept:
        check_members(path)
    return sorted(kept, key=lambda path: (LAST.get(wheels[path], 0), path.name))


def check_members(wheel: Path) -> None:
    """Find here, where it can be mended, what would fail on the host.

    Raises:
        RuntimePackError: a file of the wheel has no place in the host's folder.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.endswith("/") and member_place(name, wheel.name).match("*.pth"):
                say(f"note: {wheel.name} holds {name}, which Python does not read on PYTHONPATH")


def wheel_spelling(name: str) -> str:
    """A package's name as in the file names of wheels."""
    return re.sub(r"[-_.]+", "_", name).lower()


def oldest_glibc(wheels: Sequence[Path]) -> tuple[int, int]:
    """The C library that a host needs at least, so that every wheel loads."""
    needed = [(2, 17)]  # older ones have no Python 3.11
    for wheel in wheels:
        platforms = wheel.stem.split("-")[-1]
        tags = re.findall(r"manylinux_(\d+)_(\d+)_", platforms)
        if tags:
            # a wheel with several tags fits each of them
            needed.append(min((int(major), int(minor)) for major, minor in tags))
        elif platforms.startswith("linux_"):  # built here, nobody has vouched for it
            needed += _glibc_of_libraries(wheel)
    return max(needed)


def _glibc_of_libraries(wheel: Path) -> list[tuple[int, int]]:
    with zipfile.ZipFile(wheel) as archive:
        libraries = [archive.read(name) for name in archive.namelist() if ".so" in name]
    found = [re.findall(rb"GLIBC_(\d+\.\d+)[.\d]*\0", library) for library in libraries]
    return [version_pair(text.decode()) for texts in found for text in texts]


def unpacked_bytes(wheels: Sequence[Path]) -> int:
    """Bytes of all files of all wheels."""
    count = 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            count += sum(member.file_size for member in archive.infolist())
    return count


def write_parts(wheels: Sequence[Path], target: Target, part_bytes: int, folder: Path) -> int:
    """Write the parts, the manifest, the checksums and the script that unpacks them.

    Returns:
        the number of parts.
    """
    writer = PartWriter(folder, part_bytes)
    with writer, tarfile.open(fileobj=writer, mode="w|", format=tarfile.GNU_FORMAT) as stream:
        for wheel in wheels:
            # name and size alone: equal wheels make equal parts, whoever packs them
            member = tarfile.TarInfo(wheel.name)
            member.size = wheel.stat().st_size
            with wheel.open("rb") as opened:
                stream.addfile(member, opened)
    manifest = {
        "python": target.python,
        "soabi": target.soabi,
        "glibc": oldest_glibc(wheels),
        "unpacked_bytes": unpacked_bytes(wheels),
        "parts": writer.names,
        "wheels": {wheel.name: file_sha256(wheel) for wheel in wheels},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.copy(Path(__file__).resolve().parent / UNPACKER, folder / UNPACKER)
    # the manifest comes last: a list that was cut short is then noticed
    names = [*writer.names, UNPACKER, MANIFEST]
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="ascii")
    return len(writer.names)


def pack(options: argparse.Namespace) -> None:
    """Do all that the options say.

    Raises:
        RuntimePackError: something is missing or fails.
    """
    left_out = {wheel_spelling(name) for name in options.leave_out}
    with new_folder(options.output.absolute()) as folder, tempfile.TemporaryDirectory() as name:
        work = Path(name)
        target = open_target(options.python, work)
        given = [project_wheel(target, work)]
        if "pycuda" not in left_out:
            wheel = options.pycuda_wheel or pycuda_wheel(
                target, options.cache, options.cuda_root, work
            )
            check_pycuda(wheel, target)
            given.append(wheel)
        wheels = collect(target, given, left_out, work / "wheels")
        count = write_parts(wheels, target, options.part_mib * MIB, folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
    say(f"{len(wheels)} wheels for Python {target.python}: {size / MIB:.0f} MiB in {count} parts")
    say(f"carry {options.output} and there start:")
    say(f"  python{target.python} {options.output.name}/{UNPACKER} -o FOLDER")


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Pack cxrsweep with its GPU extra for a host without a network.",
        epilog="Example: scripts/pack_gpu_runtime.py -o parts --python python3.12",
    )
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, help="new folder for the parts")
    add("--python", default=sys.executable, help="a Python of the host's version; default: this")
    add("--part-mib", type=int, default=60, help="largest part in MiB (default: 60)")
    add("--pycuda-wheel", type=Path, help="a wheel of pycuda that was built earlier")
    add("--cuda-root", type=Path, help="CUDA 13 toolkit to build pycuda with; default: wheels")
    default = Path.home() / ".cache" / "cxrsweep"
    add("--cache", type=Path, default=default, help=f"keeps built wheels (default: {default})")
    add("--leave-out", action="append", default=[], metavar="NAME", help="a package; repeatable")
    options = parser.parse_args(arguments)
    if options.part_mib < 1:
        parser.error(f"--part-mib {options.part_mib}: at least 1")
    try:
        pack(options)
    except (RuntimePackError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
