"""The classifier of Tartaglione et al. 2020: its published checkpoints load as they are."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxrsweep.engine.errors import ExportError
from cxrsweep.engine.recipe import Network
from cxrsweep.export.checkpoint import trained_network

State = dict[str, Tensor]
# Blocks of each stage, and how many times a block widens its planes: torchvision's ResNets.
STAGES = {18: ((2, 2, 2, 2), 1), 50: ((3, 4, 6, 3), 4)}
HEAD = {18: (512, 256), 50: (2048, 512)}


def norm(key: str, planes: int) -> State:
    """A trained BatchNorm: no value is one that leaves numbers as they are."""
    return {
        f"{key}.weight": torch.rand(planes) + 0.5,
        f"{key}.bias": torch.randn(planes) * 0.1,
        f"{key}.running_mean": torch.randn(planes) * 0.1,
        f"{key}.running_var": torch.rand(planes) + 0.5,
        f"{key}.num_batches_tracked": torch.tensor(700),
    }


def convolution(key: str, inputs: int, outputs: int, side: int) -> State:
    spread = (2 / (inputs * side**2)) ** 0.5
    return {f"{key}.weight": torch.randn(outputs, inputs, side, side) * spread}


def published_state(depth: int) -> State:
    """Keys and shapes of torchvision's ResNet without fc in a Sequential, and of the head."""
    blocks, widening = STAGES[depth]
    state = convolution("encoder.0", 1, 64, 7) | norm("encoder.1", 64)
    inputs = 64
    for stage, count in enumerate(blocks):
        planes = 64 * 2**stage
        for block in range(count):
            at = f"encoder.{4 + stage}.{block}"
            sides = (3, 3) if depth == 18 else (1, 3, 1)
            own = inputs
            for number, side in enumerate(sides, 1):
                outputs = planes * widening if number == len(sides) else planes
                state |= convolution(f"{at}.conv{number}", own, outputs, side)
                state |= norm(f"{at}.bn{number}", outputs)
                own = outputs
            if block == 0 and (stage > 0 or depth == 50):
                state |= convolution(f"{at}.downsample.0", inputs, planes * widening, 1)
                state |= norm(f"{at}.downsample.1", planes * widening)
            inputs = planes * widening
    features, hidden = HEAD[depth]
    for key, wide, narrow in (("0", features, hidden), ("2", hidden, 1)):
        state[f"classifier.{key}.weight"] = torch.randn(narrow, wide) / wide**0.5
        state[f"classifier.{key}.bias"] = torch.randn(narrow) * 0.1
    return state


