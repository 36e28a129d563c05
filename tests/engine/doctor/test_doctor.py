"""The doctor as a whole: its command, its report and what it makes of missing parts."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.doctor import command, machine
from cxrsweep.engine.doctor.checks import Check, one_line, serves, without
from cxrsweep.engine.doctor.diagnosis import Diagnosis, diagnose, looked_at
from cxrsweep.engine.doctor.report import json_of, text_of

Usage = namedtuple("Usage", "total used free")

GOOD = Check("DALI", "ok", "2.4.0", needed_for="cpu")
BAD = Check("OpenVINO", "bad", "does not run", "pip install openvino", "cpu")
NO_GPU = Check("GPU", "absent", "no driver", "sudo apt install driver", "gpu")


@pytest.fixture(scope="module")
def here() -> Diagnosis:
    return diagnose()


def test_this_machine_can_sweep_and_every_line_that_is_not_well_has_a_remedy(
    here: Diagnosis,
) -> None:
    assert here.can_sweep_on_cpu
    names = [check.name for check in here.checks]
    assert len(names) == len(set(names))
    for check in here.checks:
        if check.state in ("bad", "warn"):
            assert check.remedy, check


def test_command_prints_a_line_for_each_check_and_ends_with_0(here: Diagnosis) -> None:
    done = CliRunner().invoke(cxrsweep, ["doctor"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert len(lines) == len(here.checks) + 1
    assert lines[-1].startswith("This machine can sweep on its CPU")
    assert any(line.startswith("ok      OpenVINO ") for line in lines)


def test_json_says_the_same_as_the_text(here: Diagnosis) -> None:
    done = CliRunner().invoke(cxrsweep, ["doctor", "--json"])
    told = json.loads(done.stdout)
    assert set(told) == {"checks", "can_sweep"}
    assert told["can_sweep"] == {"cpu": True, "gpu": here.can_sweep_on_gpu}
    assert [check["name"] for check in told["checks"]] == [check.name for check in here.checks]
    assert set(told["checks"][0]) == {"name", "state", "facts", "remedy", "needed_for"}


def test_report_names_neither_machine_nor_user_nor_folder(
    here: Diagnosis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = text_of(here)
    for name in (socket.gethostname(), str(tmp_path), f"/{getpass.getuser()}/"):
        assert name not in text


def test_lines_are_aligned_and_end_with_the_remedy() -> None:
    assert text_of(Diagnosis((GOOD, BAD, NO_GPU))).splitlines() == [
        "ok      DALI      2.4.0",
        "bad     OpenVINO  does not run -> pip install openvino",
        "absent  GPU       no driver -> sudo apt install driver",
        "This machine cannot sweep: mend what is bad above.",
    ]


@pytest.mark.parametrize(
    ("checks", "cpu", "gpu"),
    [
        ((GOOD, NO_GPU), True, False),
        ((GOOD, Check("GPU", "ok", "", needed_for="gpu")), True, True),
        ((GOOD, Check("GPU", "warn", "", needed_for="gpu")), True, True),
        ((BAD, Check("GPU", "ok", "", needed_for="gpu")), False, False),
        ((GOOD, NO_GPU, Check("disk", "bad", "full")), True, False),
    ],
)
def test_what_is_needed_decides_what_can_be_swept(
    checks: tuple[Check, ...], cpu: bool, gpu: bool
) -> None:
    diagnosis = Diagnosis(checks)
    assert (diagnosis.can_sweep_on_cpu, diagnosis.can_sweep_on_gpu) == (cpu, gpu)
    assert json.loads(json_of(diagnosis))["can_sweep"] == {"cpu": cpu, "gpu": gpu}
    assert serves(checks, "cpu") is cpu


def test_command_ends_with_1_where_not_even_the_cpu_can_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "diagnose", lambda: Diagnosis((BAD,)))
    done = CliRunner().invoke(cxrsweep, ["doctor"])
    assert done.exit_code == 1
    assert "cannot sweep" in done.stdout


@pytest.mark.parametrize(
    ("package", "lost"), [("nvidia.dali", "codecs"), ("openvino", "CPU runtimes")]
)
def test_missing_package_is_a_bad_line_with_its_remedy(package: str, lost: str) -> None:
    code = (
        f"import sys\nsys.modules[{package!r}] = None\n"
        "from cxrsweep.engine.cli import cxrsweep\n"
        "cxrsweep(['doctor', '--json'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    (line,) = [check for check in told["checks"] if check["name"] == lost]
    assert line["state"] == "bad"
    assert package.partition(".")[0] in line["facts"]
    assert line["remedy"].startswith("pip install")
    assert told["can_sweep"] == {"cpu": False, "gpu": False}


def test_library_that_a_package_needs_is_named() -> None:
    def probe() -> list[Check]:
        raise OSError("libgomp.so.1: cannot open shared object file")

    (line,) = looked_at("codecs", probe, "cpu")
    assert (line.state, line.needed_for) == ("bad", "cpu")
    assert "libgomp.so.1" in line.facts


def test_missing_part_is_bad_beside_a_gpu_and_absent_without() -> None:
    assert without("pycuda", "missing", "pip", has_gpu=True).state == "bad"
    assert without("pycuda", "missing", "pip", has_gpu=False).state == "absent"


def test_little_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage(0, 0, int(4.5 * 2**30)))
    check = machine.disk_check("disk", tmp_path, "rm -r old")
    assert check == Check("disk", "warn", "4.5 GiB free, less than 5", "rm -r old")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage(0, 0, 6 * 2**30))
    assert machine.disk_check("disk", tmp_path, "rm -r old") == Check("disk", "ok", "6.0 GiB free")


def test_messages_become_one_line_of_bearable_length() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("word " * 100)) == 200
