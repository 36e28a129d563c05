"""Hand-made wheels, a few files each."""

from __future__ import annotations

import stat
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pack_gpu_runtime import write_parts
from target_python import Target

HERE = Target(
    python=f"{sys.version_info[0]}.{sys.version_info[1]}",
    tag=f"cp{sys.version_info[0]}{sys.version_info[1]}",
    soabi=str(sysconfig.get_config_var("SOABI")),
    pip=Path(sys.executable),
)


def make_wheel(
    folder: Path,
    name: str,
    members: Mapping[str, bytes],
    tag: str = "py3-none-any",
    executable: tuple[str, ...] = (),
) -> Path:
    """Write NAME-1.0-TAG.whl with the members and what pip wants to see beside them."""
    described = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    told = {f"{name}-1.0.dist-info/{file}": text.encode() for file, text in described.items()}
    record = f"{name}-1.0.dist-info/RECORD"
    told[record] = "".join(f"{member},,\n" for member in (*members, *told, record)).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**members, **told}.items():
            entry = zipfile.ZipInfo(member)
            mode = 0o755 if member in executable else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, content)
    return path


def make_parts(folder: Path, *wheels: Path, part_bytes: int = 512, target: Target = HERE) -> Path:
    """Pack the wheels into a new folder."""
    folder.mkdir()
    write_parts(wheels, target, part_bytes, folder)
    return folder


def files_below(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Content, and whether its owner may start it, of every file by its path."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
