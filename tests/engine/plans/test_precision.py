"""What the parsed networks compute in: read layer by layer from TensorRT itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from cxrsweep.engine.plans.building import parsed_network
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.precision import HEAVY, described_precision, precision_counts


def layers_of(network: Any) -> list[Any]:
    return [network.get_layer(number) for number in range(network.num_layers)]


def tensors_behind(network: Any, start: Any) -> Iterator[Any]:
    """Every tensor that `start` is computed from, back to the casts out of fp16."""
    makers = {
        layer.get_output(place).name: layer
        for layer in layers_of(network)
        for place in range(layer.num_outputs)
    }
    waiting, seen = [start], set()
    while waiting:
        tensor = waiting.pop()
        if tensor is None or tensor.name in seen:
            continue
        seen.add(tensor.name)
        yield tensor
        layer = makers.get(tensor.name)
        if layer is None or layer.type.name == "CAST":
            continue  # the input, or the end of what an fp16 network gave
        waiting += [layer.get_input(place) for place in range(layer.num_inputs)]


def test_heavy_layers_are_fp16_and_grid_sample_fp32(fp16_graph: bytes, rtx: Flavour) -> None:
    counts = precision_counts(parsed_network(fp16_graph, rtx), rtx)
    heavy = {kind: counts[kind] for kind in HEAVY if kind in counts}
    assert heavy["CONVOLUTION"]["HALF"] >= 20
    assert all(set(types) == {"HALF"} for types in heavy.values()), heavy
    assert set(counts.get("GRID_SAMPLE", {"FLOAT": 1})) == {"FLOAT"}


def test_heavy_layers_are_as_many_as_in_the_graph(fp16_graph: bytes, rtx: Flavour) -> None:
    graph = onnx.load_from_string(fp16_graph).graph
    kinds = {"Conv": "CONVOLUTION", "ConvTranspose": "DECONVOLUTION"}
    products = ("Gemm", "MatMul")
    counts = precision_counts(parsed_network(fp16_graph, rtx), rtx)
    for operator, kind in kinds.items():
        nodes = sum(node.op_type == operator for node in graph.node)
        assert sum(counts.get(kind, {}).values()) == nodes
    nodes = sum(node.op_type in products for node in graph.node)
    assert sum(counts.get("MATRIX_MULTIPLY", {}).values()) == nodes


def test_box_arithmetic_is_fp32(fp16_graph: bytes, rtx: Flavour) -> None:
    network = parsed_network(fp16_graph, rtx)
    half = rtx.trt.DataType.HALF
    samplers = [layer for layer in layers_of(network) if layer.type.name == "GRID_SAMPLE"]
    starts = [layer.get_input(1) for layer in samplers]
    outputs = [network.get_output(number) for number in range(network.num_outputs)]
    starts += [output for output in outputs if output.name in ("lung_box", "lung_fraction")]
    has_box = any(output.name == "lung_box" for output in outputs)
    assert len(samplers) >= 1
    assert len(starts) == len(samplers) + 2 * has_box
    for start in starts:
        tensors = list(tensors_behind(network, start))
        assert len(tensors) > 3
        assert not [tensor.name for tensor in tensors if tensor.dtype == half]


def test_scores_leave_an_fp32_activation(fp16_graph: bytes, rtx: Flavour) -> None:
    network = parsed_network(fp16_graph, rtx)
    makers = {
        layer.get_output(place).name: layer
        for layer in layers_of(network)
        for place in range(layer.num_outputs)
    }
    outputs = [network.get_output(number) for number in range(network.num_outputs)]
    for output in outputs:
        assert output.dtype == rtx.trt.DataType.FLOAT
        if output.name.endswith("scores"):
            layer = makers[output.name]
            while layer.type.name in ("SHUFFLE", "IDENTITY"):
                layer = makers[layer.get_input(0).name]
            assert layer.type.name in ("SOFTMAX", "ACTIVATION")
            assert layer.get_input(0).dtype == rtx.trt.DataType.FLOAT


def test_grid_sample_is_linear(fp16_graph: bytes, rtx: Flavour) -> None:
    # At opset 20 and later several releases parse the same node as nearest neighbour.
    for layer in layers_of(parsed_network(fp16_graph, rtx)):
        if layer.type.name == "GRID_SAMPLE":
            layer.__class__ = rtx.trt.IGridSampleLayer
            assert layer.interpolation_mode == rtx.trt.InterpolationMode.LINEAR


def test_an_fp32_convolution_is_counted_as_such(rtx: Flavour) -> None:
    given = helper.make_tensor_value_info("radiographs", TensorProto.FLOAT, ["n", 1, 8, 8])
    made = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2, 8, 8])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 1, 1, 1], [1.0, 2.0])
    node = helper.make_node("Conv", ["radiographs", "w"], ["scores"])
    graph = helper.make_graph([node], "g", [given], [made], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    counts = precision_counts(parsed_network(model.SerializeToString(), rtx), rtx)
    assert counts == {"CONVOLUTION": {"FLOAT": 1}}
    assert described_precision(counts) == "0 of 1 convolutions and matrix products in fp16"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            {"CONVOLUTION": {"HALF": 56}, "MATRIX_MULTIPLY": {"HALF": 1}},
            "57 of 57 convolutions and matrix products in fp16",
        ),
        (
            {"CONVOLUTION": {"FLOAT": 1, "HALF": 2}, "GRID_SAMPLE": {"FLOAT": 1}},
            "2 of 3 convolutions and matrix products in fp16, GridSample in fp32",
        ),
    ],
)
def test_precision_in_words(counts: dict[str, dict[str, int]], words: str) -> None:
    assert described_precision(counts) == words
