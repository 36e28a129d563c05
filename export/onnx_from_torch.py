"""Writes a fused network as ONNX: one input with a dynamic batch, opset 18, weights inside."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch

from cxrsweep.engine.errors import ExportError
from cxrsweep.export.fuse import FusedNetwork

# GridSample of opset 20 and later is run as nearest-neighbour by TensorRT 10.13 to 11.1.
OPSET = 18
MAX_OPSET = 19


def onnx_from_torch(network: FusedNetwork, path: Path) -> None:
    """Export to `path`.

    Args:
        network: in evaluation mode; its precision types the graph.
        path: the ONNX file to write.

    Raises:
        ExportError: torch cannot trace the network, or the graph is not what engines run rightly.
    """
    side = network.recipe.side
    example = torch.zeros(2, 1, side, side, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript"):
            warnings.simplefilter("ignore")  # the exporter warns about its own internals
            program = torch.onnx.export(
                network.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["radiographs"],
                output_names=network.output_names,
                dynamic_shapes={"radiographs": {0: torch.export.Dim("batch")}},
                verbose=False,
            )
    except Exception as error:
        raise ExportError(
            "torch.onnx cannot export the network (a .pt2 must have a dynamic batch; control flow"
            f" that depends on pixels cannot be exported): {type(error).__name__}: {error}"
        ) from error
    assert program is not None
    program.save(str(path), external_data=False)
    graph = onnx.load(path)
    _strip_traces(graph)
    onnx.save(graph, path)
    check_graph(path)


def _strip_traces(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes for debugging: stack traces with paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for tensor in graph.initializer:
        tensor.ClearField("doc_string")
        tensor.ClearField("metadata_props")


def check_graph(path: Path) -> None:
    """Refuse a graph that an inference engine is known to run wrongly.

    Raises:
        ExportError: invalid ONNX, opset 20 or later, or a GridSample that is not bilinear.
    """
    graph = onnx.load(path)
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{path.name} is not valid ONNX: {error}") from error
    opsets = [entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")]
    if max(opsets) > MAX_OPSET:
        raise ExportError(f"{path.name} has opset {max(opsets)}; at most {MAX_OPSET} is safe")
    for node in graph.graph.node:
        if node.op_type == "GridSample":
            modes = [a.s.decode() for a in node.attribute if a.name == "mode"]
            if modes not in ([], ["bilinear"]):
                raise ExportError(f"{path.name}: GridSample {node.name} samples {modes[0]}")


class _quiet:
    """Raise the level of loggers for a while."""

    def __init__(self, *names: str) -> None:
        self._loggers = [logging.getLogger(name) for name in names]

    def __enter__(self) -> None:
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
