"""What must be the same for a run to go on: what was asked in, plain values or a refusal out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxrsweep.engine.bundle import FP16_GRAPH, FP32_GRAPH, Bundle
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.hardware.device import Device
from cxrsweep.engine.options import SweepOptions
from cxrsweep.engine.runs.pseudonyms import Pseudonyms
from cxrsweep.engine.runs.sampling import SEED


def identity_of(
    bundle: Bundle,
    archives: Sequence[str],
    options: SweepOptions,
    device: Device,
    hidden: Pseudonyms | None,
) -> dict[str, Any]:
    """Bundle, archives, options and graph, as they stand in run.json."""
    chosen = {"radiographs": options.sample, "seed": SEED} if options.sample else None
    return {
        "bundle": {
            "name": bundle.recipe.name,
            "fingerprint": bundle.fingerprint,
            "recipe": bundle.recipe.model_dump(mode="json"),
        },
        **_read_from(archives, options, hidden),
        "sample": chosen,
        "limits": asdict(options.limits),
        "shard_size": options.shard_size,
        "graph": FP16_GRAPH if device.gpu else FP32_GRAPH,
    }


def refuse_other(folder: Path, record: dict[str, Any], identity: dict[str, Any]) -> None:
    """Compare with what a run was begun with.

    Raises:
        RunError: it was something else, which is named.
    """
    # Under another key all other names differ too.
    is_same_key = record.get("pseudonyms") == identity["pseudonyms"]
    found = [
        difference
        for key in (identity if is_same_key else ("pseudonyms",))
        for difference in _differences(key, record.get(key), identity[key])
    ]
    if found:
        raise RunError(
            f"{folder} was begun with something else:\n"
            + "\n".join(f"  {line}" for line in found)
            + "\nGive the same words as before to go on, or another -o to start afresh."
        )


def refuse_run_inside(folder: Path, archives: Sequence[str]) -> None:
    """Look where a run folder lies.

    Raises:
        RunError: inside an archive.
    """
    for archive in archives:
        if Path(archive).is_dir() and folder.resolve().is_relative_to(archive):
            raise RunError(
                f"the run folder {folder} lies inside the archive {archive} and would be swept"
                " with it; give -o a folder outside"
            )


def _read_from(
    archives: Sequence[str], options: SweepOptions, hidden: Pseudonyms | None
) -> dict[str, Any]:
    """What is read; names as pseudonyms where ids are, because an archive may be a file."""
    selection = json.loads(json.dumps(asdict(options.selection)))
    if hidden is None:
        return {"pseudonyms": "none", "archives": list(archives), "selection": selection}
    selection |= {key: hidden.of_all(selection[key]) for key in ("include", "exclude")}
    return {
        "pseudonyms": f"by the key with the mark {hidden.mark}",
        "archives": hidden.of_all(archives),
        "selection": selection,
    }


def _differences(key: str, before: Any, asked: Any) -> Iterator[str]:
    """Say in words where two plain values differ, key by key."""
    if isinstance(before, dict) and isinstance(asked, dict):
        names = [name for name in dict.fromkeys([*before, *asked]) if name != "fingerprint"]
        found = [
            line
            for name in names
            for line in _differences(f"{key}.{name}", before.get(name), asked.get(name))
        ]
        if not found and before.get("fingerprint") != asked.get("fingerprint"):
            found = [f"{key}: same recipe, but other networks (graph hashes differ)"]
        yield from found
    elif before != asked:
        yield f"{key}: was {json.dumps(before)}, asked for {json.dumps(asked)}"
