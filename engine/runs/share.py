"""Which shards of a run one task of an array sweeps: words and environment in, a share out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxrsweep.engine.errors import RunError
from cxrsweep.engine.runs.shard import Shard

_SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
_KUBERNETES = "JOB_COMPLETION_INDEX"
_WORDS = "say i/n (from 0/8 to 7/8), auto in a Slurm array, or auto/n in a Kubernetes indexed job"


@dataclass(frozen=True)
class Share:
    """Every `count`-th shard, from `index`.

    Attributes:
        index: from 0.
        count: tasks that share the run.
    """

    index: int
    count: int

    def of(self, shards: Sequence[Shard]) -> list[Shard]:
        """The shards of this share, in order."""
        return list(shards[self.index :: self.count])

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def share_from(asked: str, environment: Mapping[str, str]) -> Share:
    """Read `i/n`, or what an array of tasks tells each of them.

    Args:
        asked: "i/n", "auto" or "auto/n".
        environment: of Slurm (task id, lowest id and count) or of a Kubernetes indexed job, which
            tells the index alone.

    Raises:
        RunError: none of these, or the environment does not say what is needed.
    """
    given = re.fullmatch(r"(\d+)/(\d+)", asked)
    told = re.fullmatch(r"auto(?:/(\d+))?", asked)
    if given:
        index, count = int(given[1]), int(given[2])
    elif told:
        index, count = _from_environment(asked, told[1], environment)
    else:
        raise RunError(f"no share {asked!r}; {_WORDS}")
    if not 0 <= index < count:
        raise RunError(f"--shards {asked}: there is no share {index} of {count}; {_WORDS}")
    return Share(index, count)


def _from_environment(
    asked: str, count: str | None, environment: Mapping[str, str]
) -> tuple[int, int]:
    try:
        if _SLURM[0] in environment:
            task, lowest, tasks = (int(environment[name]) for name in _SLURM)
            step = int(environment.get("SLURM_ARRAY_TASK_STEP") or 1)
            return (task - lowest) // step, int(count or tasks)
        index = int(environment[_KUBERNETES])
    except (KeyError, ValueError) as error:
        names = ", ".join(_SLURM)
        raise RunError(
            f"--shards {asked}: the environment tells no share, neither by {names} (Slurm) nor by"
            f" {_KUBERNETES} (Kubernetes); {_WORDS}"
        ) from error
    if count is None:
        raise RunError(
            f"--shards {asked}: {_KUBERNETES} is {index}, but Kubernetes does not tell of how many;"
            " say auto/n with the job's `completions`"
        )
    return index, int(count)
