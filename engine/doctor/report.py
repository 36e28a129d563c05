"""The diagnosis as text for people and as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from cxrsweep.engine.doctor.checks import Check
from cxrsweep.engine.doctor.diagnosis import Diagnosis


def text_of(diagnosis: Diagnosis) -> str:
    """One line for each check, aligned, and one for what the machine can do."""
    width = max(len(check.name) for check in diagnosis.checks)
    lines = [_line(check, width) for check in diagnosis.checks]
    return "\n".join([*lines, _verdict(diagnosis)])


def json_of(diagnosis: Diagnosis) -> str:
    """One object: `checks`, each with the fields of `Check`, and `can_sweep`."""
    can_sweep = {"cpu": diagnosis.can_sweep_on_cpu, "gpu": diagnosis.can_sweep_on_gpu}
    checks = [asdict(check) for check in diagnosis.checks]
    return json.dumps({"checks": checks, "can_sweep": can_sweep}, indent=2)


def _line(check: Check, width: int) -> str:
    remedy = f" -> {check.remedy}" if check.remedy else ""
    return f"{check.state:<6}  {check.name:<{width}}  {check.facts}{remedy}"


def _verdict(diagnosis: Diagnosis) -> str:
    cpu = "can sweep on its CPU" if diagnosis.can_sweep_on_cpu else "cannot sweep"
    if not diagnosis.can_sweep_on_cpu:
        return f"This machine {cpu}: mend what is bad above."
    gpu = "and on its GPU" if diagnosis.can_sweep_on_gpu else "but not on a GPU"
    return f"This machine {cpu}, {gpu}."
