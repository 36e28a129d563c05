"""The rules that keep the rooms apart."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
LAYERS = {"engine": 0, "export": 1, "bench": 2}
# The command line names its commands as text and imports them when asked; only as text.
MODULES = [path for layer in LAYERS for path in sorted((REPOSITORY / layer).rglob("*.py"))]
ALL_FILES = [*MODULES, *sorted((REPOSITORY / "scripts").glob("*.py"))]


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_go_from_bench_to_export_to_engine(path: Path) -> None:
    own = LAYERS[path.relative_to(REPOSITORY).parts[0]]
    for name in imports_of(path):
        if name.startswith("cxrsweep."):
            assert LAYERS[name.split(".")[1]] <= own, f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_torch_is_imported_by_export_and_the_rivals_alone(path: Path) -> None:
    parts = path.relative_to(REPOSITORY).parts
    if parts[0] == "export" or parts[:2] == ("bench", "rivals"):
        return
    onnxlike = {"onnx", "onnxscript", "onnxruntime"}
    torchlike = {"torch", "monai", "safetensors", "keras", "h5py"} | onnxlike
    assert not torchlike & {name.split(".")[0] for name in imports_of(path)}


def test_plain_install_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'onnx', 'monai', 'onnxruntime']))\n"
        "import cxrsweep.engine.commands, cxrsweep.bench.commands, cxrsweep.bench.demonstration\n"
        "from cxrsweep.engine import open_bundle, sweep\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_fit_their_room(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            code = [
                child
                for child in node.body
                if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant))
            ]
            length = (code[-1].end_lineno or 0) - code[0].lineno + 1 if code else 0
            assert length <= 40, f"{path}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_public_functions_that_raise_say_what(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            raised = [child for child in ast.walk(node) if isinstance(child, ast.Raise)]
            own = [r for r in raised if isinstance(r.exc, ast.Call)]
            is_command = any("command" in ast.unparse(d) for d in node.decorator_list)
            if own and not is_command:
                assert "Raises:" in (ast.get_docstring(node) or ""), f"{path}: {node.name}"


def test_every_package_folder_is_installed() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {str(path.parent.relative_to(REPOSITORY)) for path in MODULES}
    mapped = {settings["package-dir"][package] for package in settings["packages"]}
    assert folders <= mapped
