"""Joining: a run folder in, results.csv and how the run stands out; nothing is swept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrsweep.engine.bundle import file_sha256
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.meter import ShardMeter, total_of
from cxrsweep.engine.recipe import recipe_from_mapping
from cxrsweep.engine.runs.admission import described_holders
from cxrsweep.engine.runs.claims import Claims
from cxrsweep.engine.runs.leases import Leases
from cxrsweep.engine.runs.run_folder import RunFolder, read_record
from cxrsweep.engine.runs.shard import Shard, shards_of
from cxrsweep.engine.runs.share import Share

_NAMED = 20


@dataclass(frozen=True)
class SweepSummary:
    """How a sweep ended.

    Attributes:
        run: its folder.
        indexed, ok, failed: radiographs; indexed is ok + failed once it is finished.
        is_finished: every shard has its rows and, but for a share, results.csv is written.
        meter: seconds per stage and counts over all finished shards, of every start together.
        intended_use: of the bundle.
        notes: what the user should know, a line each.
        share: the counts are of these shards alone; None is all.
    """

    run: Path
    indexed: int
    ok: int
    failed: int
    is_finished: bool
    meter: ShardMeter
    intended_use: str
    notes: tuple[str, ...] = ()
    share: Share | None = None

    @property
    def exit_code(self) -> int:
        """0 all ok, 3 finished with failed rows, 1 not finished."""
        if not self.is_finished:
            return 1
        return 3 if self.failed else 0


def concluded(
    folder: RunFolder, claims: Claims, share: Share | None = None, notes: Sequence[str] = ()
) -> SweepSummary:
    """Join the parts if all are there, and write how the run stands to run.json; not for a share.

    Args:
        folder: of the run.
        claims: of who concludes.
        share: look at its shards alone.
        notes: for the summary.

    Raises:
        TableError: a part is damaged.
        RunError: there is no index yet.
    """
    record = read_record(folder.folder)
    all_shards = indexed_shards(folder, record)
    shards = share.of(all_shards) if share else all_shards
    finished = [shard for shard in shards if folder.is_done(shard)]
    is_finished = len(finished) == len(shards)
    meter = total_of(figures for _, figures in folder.meters(finished))
    indexed, ok = sum(shard.count for shard in shards), meter.radiographs - meter.failed
    use = record["bundle"]["recipe"]["intended_use"]
    counts = (indexed, ok, meter.failed, is_finished)
    summary = SweepSummary(folder.folder, *counts, meter, use, tuple(notes), share)
    if share:
        return summary
    if is_finished:
        recipe = recipe_from_mapping(record["bundle"]["recipe"], f"the recipe in {folder.folder}")
        folder.join(recipe, shards)
    _record_end(folder, record, summary)
    if is_finished:
        claims.clean()
    elif all(folder.is_done(shard) for shard in shards):  # others ended meanwhile
        return concluded(folder, claims, share, notes)
    return summary


def joined(run: Path) -> SweepSummary:
    """Check that every part of a run is there and whole, and write results.csv.

    Raises:
        RunError: it is no run, or parts are missing, which are named, with how to make them.
        TableError: parts are damaged, which are named.
    """
    record = read_record(run)
    leases = Leases(run, "")
    folder = RunFolder(run, "join")
    try:
        shards = indexed_shards(folder, record)
        missing = [shard for shard in shards if not folder.is_done(shard)]
        if missing:
            raise RunError(_described_missing(folder, shards, missing, leases))
        refuse_other_index(folder, record)
        return concluded(folder, Claims(run, ""))
    finally:
        folder.close()


def indexed_shards(folder: RunFolder, record: dict[str, Any]) -> list[Shard]:
    """The shards of a run whose index is frozen.

    Raises:
        RunError: it is not.
    """
    if "index_sha256" not in record:
        raise RunError(
            f"{folder.folder} has no index yet; start the sweep that made it again, with the same"
            " words"
        )
    return shards_of(record["counts"]["indexed"], record["shard_size"])


def refuse_other_index(folder: RunFolder, record: dict[str, Any]) -> None:
    """Refuse an index that is not the one that was frozen.

    Raises:
        RunError: it is missing or was changed.
    """
    index = folder.index
    if not index.is_file() or file_sha256(index) != record["index_sha256"]:
        raise RunError(
            f"{index} is missing or was changed since this run began, so its parts could not be"
            " joined rightly; put it back, or give another -o to start afresh"
        )


def _record_end(folder: RunFolder, record: dict[str, Any], summary: SweepSummary) -> None:
    record["status"] = "finished" if summary.is_finished else "stopped"
    record["counts"] |= {
        "ok": summary.ok,
        "failed": summary.failed,
        "failures": dict(sorted(summary.meter.failures.items())),
    }
    record["meter"] = summary.meter.as_json()
    record["starts"] = folder.all_starts()
    if stages := folder.known_stages():
        record["stages"] = stages
    folder.write_record(record)
    folder.log(record["status"], **record["counts"])


def _described_missing(
    folder: RunFolder, shards: Sequence[Shard], missing: Sequence[Shard], leases: Leases
) -> str:
    names = ", ".join(str(shard.number) for shard in missing[:_NAMED])
    names += f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    lines = [
        f"{folder.folder} lacks {len(missing)} of {len(shards)} shards: {names}",
        "To make them, start the same sweep again with the same -o; it sweeps what is missing.",
    ]
    shares = [start["share"] for start in folder.all_starts() if start["share"]]
    for count in sorted({int(share.partition("/")[2]) for share in shares}):
        tasks = sorted({shard.number % count for shard in missing})
        lines.append(f"As tasks of --shards i/{count}: {', '.join(map(str, tasks))}.")
    if at_work := leases.others():
        lines.append(f"Still at work: {described_holders(at_work.values())}.")
    return "\n".join(lines)
