"""The agreement card: the exported graphs against PyTorch in fp32, decision by decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from cxrsweep.engine.archive import open_archives
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.bundle import FP16_GRAPH, FP32_GRAPH, AgreementCard, GraphAgreement
from cxrsweep.engine.decode.fast_lane import Decoder
from cxrsweep.engine.errors import ExportError, ParityError
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
from cxrsweep.engine.reader import Checked, Reader
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runners.openvino import OpenVinoRunner
from cxrsweep.engine.runs.decisions import decisions_of
from cxrsweep.export.fuse import FusedNetwork
from cxrsweep.export.synthetic import phantom

Uint8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

BATCH = 8
SYNTHETIC, SYNTHETIC_SIDE = 24, 1024


@dataclass(frozen=True)
class Answers:
    """What one implementation says: scores (N, L) and lung boxes (N, 4) as fractions."""

    scores: Float32
    boxes: Float32


@dataclass(frozen=True)
class Probes:
    """What is compared: names, pixels (N, 1, S, S) uint8, and where they are from."""

    names: list[str]
    pixels: Uint8
    source: str


def agreement_card(
    recipe: Recipe, network: FusedNetwork, folder: Path, probes: Probes
) -> AgreementCard:
    """Compare both graphs of a bundle with PyTorch.

    Args:
        recipe: its thresholds decide, its tolerances limit.
        network: in fp32.
        folder: holds the two graphs.
        probes: radiographs as the engine decodes them.

    Raises:
        ParityError: a difference is beyond the recipe's tolerance; the worst radiograph is named.
    """
    truth = _answers_of_torch(network, probes.pixels)
    runs: list[tuple[str, str, Callable[[Path, Uint8], Answers]]] = [
        (FP32_GRAPH, "OpenVINO", _answers_of_openvino),
        (FP32_GRAPH, "ONNX Runtime", _answers_of_onnxruntime),
        (FP16_GRAPH, "ONNX Runtime", _answers_of_onnxruntime),
    ]
    results = [
        _compared(recipe, graph, runtime, truth, answer(folder / graph, probes.pixels), probes)
        for graph, runtime, answer in runs
    ]
    for result in results:
        _require_agreement(recipe, result)
    return AgreementCard(radiographs=len(probes.names), source=probes.source, results=results)


def probes_from_folder(recipe: Recipe, folder: Path) -> Probes:
    """Decode every readable radiograph of a folder as a sweep would.

    Raises:
        ExportError: none can be decoded.
    """
    reader = Reader(Limits(), threads=1, ahead=4)
    read = reader.read(open_archives([folder], Selection()))
    files = ((f.entry.radiograph, f.content) for f in read if isinstance(f, Checked))
    probes = _decoded(recipe, files)
    reader.close()
    if not probes.names:
        raise ExportError(f"--radiographs {folder}: no file in it decodes")
    return replace(probes, source=f"{len(probes.names)} radiographs given")


def synthetic_probes(recipe: Recipe, count: int = SYNTHETIC) -> Probes:
    """Draw radiographs and decode them as a sweep would."""
    generator = np.random.default_rng(0)
    drawn = (phantom(SYNTHETIC_SIDE, SYNTHETIC_SIDE, generator).pixels for _ in range(count))
    files = (
        (f"synthetic-{number:02d}", cv2.imencode(".png", pixels)[1].tobytes())
        for number, pixels in enumerate(drawn)
    )
    return replace(_decoded(recipe, files), source=f"{count} synthetic radiographs")


def _decoded(recipe: Recipe, files: Iterable[tuple[str, bytes]]) -> Probes:
    """Decode one by one; what is refused is left out."""
    decoder = Decoder(recipe, batch=1, threads=2)
    found: list[tuple[str, Uint8]] = []
    try:
        for name, content in files:
            decoded = decoder.decode([content], [header_of(content, Limits())])
            if not decoded.refused:
                found.append((name, decoded.pixels))
    finally:
        decoder.close()
    none = np.zeros((0, 1, recipe.side, recipe.side), np.uint8)
    return Probes([name for name, _ in found], np.concatenate([none, *(p for _, p in found)]), "")


def _answers_of_torch(network: FusedNetwork, pixels: Uint8) -> Answers:
    with torch.inference_mode():
        parts = [network(part) for part in torch.from_numpy(pixels).split(BATCH)]
    outputs = [torch.cat(column).numpy() for column in zip(*parts, strict=True)]
    return _answers(dict(zip(network.output_names, outputs, strict=True)))


def _answers_of_onnxruntime(graph: Path, pixels: Uint8) -> Answers:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    parts = [
        session.run(None, {"radiographs": pixels[start : start + BATCH]})
        for start in range(0, len(pixels), BATCH)
    ]
    outputs = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _answers(dict(zip(names, outputs, strict=True)))


def _answers_of_openvino(graph: Path, pixels: Uint8) -> Answers:
    runner = OpenVinoRunner(graph, BATCH, 2)
    try:
        parts = [
            runner.submit(pixels[start : start + BATCH]).result()
            for start in range(0, len(pixels), BATCH)
        ]
    finally:
        runner.close()
    return Answers(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.lung_box for part in parts]),
    )


def _answers(outputs: dict[str, Float32]) -> Answers:
    scores = outputs["scores"]
    whole = np.tile(np.array([0, 0, 1, 1], np.float32), (len(scores), 1))
    return Answers(scores, outputs.get("lung_box", whole))


def _compared(
    recipe: Recipe, graph: str, runtime: str, truth: Answers, found: Answers, probes: Probes
) -> GraphAgreement:
    per_radiograph = np.abs(found.scores - truth.scores).max(1)
    flips = (decisions_of(recipe, found.scores) != decisions_of(recipe, truth.scores)).any(1)
    return GraphAgreement(
        graph=graph,
        runtime=runtime,
        largest_score_difference=_finite(per_radiograph.max()),
        largest_box_shift_px=_finite(np.abs(found.boxes - truth.boxes).max() * recipe.side),
        decision_flips=int(flips.sum()),
        worst=probes.names[int(np.nan_to_num(per_radiograph, nan=np.inf).argmax())],
    )


def _finite(value: float) -> float:
    """A figure that JSON can hold: a score that is not a number is as wrong as can be."""
    return float(value) if np.isfinite(value) else 1e9


def _require_agreement(recipe: Recipe, result: GraphAgreement) -> None:
    limits = recipe.agreement
    is_fp16 = result.graph == FP16_GRAPH
    score_limit = limits.fp16_score if is_fp16 else limits.fp32_score
    box_limit = limits.fp16_box if is_fp16 else limits.fp32_box
    if result.largest_score_difference > score_limit or result.largest_box_shift_px > box_limit:
        raise ParityError(
            f"{result.graph} in {result.runtime} disagrees with PyTorch, worst on {result.worst}:"
            f" a score differs by {result.largest_score_difference:.2g} (limit {score_limit:g}),"
            f" a box side by {result.largest_box_shift_px:.2f} px (limit {box_limit:g});"
            " nothing was written. Raise the recipe's [agreement] only if that is acceptable"
        )