def published_logits(state: State, depth: int, planes: Tensor) -> Tensor:
    """The published network before its sigmoid: a ResNet of version 1.5, two linear layers."""

    def normalised(key: str, values: Tensor) -> Tensor:
        mean, variance = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
        return F.batch_norm(values, mean, variance, weight, bias)

    def convolved(key: str, values: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{key}.weight"]
        return F.conv2d(values, weight, stride=stride, padding=weight.shape[-1] // 2)

    planes = normalised("encoder.1", convolved("encoder.0", planes, 2)).relu()
    planes = F.max_pool2d(planes, 3, stride=2, padding=1)
    for stage, count in enumerate(STAGES[depth][0]):
        for block in range(count):
            at, stride = f"encoder.{4 + stage}.{block}", 2 if stage and not block else 1
            # The 3 x 3 convolution strides: the first of two, the second of three.
            strides = (stride, 1) if depth == 18 else (1, stride, 1)
            values = planes
            for number, own in enumerate(strides, 1):
                values = convolved(f"{at}.conv{number}", values, own)
                values = normalised(f"{at}.bn{number}", values)
                values = values.relu() if number < len(strides) else values
            if f"{at}.downsample.0.weight" in state:
                skipped = convolved(f"{at}.downsample.0", planes, stride)
                planes = normalised(f"{at}.downsample.1", skipped)
            planes = (values + planes).relu()
    features = planes.mean((2, 3))
    hidden = F.linear(features, state["classifier.0.weight"], state["classifier.0.bias"]).relu()
    return F.linear(hidden, state["classifier.2.weight"], state["classifier.2.bias"])


def loaded(path: Path, depth: int = 18) -> nn.Module:
    recipe = {
        "side": 224,
        "network": "cxrsweep.export.networks:covid_resnet",
        "kwargs": {"depth": depth},
        "weights": path.name,
    }
    return trained_network(Network.model_validate(recipe), "classifier", path.parent)


def refused(path: Path) -> str:
    with pytest.raises(ExportError) as error:
        loaded(path)
    return str(error.value)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The last epoch's figures as the published training pickles them: objects of its classes."""
    module = ModuleType("utils.metrics")
    found: list[object] = []
    for name in ("Accuracy", "RocAuc", "FScore"):
        kind = type(name, (), {"__module__": "utils.metrics", "__qualname__": name})
        setattr(module, name, kind)
        figure = kind()
        figure.__dict__ |= {"outputs": torch.rand(4), "phase": "test", "multiclass": False}
        found.append(figure)
    monkeypatch.setitem(sys.modules, "utils", ModuleType("utils"))
    monkeypatch.setitem(sys.modules, "utils.metrics", module)
    return found


# Files of torch 1.4, with which these were trained, are no zips yet.
@pytest.mark.parametrize(("depth", "is_zip"), [(18, True), (18, False), (50, True)])
def test_published_checkpoint_loads_as_it_is_and_scores_as_published(
    tmp_path: Path,
    figures: list[object],
    monkeypatch: pytest.MonkeyPatch,
    depth: int,
    is_zip: bool,
) -> None:
    torch.manual_seed(depth)
    state = published_state(depth)
    checkpoint = {
        "epoch": 41,
        "model": state,
        "metrics": figures,
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
        "corda-version": "20200402T220416Z-001",
    }
    path = tmp_path / "corda-best.pt"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=is_zip)
    monkeypatch.delitem(sys.modules, "utils.metrics")  # nobody has it who did not train
    network = loaded(path, depth)
    radiographs = torch.randn(2, 1, 224, 224) * torch.tensor([0.2, 3.0]).view(2, 1, 1, 1)
    with torch.inference_mode():
        found = network(radiographs)
        expected = published_logits(state, depth, radiographs)
    assert (expected[0] / expected[1] - 1).abs() > 0.01, "a constant could not be told apart"
    # The same sums in float32, in another order.
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_checkpoint_of_another_network_is_refused_by_its_keys(tmp_path: Path) -> None:
    state = published_state(18)
    del state["classifier.2.bias"]
    state["encoder.4.0.extra"] = torch.zeros(1)
    state["encoder.0.weight"] = torch.zeros(64, 3, 7, 7)
    torch.save({"model": state}, tmp_path / "w.pt")
    message = refused(tmp_path / "w.pt")
    assert "1 missing: classifier.2.bias" in message
    assert "1 unexpected: encoder.4.0.extra" in message
    assert "1 wrongly shaped: encoder.0.weight (64, 3, 7, 7) for (64, 1, 7, 7)" in message


def test_published_resnet_50_is_no_resnet_18(tmp_path: Path) -> None:
    torch.save({"model": published_state(50)}, tmp_path / "w.pt")
    message = refused(tmp_path / "w.pt")
    assert "unexpected: encoder.4.0.bn3.bias" in message
    assert "wrongly shaped: classifier.0.bias (512,) for (256,)" in message


class RunsCode:
    """Unpickling it would create a file; a class of the name that checkpoints may hold."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_published_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    checkpoint = {"model": published_state(18), "metrics": [RunsCode(tmp_path / "ran")]}
    torch.save(checkpoint, tmp_path / "w.pt")
    assert "running code" in refused(tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


def test_another_depth_is_named(tmp_path: Path) -> None:
    torch.save({"model": published_state(18)}, tmp_path / "w.pt")
    with pytest.raises(ExportError, match="depth 34; 18 and 50 were published"):
        loaded(tmp_path / "w.pt", 34)
