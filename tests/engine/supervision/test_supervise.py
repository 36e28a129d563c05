"""The supervisor with real workers that are really killed, stopped and too large."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from workers import swept, when_decoding

from cxrsweep.engine import Bundle, sweep
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.supervision.journal import Journal, add_suspects, in_flight, suspects_of
from cxrsweep.engine.supervision.supervise import Watch

PROGRAM = [sys.executable, "-c", "from cxrsweep.engine.cli import main; main()"]


@pytest.fixture
def archive(small_archive: Path) -> Path:
    """Enough files to be killed in between."""
    originals = sorted(path for path in small_archive.rglob("*") if path.is_file())
    for copy in range(20):
        for original in originals:
            os.link(original, original.with_stem(f"{original.stem}-{copy:02d}"))
    return small_archive


def words_for(archive: Path, bundle: Bundle, run: Path) -> list[str]:
    return ["sweep", str(archive), "-b", str(bundle.folder), "-o", str(run), "--shard-size", "64"]


def events_of(run: Path) -> list[dict[str, object]]:
    lines = (run / "log.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == "worker_ended"]


def test_workers_that_die_change_no_byte_of_the_results(
    archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    undisturbed = sweep([archive], demo_bundle, tmp_path / "undisturbed")
    run = tmp_path / "run"
    supervisor = subprocess.Popen(
        [*PROGRAM, *words_for(archive, demo_bundle, run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    when_decoding(run, supervisor.pid, lambda pid: os.kill(pid, signal.SIGSEGV), times=2)
    output, errors = supervisor.communicate(timeout=120)
    assert supervisor.returncode == 0, errors
    assert f"{undisturbed.indexed} radiographs = {undisturbed.ok} ok + 0 failed" in output
    assert errors.count("the worker ended: it died of SIGSEGV") == 2
    assert (run / "results.csv").read_bytes() == (
        tmp_path / "undisturbed" / "results.csv"
    ).read_bytes()
    in_work = {ordinal for event in events_of(run) for ordinal in event["in_flight"]}  # type: ignore[attr-defined]
    assert in_work == suspects_of(run)
    assert 1 <= len(in_work) <= 2 * 16
    assert not list((run / "parts").glob("*.rows"))


def test_a_worker_that_hangs_is_ended_and_the_sweep_goes_on(
    archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run, lines = tmp_path / "run", []
    stopper = threading.Thread(
        target=when_decoding,
        args=(run, os.getpid(), lambda pid: os.kill(pid, signal.SIGSTOP)),
    )
    stopper.start()
    code = swept(run, words_for(archive, demo_bundle, run), lines, Watch(stall_s=3.0))
    stopper.join()
    assert code == 0
    assert [line for line in lines if "it decoded one batch for 3 s" in line]
    assert any("252 radiographs = 252 ok + 0 failed" in line for line in lines)


def test_workers_that_only_die_end_the_sweep_with_the_reason(
    archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run, lines = tmp_path / "run", []
    words = words_for(archive, demo_bundle, run)
    # A worker has more than this when it has imported its decoders.
    with pytest.raises(RunError, match=r"ended 3 times .* MiB of memory, over 60"):
        swept(run, words, lines, Watch(memory_mib=60))


def test_a_worker_ends_with_its_supervisor(
    archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    supervisor = subprocess.Popen(
        [*PROGRAM, *words_for(archive, demo_bundle, run)], stderr=subprocess.DEVNULL
    )
    found: list[int] = []
    when_decoding(run, supervisor.pid, found.append)
    supervisor.kill()
    supervisor.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{found[0]}/exe").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{found[0]}/exe").exists()


def test_a_kill_between_parts_loses_no_row_that_was_spooled(
    archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = [*words_for(archive, demo_bundle, run)[:-1], "1000"]  # one shard
    supervisor = subprocess.Popen([*PROGRAM, *words], stderr=subprocess.DEVNULL)
    spool, deadline = run / "parts" / "000000.rows", time.monotonic() + 60
    while not (spool.exists() and spool.stat().st_size > 3000) and time.monotonic() < deadline:
        time.sleep(0.005)
    supervisor.kill()
    supervisor.wait()
    kept = [row for line in spool.read_bytes().splitlines() for row in json.loads(line)["rows"]]
    assert 0 < len(kept) < 252
    assert not list((run / "parts").glob("*.csv"))
    with spool.open("ab") as stream:
        stream.write(b'{"rows": [[251, "torn')
    assert subprocess.run([*PROGRAM, *words], check=False, capture_output=True).returncode == 0
    sweep([archive], demo_bundle, tmp_path / "undisturbed")
    whole = (tmp_path / "undisturbed" / "results.csv").read_bytes()
    assert (run / "results.csv").read_bytes() == whole


def test_stop_reaches_the_worker_through_the_supervisor(
    archive: Path, demo_bundle: Bundle, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    supervisor = subprocess.Popen(
        [*PROGRAM, *words_for(archive, demo_bundle, run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    when_decoding(run, supervisor.pid, lambda _: supervisor.send_signal(signal.SIGTERM))
    output, errors = supervisor.communicate(timeout=60)
    assert supervisor.returncode == 1
    assert "Stopping after the batches in flight" in errors
    assert "not finished: start the same command again to go on" in output


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_one_of_two_workers_that_ends_is_started_again(
    archive: Path, light_bundle: Bundle, tmp_path: Path, kind: signal.Signals
) -> None:
    run = tmp_path / "run"
    words = [*words_for(archive, light_bundle, run)[:-1], "8", "--workers", "2"]
    command = subprocess.Popen(
        [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    when_decoding(run, command.pid, lambda pid: os.kill(pid, kind))
    output, errors = command.communicate(timeout=120)
    assert command.returncode == 0, errors
    assert "252 radiographs = 252 ok + 0 failed" in output
    sweep([archive], light_bundle, tmp_path / "undisturbed")
    whole = (tmp_path / "undisturbed" / "results.csv").read_bytes()
    assert (run / "results.csv").read_bytes() == whole
    assert not list((run / "claims").iterdir())


def test_a_journal_says_what_is_in_flight_and_only_that(tmp_path: Path) -> None:
    path = tmp_path / "some.in-flight"
    assert in_flight(path).ordinals == ()
    journal = Journal(path)
    assert in_flight(path).ordinals == ()
    journal.begin(range(1000, 1064))
    assert in_flight(path).ordinals == tuple(range(1000, 1064))
    assert 0 <= time.monotonic() - in_flight(path).since < 10
    journal.begin([7])
    assert in_flight(path).ordinals == (7,)
    journal.end()
    assert in_flight(path).ordinals == ()
    journal.close()


def test_suspects_add_up_and_survive(tmp_path: Path) -> None:
    add_suspects(tmp_path, "one.0", [3, 1])
    add_suspects(tmp_path, "one.0", [2, 3])
    add_suspects(tmp_path, "two.1", [9])
    assert suspects_of(tmp_path) == {1, 2, 3, 9}
    (tmp_path / "suspects" / "one.0.json").write_text("damaged")
    assert suspects_of(tmp_path) == {9}
