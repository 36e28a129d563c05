"""Results of benchmarks: one versioned JSON for all of them, checked on writing and on reading."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cxrsweep.engine.bundle import Bundle
from cxrsweep.engine.errors import CxrsweepError
from cxrsweep.engine.hardware.device import Device
from cxrsweep.engine.hardware.machine import PACKAGES, hardware_facts, package_versions
from cxrsweep.engine.runs.run_folder import replaced

SCHEMA_VERSION: Literal[1] = 1
GPU_PACKAGES = ("tensorrt", "tensorrt_rtx", "pycuda")


class ResultError(CxrsweepError):
    """A file of results cannot be read, or does not fit another one."""


CacheState = Literal["warm", "cold", "memory"]


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Setup(_Plain):
    """What was measured on what.

    Attributes:
        started: local time, ISO 8601.
        bundle: name of its recipe.
        bundle_sha256: of the graph that ran.
        device: what was chosen, and why.
        cpu, cores, memory_mib, system: of the machine.
        versions: of every package that can change a figure.
    """

    started: str
    bundle: str
    bundle_sha256: str
    device: str
    cpu: str
    cores: int
    memory_mib: int
    system: str
    versions: dict[str, str]


class Files(_Plain):
    """The radiographs that were measured with.

    Attributes:
        radiographs: how many.
        megapixels: mean, as stored.
        kilobytes: mean, 1,000 bytes.
        codecs: kind -> radiographs.
        cache: warm, the system had them in memory; cold, it read them from the disk.
    """

    radiographs: int
    megapixels: float
    kilobytes: float
    codecs: dict[str, int]
    cache: Literal["warm", "cold"] = "warm"


class Spread(_Plain):
    """Times of one batch, in milliseconds.

    Attributes:
        p50_low_ms, p50_high_ms: 95 % interval of p50.
        is_steady: whether that interval lies within 2 % of p50; else the machine is too noisy.
        count: repetitions.
        per_s: radiographs per second at p50.
    """

    min_ms: float
    p50_ms: float
    p50_low_ms: float
    p50_high_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    std_ms: float
    per_s: float
    count: int
    is_steady: bool


class LatencyBatch(Spread):
    """One size of batch: the fused network alone, its pixels where it reads them.

    Attributes:
        batch: radiographs.
        host_to_scores: from pixels in host memory to scores in host memory.
        file_to_scores: from encoded files in host memory to scores in host memory.
    """

    batch: int
    host_to_scores: Spread
    file_to_scores: Spread


class _Measured(_Plain):
    """What every result of one bundle on some files has."""

    schema_version: Literal[1] = SCHEMA_VERSION
    setup: Setup
    files: Files


class Latency(_Measured):
    """What `bench latency` writes.

    Attributes:
        runner: what executed on what.
        threads: CPU cores that it used.
        gpu_before, gpu_after: clocks, temperature, power and throttling; empty on a CPU.
    """

    kind: Literal["latency"] = "latency"
    runner: str
    threads: int
    batches: list[LatencyBatch]
    gpu_before: dict[str, str | float] = Field(default_factory=dict)
    gpu_after: dict[str, str | float] = Field(default_factory=dict)


class Stage(_Plain):
    """One stage measured alone on the same files.

    Attributes:
        name: read, gate, decode, network or write.
        ceiling_per_s: radiographs per second, all cores at work on it.
        ceiling_mp_per_s, ceiling_mb_per_s: the same in stored megapixels and megabytes.
        cache: of its files; "memory" of a stage that opens none of them.
        hardware_share: what it used of all cores, in [0, 1]; of the GPU, if the sweep runs there.
    """

    name: str
    ceiling_per_s: float
    ceiling_mp_per_s: float
    ceiling_mb_per_s: float
    cache: CacheState = "warm"
    hardware_share: float | None = None


class Efficiency(_Plain):
    """End to end over a limit.

    Attributes:
        min: over the slowest stage alone.
        shared: over the limit where all stages take turns on the same cores.
    """

    min: float
    shared: float


class Throughput(_Measured):
    """What `bench throughput` writes.

    Attributes:
        batch, threads: as the sweep ran.
        end_to_end_per_s: radiographs per second of the sweep, median of the rounds.
        end_to_end_rounds: of every round.
        hardware_share: what the sweep used, as of a stage; median of the rounds.
        stages: each alone, median of the rounds.
        shared_per_s: one over the sum of the stages' times.
        binding, runner_up: the slowest stages.
        advice: one line.
        cold: the same with the files out of the page cache, if that was asked for beside this.
        cold_missing: why it is not there although it was asked for.
    """

    kind: Literal["throughput"] = "throughput"
    batch: int
    threads: int
    end_to_end_per_s: float
    end_to_end_rounds: list[float]
    stages: list[Stage]
    shared_per_s: float
    efficiency: Efficiency
    binding: str
    runner_up: str
    advice: str
    hardware_share: float | None = None
    cold: Throughput | None = None
    cold_missing: str = ""


class Rival(_Plain):
    """One rival.

    Attributes:
        settings: the best of those that were tried.
        per_s: radiographs per second, median of the rounds.
        per_s_rounds: of every round.
        ratio: of the sweep over the rival, median over the rounds.
        ratio_low, ratio_high: its 95 % interval; None of a single round.
        scores_agree: with the sweep's.
        largest_score_difference: from the sweep's, over all radiographs and labels.
    """

    name: str
    settings: str
    per_s: float
    per_s_rounds: list[float]
    ratio: float
    ratio_low: float | None
    ratio_high: float | None
    scores_agree: bool
    largest_score_difference: float


class Rivals(_Plain):
    """What `bench rivals` writes; the sweep's own figures are those of `bench throughput`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["rivals"] = "rivals"
    sweep: Throughput
    rivals: list[Rival]


