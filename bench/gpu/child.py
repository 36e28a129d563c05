"""The process of one step: `python -m cxrsweep.bench.gpu.child HOME NOTES.json`, setting on stdin.

Every finding is on the disk before the next is made: a process that dies half-way leaves the rest.
"""

from __future__ import annotations

import json
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from cxrsweep.bench.gpu.evidence import reason_of
from cxrsweep.bench.gpu.setting import Setting, StepSkipped, setting_from_json
from cxrsweep.engine.runs.run_folder import replaced

GRACE_S = 2.0


class Notes:
    """Findings of a step on the disk.

    Args:
        path: of their JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = {}

    def __call__(self, name: str, value: Any) -> None:
        """Keep one finding; the same name again replaces it."""
        self._found[name] = value
        with replaced(self._path) as stream:
            json.dump(self._found, stream)


def run_home(home: str, setting: Setting, notes: Notes) -> None:
    """Call a step and note under the name "" how it ended."""
    module, function = home.split(":")
    try:
        getattr(import_module(module), function)(setting, notes)
    except StepSkipped as reason:
        notes("", {"status": "skipped", "reason": str(reason), "trace": ""})
    except Exception as error:  # noqa: BLE001 (whatever it is, the other steps go on)
        notes("", {"status": "failed", **reason_of(error)})
    else:
        notes("", {"status": "ok", "reason": "", "trace": ""})


def main() -> None:
    """Read the arguments and run one step."""
    home, path = sys.argv[1:]
    setting = setting_from_json(sys.stdin.read())
    # The system ends it even inside a library, and where its parent is gone.
    signal.setitimer(signal.ITIMER_REAL, max(setting.left_s, 0.0) + GRACE_S)
    run_home(home, setting, Notes(Path(path)))


if __name__ == "__main__":
    main()
