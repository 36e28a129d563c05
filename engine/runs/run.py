"""One run: what it sweeps with what, whether it may go on, and how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from cxrsweep.engine.archive import Entry, open_archives
from cxrsweep.engine.bundle import Bundle, file_sha256
from cxrsweep.engine.decode.jpeg_share import sampled
from cxrsweep.engine.errors import ArchiveError, RunError
from cxrsweep.engine.hardware.device import Device
from cxrsweep.engine.hardware.machine import hardware_facts, package_versions
from cxrsweep.engine.options import SweepOptions
from cxrsweep.engine.runs.claims import Claims
from cxrsweep.engine.runs.identity import identity_of, refuse_other
from cxrsweep.engine.runs.joining import (
    SweepSummary,
    concluded,
    indexed_shards,
    refuse_other_index,
)
from cxrsweep.engine.runs.leases import CLAIMS
from cxrsweep.engine.runs.pseudonyms import pseudonyms_from
from cxrsweep.engine.runs.run_folder import SCHEMA_VERSION, RunFolder, log_name
from cxrsweep.engine.runs.sampling import sampled_entries
from cxrsweep.engine.runs.shard import Shard
from cxrsweep.engine.runs.table import printable
from cxrsweep.engine.stages import StageRequest, Stages, opened_stages
from cxrsweep.engine.supervision.seat import Seat

WAIT_S = 0.2


class Run:
    """A run folder opened for sweeping by one worker, maybe of many.

    Attributes:
        is_over: --until or --limit end this start.

    Args:
        folder: of the run; made where it does not exist.
        bundle: what scores.
        archives: what is swept, as from `located`.
        options: how.
        device: where.
        seat: of this worker.
        stop: checked while indexing.
        say: receives a line per step.

    Raises:
        RunError: foreign, or made with something else, which is named.
        ArchiveError: an archive cannot be listed or holds nothing.
    """

    def __init__(
        self,
        folder: Path,
        bundle: Bundle,
        archives: Sequence[str],
        options: SweepOptions,
        device: Device,
        seat: Seat,
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
        self._stop = stop
        self._seat = seat
        self.claims = Claims(folder, seat.token, seat.number)
        self.journal = folder / CLAIMS / f"{self.claims.owner}.in-flight"
        joins_in = options.joins_in or options.share is not None
        self.folder = RunFolder(folder, self.claims.owner, log_name(seat.token, joins_in))
        try:
            record = self._continued_record(archives)
            every = indexed_shards(self.folder, record)
        except BaseException:
            self.folder.close()
            raise
        self.notes += self._survey_notes(record)
        self.shards = options.share.of(every) if options.share else every
        self.indexed = sum(shard.count for shard in self.shards)
        self.is_over = self._has_permit = False
        self._begin(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._start["ended"] = _now()
        self.folder.write_start(self._start_name, self._start)
        self.folder.close()

    @property
    def done(self) -> int:
        """Radiographs in finished shards."""
        return self.indexed - sum(shard.count for shard in self.pending_shards())

    def pending_shards(self) -> list[Shard]:
        """Shards without rows, in order."""
        return [shard for shard in self.shards if not self.folder.is_done(shard)]

    def claimed_shards(self, pending: Sequence[Shard]) -> Iterator[Shard]:
        """Claim one shard after the other, in order, each when it is asked for."""
        for shard in pending:
            if self.folder.is_done(shard):
                continue
            if not self.claims.holds(_claim(shard)):  # as the worker before this one may have
                if not self._may_begin() or not self.claims.take(_claim(shard)):
                    continue
                self._has_permit = False
            if self.folder.is_done(shard):  # while it was claimed
                self.claims.drop(_claim(shard))
                continue
            yield shard

    def _may_begin(self) -> bool:
        """Whether --until and --limit let this start begin another shard."""
        options = self.options
        if self.is_over:
            return False
        if options.until and time.time() >= options.until:
            self.is_over = True
            self.notes.append("no shard was begun after the time that --until gave")
        elif options.limit is not None and not self._has_permit:
            permits = -(-options.limit // options.shard_size)
            self._has_permit = self.claims.permitted(permits)
            if not self._has_permit:
                self.is_over = True
                self.notes.append("no shard was begun after as many radiographs as --limit gave")
        return not self.is_over

    def finished(self, shard: Shard) -> None:
        """Let go of a shard whose part is written."""
        self.claims.drop(_claim(shard))

    def opened_stages(self, say: Callable[[str], None]) -> Stages:
        """Open decoder and runner for the device, as the first worker of this run did.

        Args:
            say: receives a line per step.

        Raises:
            BundleError, PlanError, DeviceError: what the device cannot do, and why.
            RunError: stopped while another worker measures.
        """
        options = self.options
        is_first = self._device.gpu is not None and self._is_first("stages", self._has_stages)
        request = StageRequest(
            self.bundle,
            options.batch,
            options.threads,
            options.may_build,
            self.folder.known_stages(),
            lambda: sampled(self.folder.entries(), self.indexed, options.limits),
            say,
        )
        stages = opened_stages(request, self._device)
        if is_first:
            self.folder.write_stages(stages.facts)
            self.claims.drop("stages")
        self._start |= {"batch": stages.batch, "runner": stages.runner.name}
        self.folder.write_start(self._start_name, self._start)
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

    def conclude(self) -> SweepSummary:
        """Join the parts if all are there, and write how it stands to run.json."""
        self._start["ended"] = _now()
        self.folder.write_start(self._start_name, self._start)
        return concluded(self.folder, self.claims, self.options.share, self.notes)

    def _begin(self, record: dict[str, Any]) -> None:
        """Write to the run folder that this worker has started."""
        share, options = self.options.share, self.options
        self._start_name = f"{time.time_ns():x}-{self.claims.owner}"
        how = {"device": self._device.reason, "threads": options.threads}
        self._start = {"started": _now(), "ended": None, **how, "share": share and str(share)}
        self.folder.write_start(self._start_name, self._start)
        if record["status"] != "sweeping" and self.pending_shards():
            self.folder.write_record({**record, "status": "sweeping"})
        self.folder.log("started", indexed=record["counts"]["indexed"])

    def _is_first(self, name: str, is_done: Callable[[], bool]) -> bool:
        """Whether this worker is to do what is done once for a run; else wait until it is done.

        Raises:
            RunError: stopped while waiting.
        """
        while not is_done():
            if self.claims.take(name):
                return not is_done()
            if self._stop.wait(WAIT_S):
                raise RunError(f"stopped while another worker of {self.folder.folder} prepared it")
        return False

    def _is_indexed(self) -> bool:
        record = self.folder.record()
        return record is not None and "index_sha256" in record

    def _has_stages(self) -> bool:
        return self.folder.known_stages() is not None

    def _continued_record(self, archives: Sequence[str]) -> dict[str, Any]:
        identity = identity_of(self.bundle, archives, self.options, self._device, self._pseudonyms)
        if self._is_first("index", self._is_indexed):
            record = self._begun_record(archives, identity)
            self.claims.drop("index")
            return record
        known = self.folder.record()
        assert known is not None, "it is indexed"
        refuse_other(self.folder.folder, known, identity)
        self._refuse_other_index(known)
        self._note_other_versions(known)
        return known

    def _begun_record(self, archives: Sequence[str], identity: dict[str, Any]) -> dict[str, Any]:
        if self.folder.has_parts():
            raise RunError(
                f"{self.folder.folder} has parts but no record of its index, so it cannot be"
                " known what they belong to; give another -o to start afresh"
            )
        record = {"schema_version": SCHEMA_VERSION, "status": "indexing", **identity}
        record |= {"counts": {"indexed": 0}, "versions": package_versions()}
        hardware = hardware_facts() | {"cores": self._seat.host_cores}
        # Not the worst radiograph's name, which may be one of a pseudonymised archive.
        hidden = {"results": {"__all__": {"worst"}}}
        agreement = self.bundle.manifest.agreement.model_dump(exclude=hidden)
        record |= {"hardware": hardware, "agreement": agreement, "starts": []}
        self.folder.write_record(record)
        record["counts"] |= self._index(archives)
        record["index_sha256"] = file_sha256(self.folder.index)
        if self._pseudonyms:
            record["mapping_sha256"] = file_sha256(self.folder.mapping)
        record["status"] = "sweeping"
        self.folder.write_record(record)
        return record

    def _index(self, archives: Sequence[str]) -> dict[str, Any]:
        """Freeze the index and count what is in it."""
        options, entries = self.options, self._listed(archives)
        if not options.selection.needs_survey:
            return {"indexed": self._frozen(entries, archives)}
        from cxrsweep.engine.archive.survey import Survey  # imports pydicom

        survey = Survey(options.selection, options.limits, options.threads + 1, self._say)
        indexed = self._frozen(survey.entries(entries), archives)
        for line in survey.counts.described(options.selection):
            self._say(line)
        return {"indexed": indexed, "survey": survey.counts.as_json()}

    def _frozen(self, entries: Iterator[Entry], archives: Sequence[str]) -> int:
        some = _some(entries, archives)
        if self.options.sample:
            some = sampled_entries(some, self.options.sample)
        return self.folder.write_index(some, self._pseudonyms)

    def _survey_notes(self, record: dict[str, Any]) -> list[str]:
        counts = record["counts"].get("survey")
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
        refuse_other_index(self.folder, record)
        mapping = self.folder.mapping
        if "mapping_sha256" not in record:
            return
        if not mapping.is_file() or file_sha256(mapping) != record["mapping_sha256"]:
            self.notes.append(
                f"{mapping} was taken away or changed: which radiograph a pseudonym stands for is"
                " known from your own copy alone"
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


def _claim(shard: Shard) -> str:
    return f"shard-{shard.number:06d}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