class GateStage(_Plain):
    """One stage of two revisions.

    Attributes:
        name: of the stage, or "end to end".
        ratio: seconds of the new over those of the old, median of the rounds.
        ratio_low, ratio_high: its 99 % interval.
        noise: the same ratio of the old revision against itself.
        verdict: of this stage.
    """

    name: str
    ratio: float
    ratio_low: float
    ratio_high: float
    noise: float
    verdict: Literal["slower", "not slower", "cannot tell"]


class Gate(_Measured):
    """What `bench gate` writes.

    Attributes:
        against: the old revision, as asked for.
        threshold: share that is too much.
    """

    kind: Literal["gate"] = "gate"
    against: str
    threshold: float
    verdict: Literal["slower", "not slower", "cannot tell"]
    stages: list[GateStage]


Result = Latency | Throughput | Rivals | Gate
_RESULTS: TypeAdapter[Result] = TypeAdapter(Annotated[Result, Field(discriminator="kind")])


def setup_of(bundle: Bundle, graph: str, device: Device) -> Setup:
    """What is measured here and now."""
    gpu_packages = GPU_PACKAGES if device.gpu else ()
    return Setup(
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        bundle=bundle.recipe.name,
        bundle_sha256=bundle.manifest.files[graph].sha256,
        device=device.reason,
        versions=package_versions((*PACKAGES, *gpu_packages)),
        **hardware_facts(),  # type: ignore[arg-type]
    )


def write_result(path: Path, result: Result) -> None:
    """Write JSON.

    Raises:
        ResultError: the file cannot be written.
    """
    try:
        with replaced(path) as stream:
            stream.write(result.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror}") from error


def read_result(path: Path) -> Result:
    """Read JSON that `write_result` wrote.

    Raises:
        ResultError: it cannot be read, is of another version, or a key is missing or unknown.
    """
    try:
        return _RESULTS.validate_json(path.read_bytes())
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise ResultError(
            f"{path} is no result of `cxrsweep bench` that this version reads ({where}:"
            f" {first['msg']}); schema version {SCHEMA_VERSION} is documented in docs/bench.md"
        ) from error
