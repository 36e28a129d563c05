from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cxrsweep.engine import Bundle
from cxrsweep.engine.bundle import FP16_GRAPH
from cxrsweep.engine.errors import PlanError
from cxrsweep.engine.plans.building import built_plan, parsed_network
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.settings import PlanSettings, Target


def test_every_network_builds(fp16_graph: bytes, rtx: Flavour) -> None:
    built = built_plan(fp16_graph, rtx, Target(), PlanSettings(batch=8))
    graph = onnx.load_from_string(fp16_graph).graph
    weights = sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if len(tensor.dims) > 1)
    # A plan holds its weights in fp16: not less than two bytes each.
    assert len(built.content) > 2 * weights
    assert built.timing_cache == b""
    assert built.seconds > 0


def test_settings_reach_the_plan(fp16_graph: bytes, rtx: Flavour) -> None:
    settings = PlanSettings(8, 512, 1, version_compatible=True, hardware_compatible=True)
    assert built_plan(fp16_graph, rtx, Target(), settings).content


def test_phases_are_told(fp16_graph: bytes, rtx: Flavour) -> None:
    lines: list[str] = []
    built_plan(fp16_graph, rtx, Target(), PlanSettings(batch=2), say=lines.append)
    assert lines
    assert all("steps)" in line for line in lines)


def test_an_error_while_telling_ends_the_build_and_is_raised(
    fp16_graph: bytes, rtx: Flavour
) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built_plan(fp16_graph, rtx, Target(), PlanSettings(batch=2), say=interrupted)


def test_garbage_is_refused_with_the_parsers_reason(rtx: Flavour) -> None:
    with pytest.raises(PlanError, match=r"cannot read the graph: .*parse"):
        parsed_network(b"garbage", rtx)


def test_an_unknown_operator_is_named_with_its_node(rtx: Flavour) -> None:
    model = _one_node("Det", name="the-node")
    with pytest.raises(PlanError, match=r"node 'the-node' \(Det\)"):
        parsed_network(model, rtx)


def test_a_graph_with_other_inputs_is_refused(rtx: Flavour) -> None:
    with pytest.raises(PlanError, match=r"inputs \['pixels'\]"):
        parsed_network(_one_node("Relu", given="pixels"), rtx)


def _one_node(operator: str, name: str = "n", given: str = "radiographs") -> bytes:
    shapes = (["n", 1, 8, 8], ["n", 1] if operator == "Det" else ["n", 1, 8, 8])
    ends = [
        helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape)
        for tensor, shape in zip((given, "scores"), shapes, strict=True)
    ]
    node = helper.make_node(operator, [given], ["scores"], name=name)
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def test_too_little_workspace_is_said_with_what_helps(demo_bundle: Bundle, rtx: Flavour) -> None:
    # 1 MiB holds no activation of this network.
    fp16_graph = demo_bundle.path(FP16_GRAPH).read_bytes()
    with pytest.raises(PlanError, match=r"(OutOfMemory|workspace limit).*larger --workspace-mib"):
        built_plan(fp16_graph, rtx, Target(), PlanSettings(batch=8, workspace_mib=1))
