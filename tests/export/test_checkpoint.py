from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import save_file
from tiny_networks import TinyClassifier
from torch import nn

from cxrsweep.engine.errors import ExportError
from cxrsweep.engine.recipe import Network
from cxrsweep.export.checkpoint import trained_network


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(1)
    return TinyClassifier()


def loaded(folder: Path, weights: str, **keys: Any) -> nn.Module:
    recipe = {"side": 32, "network": "tiny_networks:TinyClassifier", "weights": weights, **keys}
    return trained_network(Network.model_validate(recipe), "classifier", folder)


def refused(folder: Path, weights: str, **keys: Any) -> str:
    with pytest.raises(ExportError) as error:
        loaded(folder, weights, **keys)
    return str(error.value)


SAVERS: dict[str, Callable[[nn.Module, Path], None]] = {
    "w.safetensors": lambda network, path: save_file(network.state_dict(), path),
    "w.pt": lambda network, path: torch.save(network.state_dict(), path),
    "nested.pth": lambda network, path: torch.save({"model": network.state_dict()}, path),
    "lightning.pt": lambda network, path: torch.save(
        {"state_dict": network.state_dict(), "epoch": 3}, path
    ),
    "parallel.pt": lambda network, path: torch.save(
        {f"module.{key}": value for key, value in network.state_dict().items()}, path
    ),
}


@pytest.mark.parametrize("name", SAVERS)
def test_weights_give_the_trained_outputs(tmp_path: Path, trained: nn.Module, name: str) -> None:
    SAVERS[name](trained, tmp_path / name)
    example = torch.rand(2, 1, 32, 32)
    network = loaded(tmp_path, name)
    assert not network.training
    torch.testing.assert_close(network(example), trained.eval()(example))


def test_exported_program_needs_no_callable(tmp_path: Path, trained: nn.Module) -> None:
    example = torch.rand(2, 1, 32, 32)
    shapes = {"radiographs": {0: torch.export.Dim("batch")}}
    program = torch.export.export(trained.eval(), (example,), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "w.pt2")
    network = loaded(tmp_path, "w.pt2", network=None)
    torch.testing.assert_close(network(example[:1]), trained(example[:1]))
    assert "holds its network" in refused(tmp_path, "w.pt2")


def test_wrong_keys_are_listed_by_kind(tmp_path: Path, trained: nn.Module) -> None:
    state = dict(trained.state_dict())
    del state["head.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["first.weight"] = torch.zeros(8, 3, 3, 3)
    save_file(state, tmp_path / "w.safetensors")
    message = refused(tmp_path, "w.safetensors")
    assert "1 missing: head.bias" in message
    assert "1 unexpected: extra.weight" in message
    assert "1 wrongly shaped: first.weight (8, 3, 3, 3) for (8, 1, 3, 3)" in message


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"model": Payload(tmp_path / "ran")}, tmp_path / "w.pt")
    assert "running code" in refused(tmp_path, "w.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    assert "classifier.weights" in refused(tmp_path, "plain.pt")
    assert not (tmp_path / "ran").exists()


def test_exported_program_with_code_is_refused_and_not_run(
    tmp_path: Path, trained: nn.Module
) -> None:
    program = torch.export.export(trained.eval(), (torch.rand(2, 1, 32, 32),))
    torch.export.save(program, tmp_path / "good.pt2")
    poison = BytesIO()
    torch.save(((Payload(tmp_path / "ran"),), {}), poison)
    poisoned = 0
    with (
        ZipFile(tmp_path / "good.pt2") as good,
        ZipFile(tmp_path / "bad.pt2", "w") as bad,
    ):
        for name in good.namelist():
            swap = "sample_inputs" in name
            poisoned += swap
            bad.writestr(name, poison.getvalue() if swap else good.read(name))
    assert poisoned == 1
    assert "bad.pt2" in refused(tmp_path, "bad.pt2", network=None)
    assert not (tmp_path / "ran").exists()


def test_whole_pickled_network_is_refused(tmp_path: Path, trained: nn.Module) -> None:
    torch.save(trained, tmp_path / "w.pt")
    assert "save network.state_dict()" in refused(tmp_path, "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pt2"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"rubbish" * 10)
    keys = {"network": None} if name.endswith("pt2") else {}
    assert name in refused(tmp_path, name, **keys)


def test_what_is_missing_is_named(tmp_path: Path, trained: nn.Module) -> None:
    assert "does not exist" in refused(tmp_path, "none.pt")
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "no state dict" in refused(tmp_path, "list.pt")
    (tmp_path / "w.h5").write_bytes(b"x")
    assert "use .safetensors" in refused(tmp_path, "w.h5")
    assert "cannot import 'nowhere'" in refused(tmp_path, "w.pt", network="nowhere:f")
    assert "TinyClassifier" in refused(tmp_path, "w.pt", network="tiny_networks:Tiny")
    assert "gives a str" in refused(tmp_path, "w.pt", network="tiny_networks:not_a_network")
    assert "no such width" in refused(tmp_path, "w.pt", network="tiny_networks:failing")
    assert "fails" in refused(tmp_path, "w.pt", kwargs={"depth": 3})
    assert "module:callable" in refused(tmp_path, "w.pt", network=None)


def test_module_beside_the_recipe_is_found(tmp_path: Path) -> None:
    (tmp_path / "our_network_beside.py").write_text(
        "from torch import nn\n\ndef build(width):\n    return nn.Conv2d(1, width, 1)\n"
    )
    save_file(nn.Conv2d(1, 5, 1).state_dict(), tmp_path / "w.safetensors")
    keys = {"network": "our_network_beside:build", "kwargs": {"width": 5}}
    network = loaded(tmp_path, "w.safetensors", **keys)
    assert network(torch.zeros(1, 1, 2, 2)).shape == (1, 5, 2, 2)
