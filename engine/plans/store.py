"""Plans on the disk: `BUNDLE/plans/<key>.plan` with its sidecar `<key>.json`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxrsweep.engine.bundle import FP16_GRAPH, Bundle, Sha256
from cxrsweep.engine.errors import PlanError, PlanMismatchError
from cxrsweep.engine.plans.building import BuiltPlan
from cxrsweep.engine.plans.flavour import Flavour
from cxrsweep.engine.plans.settings import PlanSettings, Target, plan_identity, plan_key

FOLDER = "plans"


class Sidecar(BaseModel):
    """What a plan is, beside it as JSON.

    Attributes:
        schema_version: of this file.
        identity: graph, flavour, version and GPU, which must be the same where it runs.
        settings: it was built with; the hash of both is the key.
        sha256, size: of the plan file; it is executable code and opened only if they hold.
        built: when, in seconds since 1970.
        seconds: the build took.
        precision: kind of layer -> type -> layers, as parsed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    identity: dict[str, str]
    settings: PlanSettings
    sha256: Sha256
    size: Annotated[int, Field(ge=1)]
    built: float
    seconds: float
    precision: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Plan:
    """A plan file whose hash was verified.

    Attributes:
        path: of the plan.
        content: its bytes, as they were verified.
        sidecar: what it is.
    """

    path: Path
    content: bytes
    sidecar: Sidecar


class PlanStore:
    """The plans of one bundle.

    Args:
        bundle: verified; its fp16 graph is what plans are built from.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._graph_sha256 = bundle.manifest.files[bundle.path(FP16_GRAPH).name].sha256
        self.folder = bundle.folder / FOLDER

    def opened(self, flavour: Flavour, target: Target, batch: int | None = None) -> Plan:
        """Verify and read the plan for this TensorRT and GPU: of several, the one built hardest.

        Args:
            flavour: what runs.
            target: the GPU that is here.
            batch: radiographs per execution; None takes any.

        Raises:
            PlanMismatchError: there is none, or none for these, or it is not what was built; one
                line says what differs.
        """
        wanted = plan_identity(self._graph_sha256, flavour, target)
        fitting = [
            (path, sidecar)
            for path, sidecar in self.sidecars().items()
            if sidecar.identity == wanted and batch in (None, sidecar.settings.batch)
        ]
        if not fitting:
            raise PlanMismatchError(self._nearest_difference(wanted, batch))
        return self._verified(
            *max(fitting, key=lambda pair: (pair[1].settings.optimization_level, pair[1].built))
        )

    def _verified(self, path: Path, sidecar: Sidecar) -> Plan:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PlanMismatchError(f"{path.name} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != sidecar.sha256:
            raise PlanMismatchError(
                f"{path.name} is not the file that was built ({len(content)} bytes, expected"
                f" {sidecar.size} with sha256 {sidecar.sha256[:12]}...)"
            )
        return Plan(path, content, sidecar)

    def writable(self) -> None:
        """Find out before minutes of building whether the plan can be kept.

        Raises:
            PlanError: the bundle cannot be written.
        """
        with self._explained():
            self.folder.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass

    def timing_cache(self, flavour: Flavour, target: Target) -> bytes:
        """Kernel timings of earlier builds for this TensorRT and GPU, or no bytes."""
        path = self._cache_path(flavour, target)
        return path.read_bytes() if path.is_file() else b""

    def keep(
        self, built: BuiltPlan, flavour: Flavour, target: Target, settings: PlanSettings
    ) -> Plan:
        """Write a plan, its sidecar and its timing cache; each appears whole or not at all.

        Returns:
            the plan, read and verified again.

        Raises:
            PlanError: the disk is full or the bundle cannot be written; nothing half-made stays.
        """
        identity = plan_identity(self._graph_sha256, flavour, target)
        path = self.folder / f"{plan_key(identity, settings)}.plan"
        with self._explained():
            self.folder.mkdir(exist_ok=True)
            partial = path.with_suffix(".plan.partial")
            with _written(partial, built.content):
                sidecar = Sidecar(
                    identity=identity,
                    settings=settings,
                    sha256=hashlib.sha256(built.content).hexdigest(),
                    size=len(built.content),
                    built=round(time.time(), 1),
                    seconds=round(built.seconds, 2),
                    precision=built.precision,
                )
                text = sidecar.model_dump_json(indent=2) + "\n"
                with _written(path.with_suffix(".json.partial"), text.encode()) as described:
                    partial.replace(path)
                    described.replace(path.with_suffix(".json"))
            if built.timing_cache:
                cache = self._cache_path(flavour, target)
                with _written(cache.with_suffix(".partial"), built.timing_cache) as fresh:
                    fresh.replace(cache)
        return self._verified(path, sidecar)

    def sidecars(self) -> dict[Path, Sidecar]:
        """Path -> what that plan is; those with a readable sidecar alone."""
        found = {path: _sidecar(path) for path in sorted(self.folder.glob("*.plan"))}
        return {path: sidecar for path, sidecar in found.items() if sidecar}

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PlanError(
                f"cannot keep a plan in {self.folder}: {error.strerror}; the bundle is as it was."
                " Make it writable, or copy it to where there is room"
            ) from error

    def _cache_path(self, flavour: Flavour, target: Target) -> Path:
        gpu = "".join(letter if letter.isalnum() else "-" for letter in target.gpu)
        return self.folder / f"{flavour.name}-{flavour.version}-{gpu}.timing"

    def _nearest_difference(self, wanted: dict[str, str], batch: int | None) -> str:
        """The plan with the fewest differences, and what they are."""
        held = [
            {**sidecar.identity, "batch": str(sidecar.settings.batch)}
            for sidecar in self.sidecars().values()
        ]
        if not held:
            return f"{self._bundle.folder} has no plan yet"
        wanted = {**wanted, **({"batch": str(batch)} if batch else {})}
        differences: list[list[str]] = [
            [
                f"{name} was {identity.get(name)}, here {value}"
                for name, value in wanted.items()
                if identity.get(name) != value
            ]
            for identity in held
        ]
        nearest = sorted(differences, key=len)[0]
        return f"no plan fits; in the nearest {', '.join(nearest)}"


def _sidecar(plan: Path) -> Sidecar | None:
    try:
        return Sidecar.model_validate_json(plan.with_suffix(".json").read_bytes())
    except (OSError, ValidationError):
        return None


@contextlib.contextmanager
def _written(path: Path, content: bytes) -> Iterator[Path]:
    """Write and sync a partial file, and remove it unless it was renamed meanwhile."""
    try:
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)
