"""What this machine is, for run.json and benchmarks: never its name or user."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("cxrsweep", "nvidia-dali-cuda130", "openvino", "opencv-python-headless", "numpy")


def cores() -> int:
    """CPU cores this process may use: affinity and the container's quota, whichever is less."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            allowed = min(allowed, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no cgroup v2: the affinity stands
    return allowed


def memory_limit_mib() -> int:
    """Memory this process may use in MiB: the machine's or the container's, whichever is less."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        most = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        limit = min(limit, limit if most == "max" else int(most))
    except (OSError, ValueError):
        pass  # no cgroup v2: the machine's stands
    return limit // 2**20


def hardware_facts() -> dict[str, object]:
    """CPU, cores, memory in MiB and system, as plain values."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    system = f"{platform.system()} {platform.release()}"
    return {"cpu": _cpu_name(), "cores": cores(), "memory_mib": memory, "system": system}


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Version of Python and of each package, or "not installed".

    Args:
        packages: by default those that can change a score.
    """
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
