"""One run: what it sweeps with what, whether it may go on, and how it ended."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from cxrsweep.engine.archive import Entry, open_archives
from cxrsweep.engine.bundle import FP16_GRAPH, FP32_GRAPH, Bundle, file_sha256
from cxrsweep.engine.decode.jpeg_share import sampled
from cxrsweep.engine.errors import ArchiveError, RunError
from cxrsweep.engine.hardware.device import Device
from cxrsweep.engine.hardware.machine import hardware_facts, package_versions
from cxrsweep.engine.meter import ShardMeter, total_of
from cxrsweep.engine.options import SweepOptions
from cxrsweep.engine.runs.pseudonyms import pseudonyms_from
from cxrsweep.engine.runs.run_folder import SCHEMA_VERSION, RunFolder
from cxrsweep.engine.runs.shard import Shard, shards_of
from cxrsweep.engine.runs.table import printable
from cxrsweep.engine.stages import StageRequest, Stages, opened_stages


@dataclass(frozen=True)
class SweepSummary:
    """How a sweep ended.

    Attributes:
        run: its folder.
        indexed, ok, failed: radiographs; indexed is ok + failed once it is finished.
        is_finished: every shard has its rows and results.csv is written.
        meter: seconds per stage and counts over all finished shards, of every start together.
        notes: what the user should know, a line each.
    """

    run: Path
    indexed: int
    ok: int
    failed: int
    is_finished: bool
    meter: ShardMeter
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 all ok, 3 finished with failed rows, 1 not finished."""
        if not self.is_finished:
            return 1
        return 3 if self.failed else 0


