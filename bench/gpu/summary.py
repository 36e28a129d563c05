"""The evidence in words: a line or two per step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxrsweep.bench.gpu.files import ARCHIVES

Result = dict[str, Any]
NAME_WIDTH = 16


def described_evidence(content: Result) -> str:
    """Every step with how it ended and its main figures."""
    lines = []
    for name, step in content["steps"].items():
        head = f"{name:<{NAME_WIDTH}} {step['status']:<7} {step['seconds']:6.1f} s"
        lines.append(f"{head}  {step['reason']}" if step.get("reason") else head)
        if name in _WORDS and step.get("result"):
            lines += [f"{'':<{NAME_WIDTH}} {line}" for line in _said(_WORDS[name], step["result"])]
    return "\n".join(lines)


def _said(words: Callable[[Result], list[str]], result: Result) -> list[str]:
    try:
        return words(result)
    except (KeyError, TypeError, ValueError, IndexError):  # a step that ended half-way
        return ["(in part; see the file)"]


def _environment(result: Result) -> list[str]:
    names = ", ".join(gpu["name"] for gpu in result["gpus"]) or "no GPU"
    versions = result["versions"]
    shown = ("nvidia-dali-cuda130", "pycuda", "tensorrt-rtx", "tensorrt", "torch")
    packages = ", ".join(f"{name} {versions[name]}" for name in shown)
    return [f"{names}; {result['hardware']['cores']} cores; {packages}"]


def _flavours(result: Result) -> list[str]:
    lines = []
    for name, way in result.items():
        if name != "chosen":
            built = f", built in {way['build_s']} s" if "build_s" in way else ""
            first = way.get("load_and_first_execution_s")
            ran = f", first execution after {first} s" if first is not None else ""
            why = f": {way['reason'][:160]}" if way.get("reason") else ""
            lines.append(f"{name}: {way['status']}{built}{ran}{why}")
    return lines


def _decode(result: Result) -> list[str]:
    return [
        f"{name}, {share}: largest {found['largest']}, mean {found['mean']}"
        for name, shares in result.items()
        if name != "recipe"
        for share, found in shares.items()
    ]


def _handover(result: Result) -> list[str]:
    equal = "equal to the bit" if result["is_equal"] else "NOT EQUAL"
    return [f"{equal}: lengths {result['lengths']}, {result['batches_in_a_row']} in a row"]


def _agreement(found: Result) -> str:
    return (
        f"scores within {found['largest_score_difference']:.2g}, boxes within"
        f" {found['largest_box_shift_px']:.2g} px, {found['decision_flips']} of"
        f" {found['radiographs']} decisions differ"
    )


def _torch(result: Result) -> list[str]:
    modes = {name: found for name, found in result.items() if isinstance(found, dict)}
    return [
        f"{name}: {found['radiographs_per_s']:.0f}/s, {_agreement(found['agreement'])}"
        for name, found in modes.items()
    ]


def _ceilings(result: Result) -> list[str]:
    lines = [
        f"network {result['network']['radiographs_per_s']:.0f}/s at batch {result['batch']},"
        f" copy {result['copy_gib_per_s']:.1f} GiB/s"
    ]
    for name in ARCHIVES:
        limits, share = result[name]["ceilings"], result[name]["best_share"]
        lines.append(
            f"{name}: read and gate {limits['read_and_gate']:.0f}/s, decode"
            f" {limits['decode']:.0f}/s (share {share}), shared limit {limits['shared']:.0f}/s"
        )
    return lines


def _latency(result: Result) -> list[str]:
    shown = {name: found for name, found in result.items() if "wall_ms" in found}
    return [
        f"{name}: p50 {found['device_ms']['p50']:.2f}, p90 {found['device_ms']['p90']:.2f}, p99"
        f" {found['device_ms']['p99']:.2f} ms, {found['radiographs_per_s']:.0f}/s"
        for name, found in shown.items()
    ]


def _sweep(found: Result) -> list[str]:
    gpu = "" if found["gpu_peak_mib"] is None else f", {found['gpu_peak_mib']:.0f} MiB on the GPU"
    return [
        f"{found['radiographs_per_s']:.0f}/s, E {found.get('E_least', '-')} of the slowest stage,"
        f" {found.get('E_shared', '-')} shared; {found['host_peak_mib']:.0f} MiB{gpu}"
    ]


def _loop(found: Result) -> list[str]:
    ratio = found.get("sweep_over_loop")
    beside = f"; the sweep is {ratio} times as fast" if ratio else ""
    return [f"{found['radiographs_per_s']:.0f}/s on {found['archive']}{beside}"]


_WORDS: dict[str, Callable[[Result], list[str]]] = {
    "environment": _environment,
    "flavours": _flavours,
    "decode": _decode,
    "handover": _handover,
    "scores": lambda result: [_agreement(result["agreement"])],
    "torch": _torch,
    "ceilings": _ceilings,
    "latency": _latency,
    "torch loop": _loop,
    **{f"sweep {name}": _sweep for name in ARCHIVES},
}
