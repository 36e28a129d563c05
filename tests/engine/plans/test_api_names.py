"""Every TensorRT name that the engine uses exists, with as many arguments, in both flavours.

The full TensorRT's libraries are not on the package index, but its Python bindings are: over empty
libraries they import, and tell their names and signatures.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[3] / "engine"
SOURCES = [*sorted((ENGINE / "plans").glob("*.py")), ENGINE / "runners" / "tensorrt.py"]
# What the variables of those files hold; `trt` is the module itself.
CLASSES = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "context": "IExecutionContext",
    "_engine": "ICudaEngine",
    "_runtime": "Runtime",
    "fault": "ParserError",
    "layer": "ILayer",
    "runtime_config": "IRuntimeConfig",
}
NOT_TENSORRT = {("context", "current"), ("context", "stream"), ("context", "driver")}
# Used behind a question for the flavour.
RTX_ALONE = {
    "DynamicShapesKernelSpecializationStrategy",
    "DynamicShapesKernelSpecializationStrategy.EAGER",
    "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
    "ComputeCapability",
    "ComputeCapability.CURRENT",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
}
SONAMES = ("libnvinfer.so.11", "libnvonnxparser.so.11", "libnvinfer_plugin.so.11")
DESCRIBE = """
import importlib, json, sys
trt = importlib.import_module(sys.argv[1])
found = {}
for chain in json.load(sys.stdin):
    value = trt
    try:
        for name in chain.split("."):
            value = getattr(value, name)
        found[chain] = value.__doc__ or ""
    except AttributeError:
        found[chain] = None
print(json.dumps(found))
"""


def chain_of(node: ast.expr) -> str | None:
    """`trt.Builder` and `config.set_flag` as "Builder" and "IBuilderConfig.set_flag"."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        if node.attr in ("trt", "_engine", "_runtime") or (node.attr == "context" and parts[1:]):
            break
        node = node.value
    if isinstance(node, ast.Name):
        parts.insert(0, node.id)
    if len(parts) < 2 or (parts[0], parts[1]) in NOT_TENSORRT:
        return None
    if parts[0] == "trt":
        return ".".join(parts[1:])
    return f"{CLASSES[parts[0]]}.{parts[1]}" if parts[0] in CLASSES else None


def used_names() -> dict[str, set[int]]:
    """Name -> the numbers of positional arguments that it is called with."""
    used: dict[str, set[int]] = {}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and (chain := chain_of(node)):
                used.setdefault(chain, set())
            if isinstance(node, ast.Call) and (chain := chain_of(node.func)):
                used[chain] = used.get(chain, set()) | {len(node.args)}
    return used


def described(module: str, names: list[str], libraries: Path | None = None) -> dict[str, str]:
    """Name -> docstring as the module has it, told by a process of its own."""
    environment = dict(os.environ, **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {}))
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, module],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def empty_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared objects that define what the bindings ask for, and do nothing."""
    spec = find_spec("tensorrt_bindings")
    if spec is None or spec.origin is None:
        pytest.skip("the bindings of the full TensorRT are not installed")
    compiler, symbols = shutil.which("cc"), shutil.which("nm")
    if not compiler or not symbols:
        pytest.skip("empty libraries need a C compiler and nm")
    bindings = Path(spec.origin).parent / "tensorrt.so"
    listing = subprocess.run(
        [symbols, "-D", "--undefined-only", bindings], capture_output=True, text=True, check=True
    )
    wanted = re.findall(
        r"U (\w*(?:_INTERNAL|NvOnnx\w*|getPluginRegistry|initLib\w*))", listing.stdout
    )
    wanted += re.findall(
        r"U (getInfer\w*|getBuilder\w*|get\w*Logger)$", listing.stdout, re.MULTILINE
    )
    assert len(wanted) >= 5
    folder = tmp_path_factory.mktemp("empty")
    (folder / "empty.c").write_text(
        "\n".join(f"void *{name}(void) {{ return 0; }}" for name in wanted)
    )
    for soname in SONAMES:
        words = ["-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", folder / soname]
        subprocess.run([compiler, *words, folder / "empty.c"], check=True)
    return folder


def arguments_taken(documentation: str) -> list[range] | None:
    """For each overload of a bound function, how many positional arguments it takes."""
    overloads = re.findall(r"^(?:\d+\. )?\w+\((self[^\n]*?)\) ->", documentation, re.MULTILINE)
    if not overloads:
        return None
    taken = []
    for overload in overloads:
        flat = re.sub(r"\[[^\]]*\]|\([^)]*\)", "", overload)
        parameters = [part for part in flat.split(", ") if ":" in part][1:]
        required = [part for part in parameters if "=" not in part]
        taken.append(range(len(required), len(parameters) + 1))
    return taken


def check(found: dict[str, str], used: dict[str, set[int]]) -> None:
    missing = [name for name in used if found[name] is None]
    assert not missing
    for name, counts in used.items():
        taken = arguments_taken(found[name])
        if taken and "." in name and not name.endswith("__init__"):  # called with its own self
            for count in counts:
                assert any(count in span for span in taken), (name, count, found[name])


def test_the_search_finds_what_the_engine_uses() -> None:
    used = used_names()
    for name in (
        "Builder",
        "Builder.build_serialized_network",
        "IBuilderConfig.set_timing_cache",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.set_tensor_address",
        "ICudaEngine.get_tensor_name",
        "Runtime.deserialize_cuda_engine",
        "ParserError.node_operator",
    ):
        assert name in used
    assert used["IBuilderConfig.set_timing_cache"] == {2}
    assert len(used) >= 35


def test_a_missing_argument_would_be_noticed() -> None:
    text = "f(self: a.B, cache: a.C, mismatch: bool) -> bool\n\nText"
    assert arguments_taken(text) == [range(2, 3)]
    assert arguments_taken("f(self: a.B, model: x[y, z], path: str = None) -> bool") == [
        range(1, 3)
    ]


def test_full_tensorrt_has_every_name_and_signature(empty_libraries: Path) -> None:
    used = {name: counts for name, counts in used_names().items() if name not in RTX_ALONE}
    check(described("tensorrt_bindings", sorted(used), empty_libraries), used)


def test_tensorrt_for_rtx_has_every_name_and_signature() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    used = used_names()
    check(described("tensorrt_rtx", sorted(used)), used)
