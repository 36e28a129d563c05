"""A target Python in, a wheel of pycuda out, built without CUDA toolkit, driver or GPU."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

from target_python import Target, pinned, pip, run
from unpack_gpu_runtime import RuntimePackError, say

# The oldest CUDA that the GPU extra runs with: headers of a newer one would name functions that
# its driver does not have, and the import would fail there.
HEADERS = ("nvidia-cuda-runtime==13.0.*", "nvidia-cuda-profiler-api==13.0.*")
HEADER_FILES = ("cuda.h", "cudaProfiler.h")
# The linker drops a library of which it used nothing, and the stub of libcuda has nothing to use.
# aksetup puts LDFLAGS at the end of the line, so the library must come again after the switch.
SITECONF = """\
CUDA_INC_DIR = [{headers!r}]
CUDADRV_LIB_DIR = [{stub!r}]
CUDA_ENABLE_CURAND = False
CXXFLAGS = ["-g0"]
LDFLAGS = ["-Wl,--no-as-needed", "-L" + {stub!r}, "-lcuda"]
"""


def pycuda_wheel(target: Target, cache: Path, cuda_root: Path | None, work: Path) -> Path:
    """Take pycuda's wheel for the target from the cache, or build it: minutes.

    Raises:
        RuntimePackError: it does not build, or no C compiler.
    """
    version = pinned("pycuda")
    pattern = f"pycuda-{version}-{target.tag}-*.whl"
    if not any(cache.glob(pattern)):
        say(f"building pycuda {version} for Python {target.python}: some minutes")
        built = _built_pycuda(target, version, cuda_root, work)
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f"{built.name}.{os.getpid()}.partial"
        shutil.copy(built, partial)
        partial.rename(cache / built.name)
    return next(cache.glob(pattern))


def _built_pycuda(target: Target, version: str, cuda_root: Path | None, work: Path) -> Path:
    headers = cuda_headers(target, cuda_root, work)
    stub = work / "stub"
    stub.mkdir()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimePackError(
            "no C compiler: install gcc and g++, or bring a wheel that was built elsewhere with"
            " --pycuda-wheel"
        )
    soname = "-Wl,-soname,libcuda.so.1"
    run([compiler, "-shared", "-x", "c", os.devnull, soname, "-o", stub / "libcuda.so"])
    sdist = work / "sdist"
    asked = f"pycuda=={version}"
    pip(target, "download", "--no-deps", "--no-binary", "pycuda", "--dest", sdist, asked)
    with tarfile.open(next(sdist.glob("pycuda-*.tar.gz"))) as archive:
        archive.extractall(sdist, filter="data")
    source = sdist / f"pycuda-{version}"
    text = SITECONF.format(headers=str(headers), stub=str(stub))
    (source / "siteconf.py").write_text(text, encoding="utf-8")
    pip(target, "wheel", "--no-deps", "--wheel-dir", work / "built", source)
    return next((work / "built").glob("pycuda-*.whl"))


def cuda_headers(target: Target, cuda_root: Path | None, work: Path) -> Path:
    """The folder with CUDA's headers: of a toolkit if one is named, else of NVIDIA's wheels.

    Raises:
        RuntimePackError: a header is missing.
    """
    if cuda_root is None:
        pip(target, "download", "--no-deps", "--dest", work / "headers", *HEADERS)
        for wheel in (work / "headers").glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(work / "headers")
    folder = (cuda_root or work / "headers" / "nvidia" / "cu13") / "include"
    missing = [name for name in HEADER_FILES if not (folder / name).is_file()]
    if missing:
        raise RuntimePackError(
            f"{folder} has no {', '.join(missing)}: name a whole CUDA 13 toolkit, or leave out"
            " --cuda-root and the headers come from the package index"
        )
    return folder


def check_pycuda(wheel: Path, target: Target) -> None:
    """Check that a wheel of pycuda is for this Python and asks the loader for the driver.

    Raises:
        RuntimePackError: it is not, or would not import beside a driver.
    """
    if not wheel.is_file() or not re.fullmatch(rf"pycuda-.+-{target.tag}-\S+\.whl", wheel.name):
        raise RuntimePackError(
            f"{wheel} is no wheel of pycuda for Python {target.python} (pycuda-...-{target.tag}-"
            "....whl): leave out --pycuda-wheel to build one"
        )
    with zipfile.ZipFile(wheel) as archive:
        drivers = [name for name in archive.namelist() if name.startswith("pycuda/_driver")]
        if not any(b"\0libcuda.so.1\0" in archive.read(name) for name in drivers):
            raise RuntimePackError(
                f"{wheel} was linked without libcuda.so.1 and would not import beside a driver:"
                " delete it and leave out --pycuda-wheel to build one"
            )
