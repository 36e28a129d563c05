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
VerdictWord = Literal["slower", "not slower", "cannot tell"]
GPU_PACKAGES = ("tensorrt", "tensorrt_rtx", "pycuda")


class ResultError(CxrsweepError):
    """A file of results cannot be read, or does not fit another one."""


CacheState = Literal["warm", "cold", "memory"]


class _Plain(BaseModel):
    # Infinity as a string: as null, the default, it could not be read again.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


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

    def machine_in_words(self, threads: int) -> str:
        """What was measured on, in one line.

        Args:
            threads: cores that were used.
        """
        cpu = f"{self.cpu}, {threads} of {self.cores} cores"
        return f"{self.device.split(' (')[0]}; {cpu}" if self.device.startswith("GPU") else cpu


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

    def codecs_in_words(self) -> str:
        """For example "52 jpeg, 48 png"."""
        return ", ".join(f"{count} {kind}" for kind, count in self.codecs.items())

    def in_words(self) -> str:
        """All of it, in one line."""
        return (
            f"{self.radiographs} radiographs ({self.codecs_in_words()}), mean"
            f" {self.megapixels:.2f} MP and {self.kilobytes:.0f} kB, {self.cache} cache"
        )


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

    def by_start(self) -> dict[str, Spread]:
        """Starting point, in one word -> its times."""
        return {"network": self, "host": self.host_to_scores, "files": self.file_to_scores}


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

    @property
    def setup(self) -> Setup:
        """Of the sweep, as of every result."""
        return self.sweep.setup

    @property
    def files(self) -> Files:
        """Of the sweep."""
        return self.sweep.files

    @property
    def batch(self) -> int:
        """Of the sweep."""
        return self.sweep.batch

    @property
    def threads(self) -> int:
        """Of the sweep."""
        return self.sweep.threads


class Judged(_Plain):
    """One figure of two revisions or two results.

    Attributes:
        name: what was measured: a stage, "end to end", "sweep", or "batch 4 from files".
        ratio: time of the new over that of the old.
        ratio_low, ratio_high: its interval.
        verdict: of this figure.
    """

    name: str
    ratio: float
    ratio_low: float
    ratio_high: float
    verdict: VerdictWord


class GateStage(Judged):
    """One stage of two revisions: the ratio is the median of the rounds, its interval of 99 %.

    Attributes:
        noise: the same ratio of the old revision against itself.
        measure: what the ratios are of: CPU time where that alone shows that it is slower.
    """

    noise: float
    measure: Literal["time", "CPU time"] = "time"


class Gate(_Measured):
    """What `bench gate` writes.

    Attributes:
        batch, threads: as both ran.
        against: the old revision, as asked for.
        threshold: share that is too much.
    """

    kind: Literal["gate"] = "gate"
    batch: int
    threads: int
    against: str
    threshold: float
    verdict: VerdictWord
    stages: list[GateStage]


class Comparison(_Measured):
    """What `bench compare` writes; setup is that of the second result.

    Attributes:
        first: setup of the first result.
        of: what both are results of.
        batch, threads: as both ran; batch is None of latencies, whose figures name it.
        level: share of the intervals.
        threshold: share that is too much.
    """

    kind: Literal["compare"] = "compare"
    first: Setup
    of: Literal["latency", "throughput"]
    batch: int | None
    threads: int
    level: float
    threshold: float
    verdict: VerdictWord
    figures: list[Judged]


Result = Latency | Throughput | Rivals | Gate | Comparison
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
