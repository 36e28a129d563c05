"""Dockerfile.gpu and compose.gpu.yaml agree with each other and the project; nothing is built."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.doctor.checks import CAPABILITIES

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
SERVICE = yaml.safe_load((REPOSITORY / "compose.gpu.yaml").read_text())["services"]["sweep"]


def instructions() -> list[tuple[str, str]]:
    """Keyword and arguments of every instruction, lines joined."""
    text = (REPOSITORY / "Dockerfile.gpu").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]  # type: ignore[misc]


def values_of(keyword: str) -> list[str]:
    return [value for found, value in instructions() if found == keyword]


def copied() -> set[str]:
    words = [shlex.split(value) for value in values_of("COPY")]
    return {source for line in words if not line[0].startswith("--") for source in line[:-1]}


def environment_of_last_stage() -> dict[str, str]:
    last = instructions()
    start = max(place for place, (keyword, _) in enumerate(last) if keyword == "FROM")
    pairs = [shlex.split(value) for keyword, value in last[start:] if keyword == "ENV"]
    return dict(pair.split("=", 1) for line in pairs for pair in line)


def test_everything_that_is_copied_exists_and_reaches_the_builder() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied()
    for source in copied():
        assert (REPOSITORY / source).exists(), source


def test_everything_that_the_wheel_is_made_of_is_copied() -> None:
    packages = PROJECT["tool"]["setuptools"]["package-dir"].values()
    needed = {Path(folder).parts[0] for folder in packages}
    needed |= {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert needed | {"pyproject.toml", "constraints.txt"} == copied()


def test_dependencies_are_read_from_the_project(tmp_path: Path) -> None:
    (line,) = [value for value in values_of("RUN") if "tomllib" in value]
    words = shlex.split(line)
    code = words[words.index("-c") + 1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["gpu"]]
    assert done.stdout.splitlines() == wanted


def test_image_runs_the_command_of_the_project_and_not_as_root() -> None:
    (entry,) = values_of("ENTRYPOINT")
    assert json.loads(entry) == ["cxrsweep"]
    assert "cxrsweep" in PROJECT["project"]["scripts"]
    assert "entrypoint" not in SERVICE
    user = values_of("USER")[-1].split(":")[0]
    assert int(user) > 0
    assert SERVICE["user"] == f"${{SWEEPER:-{values_of('USER')[-1]}}}"


def test_bases_are_pinned_and_of_one_cuda() -> None:
    bases = [value.split("=", 1)[1] for value in values_of("ARG") if value.split("=")[1]]
    versions = {re.fullmatch(r"nvidia/cuda:(13\.\d+\.\d+)-\w+-ubuntu24\.04", b) for b in bases}
    assert None not in versions
    assert len(bases) == 2
    assert len({found.group(1) for found in versions if found}) == 1


def test_gpu_is_asked_for_with_the_same_capabilities_everywhere() -> None:
    capabilities = environment_of_last_stage()["NVIDIA_DRIVER_CAPABILITIES"]
    assert capabilities == CAPABILITIES
    (device,) = SERVICE["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert set(device["capabilities"]) == {"gpu", *CAPABILITIES.split(",")}


def test_compose_builds_this_image_and_mounts_the_archive_read_only() -> None:
    assert (REPOSITORY / SERVICE["build"]["dockerfile"]).exists()
    mounts = {mount["target"]: mount for mount in SERVICE["volumes"]}
    assert {target for target, mount in mounts.items() if mount.get("read_only")} == {
        "/archive",
        "/bundle",
    }
    assert set(mounts) == {"/archive", "/bundle", "/runs"}


def test_compose_runs_a_sweep_over_what_it_mounts() -> None:
    name, *words = SERVICE["command"]
    context = click.Context(cxrsweep, **cxrsweep.context_settings)
    command = cxrsweep.get_command(context, name)
    assert command is not None
    given = command.make_context(name, words, parent=context).params
    assert given["archives"] == ("/archive",)
    assert given["bundle_folder"] == Path("/bundle")
    assert given["output"].parent == Path("/runs")


@pytest.mark.parametrize("command", values_of("CMD"))
def test_default_command_exists(command: str) -> None:
    context = click.Context(cxrsweep, **cxrsweep.context_settings)
    (name,) = json.loads(command)
    assert cxrsweep.get_command(context, name) is not None
