"""The evidence file: written anew after every step, whole at every instant, free of local paths."""

from __future__ import annotations

import json
import re
import time
import traceback
from pathlib import Path
from typing import Any, Literal

from cxrsweep.engine.runs.run_folder import replaced

SCHEMA_VERSION = 1
FRAMES = 4
REASON_LENGTH = 1500

Status = Literal["ok", "failed", "skipped"]

_PATH = re.compile(r"(?<![\w:/.])(?:~|\.{1,2})?(?:/[^\s/:'\",;)\]]+)+/?")


def without_paths(text: str) -> str:
    """Cut every path down to its last part: evidence is read elsewhere."""
    return _PATH.sub(lambda found: found[0].rstrip("/").rsplit("/", 1)[-1], text)


def reason_of(error: BaseException) -> dict[str, str]:
    """Type, message and the last frames of an error, without local paths."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    trace = " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)
    message = _message(error)
    first = error.__context__
    # Closing what an error has broken fails as well: the first error is the reason.
    if first is not None and not error.__suppress_context__ and error.__cause__ is None:
        message = f"{_message(first)}; then {message}"
    return {"reason": message, "trace": trace}


def _message(error: BaseException) -> str:
    return without_paths(f"{type(error).__name__}: {error}")[:REASON_LENGTH]


class Evidence:
    """What was measured so far.

    Args:
        path: of the JSON file; its folder is made.
        head: what was run, on what.
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.content: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            **head,
            "started": _now(),
            "ended": None,
            "steps": {},
        }
        self._write()

    def add(self, name: str, status: Status, seconds: float, **more: Any) -> None:
        """Keep how a step ended; the file holds it when this returns."""
        step = {"status": status, "seconds": round(seconds, 2), **more}
        self.content["steps"][name] = step
        self._write()

    def close(self) -> None:
        """Say when it ended."""
        self.content["ended"] = _now()
        self._write()

    def _write(self) -> None:
        with replaced(self.path) as stream:
            json.dump(self.content, stream, indent=1)
            stream.write("\n")


def results_of(path: Path) -> dict[str, dict[str, Any]]:
    """Step -> result of the steps in a file that have one."""
    steps = json.loads(path.read_bytes())["steps"] if path.is_file() else {}
    return {name: step["result"] for name, step in steps.items() if step.get("result")}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