class Run:
    """A run folder opened for sweeping.

    Args:
        folder: of the run; made where it does not exist.
        bundle: what scores.
        archives: what is swept, as from `located`.
        options: how.
        device: where.
        stop: checked while indexing.
        say: receives a line per step.

    Raises:
        RunError: in use, foreign, or made with something else, which is named.
        ArchiveError: an archive cannot be listed or holds nothing.
    """

    def __init__(
        self,
        folder: Path,
        bundle: Bundle,
        archives: Sequence[str],
        options: SweepOptions,
        device: Device,
        stop: threading.Event,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        keyfile = options.pseudonymise
        self._pseudonyms = pseudonyms_from(keyfile) if keyfile else None
        self._say = say
        self.bundle = bundle
        self.options = options
        self._device = device
        self.notes: list[str] = []
        _refuse_run_inside(folder.absolute(), archives)
        self._stop = stop
        self.folder = RunFolder(folder)
        try:
            self._record = self._continued_record(archives)
            self.indexed: int = self._record["counts"]["indexed"]
        except BaseException:
            self.folder.close()
            raise
        self.notes += self._survey_notes()
        self._shards = shards_of(self.indexed, options.shard_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.close()

    @property
    def done(self) -> int:
        """Radiographs in finished shards."""
        return sum(shard.count for shard in self._shards if self.folder.is_done(shard))

    def pending_shards(self) -> list[Shard]:
        """Shards without rows, in order."""
        return [shard for shard in self._shards if not self.folder.is_done(shard)]

    def opened_stages(self, say: Callable[[str], None]) -> Stages:
        """Open decoder and runner for the device, as at the first start of this run.

        Args:
            say: receives a line per step.

        Raises:
            BundleError, PlanError, DeviceError: what the device cannot do, and why.
        """
        options = self.options
        request = StageRequest(
            self.bundle,
            options.batch,
            options.threads,
            options.may_build,
            self._record.get("stages"),
            lambda: sampled(self.folder.entries(), self.indexed, options.limits),
            say,
        )
        stages = opened_stages(request, self._device)
        self._record["stages"] = stages.facts
        self._record["starts"][-1] |= {"batch": stages.batch, "runner": stages.runner.name}
        self.folder.write_record(self._record)
        return stages

    def note_disagreement(self, entry: Entry, difference: float) -> None:
        """Tell that two decoders see a radiograph differently, in the log and at the end."""
        radiograph = printable(entry.radiograph)
        self.folder.log(
            "audit_disagreement", radiograph=radiograph, difference=round(difference, 2)
        )
        self.notes.append(
            f"two decoders see {radiograph!r} differently, by {difference:.1f} grey levels on"
            " average: look at it before you trust its score"
        )

    def entries_of(self, shards: Sequence[Shard]) -> Iterator[Entry]:
        """Stream the entries of ordered shards from the frozen index."""
        numbers = {shard.number for shard in shards}
        for entry in self.folder.entries():
            if entry.ordinal // self.options.shard_size in numbers:
                yield entry

    def finish(self) -> SweepSummary:
        """Join the parts if all are there, and write how it ended to run.json."""
        finished = [shard for shard in self._shards if self.folder.is_done(shard)]
        is_finished = len(finished) == len(self._shards)
        if is_finished:
            self.folder.join(self.bundle.recipe, self._shards)
        meter = total_of(figures for _, figures in self.folder.meters(finished))
        self._record["status"] = "finished" if is_finished else "stopped"
        self._record["counts"] |= {
            "indexed": self.indexed,
            "ok": meter.radiographs - meter.failed,
            "failed": meter.failed,
            "failures": dict(sorted(meter.failures.items())),
        }
        self._record["meter"] = meter.as_json()
        self._record["starts"][-1]["ended"] = _now()
        self.folder.write_record(self._record)
        self.folder.log(self._record["status"], **self._record["counts"])
        counts = self._record["counts"]
        return SweepSummary(
            self.folder.folder,
            self.indexed,
            counts["ok"],
            counts["failed"],
            is_finished,
            meter,
            tuple(self.notes),
        )

    def _continued_record(self, archives: Sequence[str]) -> dict[str, Any]:
        identity = self._identity(archives)
        record = self.folder.record()
        if record is None or "index_sha256" not in record:
            if self.folder.has_parts():
                raise RunError(
                    f"{self.folder.folder} has parts but no record of its index, so it cannot be"
                    " known what they belong to; give another -o to start afresh"
                )
            record = {"schema_version": SCHEMA_VERSION, "status": "indexing", **identity}
            record |= {"counts": {"indexed": 0}, "versions": package_versions()}
            # Not the worst radiograph's name, which may be one of a pseudonymised archive.
            hidden = {"results": {"__all__": {"worst"}}}
            record |= {"agreement": self.bundle.manifest.agreement.model_dump(exclude=hidden)}
            record |= {"hardware": hardware_facts(), "starts": []}
            self.folder.write_record(record)
            record["counts"] |= self._index(archives)
            record["index_sha256"] = file_sha256(self.folder.index)
            if self._pseudonyms:
                record["mapping_sha256"] = file_sha256(self.folder.mapping)
        else:
            self._refuse_other(record, identity)
            self._refuse_other_index(record)
            self._note_other_versions(record)
        record["status"] = "sweeping"
        how = {"device": self._device.reason, "threads": self.options.threads}
        record["starts"].append({"started": _now(), "ended": None, **how})
        self.folder.write_record(record)
        self.folder.log("started", indexed=record["counts"]["indexed"])
        return record

    def _identity(self, archives: Sequence[str]) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return {
            "bundle": {
                "name": self.bundle.recipe.name,
                "fingerprint": self.bundle.fingerprint,
                "recipe": self.bundle.recipe.model_dump(mode="json"),
            },
            **self._asked(archives),
            "limits": asdict(self.options.limits),
            "shard_size": self.options.shard_size,
            "graph": FP16_GRAPH if self._device.gpu else FP32_GRAPH,
        }

    def _asked(self, archives: Sequence[str]) -> dict[str, Any]:
        """What is read; names as pseudonyms where ids are, because an archive may be a file."""
        selection = json.loads(json.dumps(asdict(self.options.selection)))
        hidden = self._pseudonyms
        if hidden is None:
            return {"pseudonyms": "none", "archives": list(archives), "selection": selection}
        selection |= {key: hidden.of_all(selection[key]) for key in ("include", "exclude")}
        return {
            "pseudonyms": f"by the key with the mark {hidden.mark}",
            "archives": hidden.of_all(archives),
            "selection": selection,
        }

    def _index(self, archives: Sequence[str]) -> dict[str, Any]:
        """Freeze the index and count what is in it."""
        options, entries = self.options, self._listed(archives)
        if not options.selection.needs_survey:
            some = _some(entries, archives)
            return {"indexed": self.folder.write_index(some, self._pseudonyms)}
        from cxrsweep.engine.archive.survey import Survey  # imports pydicom

        survey = Survey(options.selection, options.limits, options.threads + 1, self._say)
        some = _some(survey.entries(entries), archives)
        indexed = self.folder.write_index(some, self._pseudonyms)
        for line in survey.counts.described(options.selection):
            self._say(line)
        return {"indexed": indexed, "survey": survey.counts.as_json()}

    def _survey_notes(self) -> list[str]:
        counts = self._record["counts"].get("survey")
        if counts is None:
            return []
        from cxrsweep.engine.archive.survey import SurveyCounts

        return SurveyCounts(**counts).described(self.options.selection)

    def _listed(self, archives: Sequence[str]) -> Iterator[Entry]:
        for entry in open_archives(archives, self.options.selection):
            if self._stop.is_set():
                raise RunError("stopped while listing the archive; nothing was swept yet")
            yield entry

    def _refuse_other_index(self, record: dict[str, Any]) -> None:
        index, mapping = self.folder.index, self.folder.mapping
        if not index.is_file() or file_sha256(index) != record["index_sha256"]:
            raise RunError(
                f"{index} is missing or was changed since this run began, so its parts could not be"
                " joined rightly; put it back, or give another -o to start afresh"
            )
        if "mapping_sha256" not in record:
            return
        if not mapping.is_file() or file_sha256(mapping) != record["mapping_sha256"]:
            self.notes.append(
                f"{mapping} was taken away or changed: which radiograph a pseudonym stands for is"
                " known from your own copy alone"
            )

    def _refuse_other(self, record: dict[str, Any], identity: dict[str, Any]) -> None:
        # Under another key all other names differ too.
        is_same_key = record.get("pseudonyms") == identity["pseudonyms"]
        differences = [
            difference
            for key in (identity if is_same_key else ("pseudonyms",))
            for difference in _differences(key, record.get(key), identity[key])
        ]
        if differences:
            raise RunError(
                f"{self.folder.folder} was begun with something else:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nGive the same words as before to go on, or another -o to start afresh."
            )

    def _note_other_versions(self, record: dict[str, Any]) -> None:
        for package, now in package_versions().items():
            before = record.get("versions", {}).get(package)
            if before != now:
                self.notes.append(
                    f"{package} was {before} when this run began and is {now}:"
                    " scores may differ in the last decimals"
                )


def _some(entries: Iterator[Entry], archives: Sequence[str]) -> Iterator[Entry]:
    """The entries.

    Raises:
        ArchiveError: there is none.
    """
    entry = None
    for entry in entries:
        yield entry
    if entry is None:
        raise ArchiveError(
            f"nothing to sweep in {', '.join(archives)}: no file is left after --include,"
            " --exclude and --view (hidden files need --hidden)"
        )


def _refuse_run_inside(folder: Path, archives: Sequence[str]) -> None:
    for archive in archives:
        if Path(archive).is_dir() and folder.resolve().is_relative_to(archive):
            raise RunError(
                f"the run folder {folder} lies inside the archive {archive} and would be swept"
                " with it; give -o a folder outside"
            )


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


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
