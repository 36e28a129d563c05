"""The machine without its GPU: processor, memory and free disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from cxrsweep.engine.doctor.checks import Check
from cxrsweep.engine.hardware.machine import hardware_facts, package_versions

LITTLE_DISK_GIB = 5  # room for a run folder, which holds its parts and their joined copy


def machine_checks() -> list[Check]:
    """Processor, memory, versions, and the disk under the current and the temporary folder."""
    facts = hardware_facts()
    versions = package_versions()
    cpu = f"{facts['cores']} cores, {facts['cpu']}"
    memory = f"{int(str(facts['memory_mib'])) / 1024:.1f} GiB"
    return [
        Check("cxrsweep", "ok", f"{versions['cxrsweep']}, Python {versions['python']}"),
        Check("processor", "ok", cpu),
        Check("memory", "ok", memory),
        disk_check("disk, current folder", Path.cwd(), "cd to a larger disk, or delete old runs"),
        disk_check("disk, temporary", Path(tempfile.gettempdir()), "export TMPDIR=/larger/disk"),
    ]


def disk_check(name: str, folder: Path, remedy: str) -> Check:
    """How much a folder can still take; a warning below 5 GiB."""
    free_gib = shutil.disk_usage(folder).free / 2**30
    facts = f"{free_gib:.1f} GiB free"
    if free_gib < LITTLE_DISK_GIB:
        return Check(name, "warn", f"{facts}, less than {LITTLE_DISK_GIB}", remedy)
    return Check(name, "ok", facts)
