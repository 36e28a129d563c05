"""Claims and leases, with real processes where another process is meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cxrsweep.engine.errors import RunError
from cxrsweep.engine.runs import admission
from cxrsweep.engine.runs.admission import admitted
from cxrsweep.engine.runs.claims import Claims
from cxrsweep.engine.runs.leases import CLAIMS, STALE_S, Lease, Leases

OTHER = """
import sys
from pathlib import Path
from cxrsweep.engine.runs.claims import Claims
from cxrsweep.engine.runs.leases import Lease
run = Path(sys.argv[1])
lease = Lease(run)
claims = Claims(run, lease.token)
print([claims.take(name) for name in sys.argv[2:]], lease.token, flush=True)
sys.stdin.read()
"""


def other_process(run: Path, *names: str) -> tuple[subprocess.Popen[str], str]:
    """A process that has a lease and claims, and keeps them until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(run), *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said, _, token = process.stdout.readline().strip().rpartition(" ")
    assert said == str([True] * len(names))
    return process, token


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def elsewhere(run: Path, age_s: float) -> str:
    """A lease as another host leaves it, that was touched some time ago."""
    lease = Lease(run)
    path = run / CLAIMS / f"{lease.token}.lease"
    content = json.loads(path.read_bytes())
    lease.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, "host": "far", "place": "another boot"}))
    stamp = path.stat().st_mtime - age_s
    os.utime(path, (stamp, stamp))
    return lease.token


def test_a_claim_is_held_by_one_until_it_is_dead(tmp_path: Path) -> None:
    process, _ = other_process(tmp_path, "shard-000000")
    lease = Lease(tmp_path)
    claims = Claims(tmp_path, lease.token)
    assert not claims.take("shard-000000")
    assert claims.take("shard-000001")
    end(process)
    assert claims.take("shard-000000")
    assert claims.holds("shard-000000")
    assert not Claims(tmp_path, lease.token, 1).take("shard-000000")
    claims.drop("shard-000000")
    assert Claims(tmp_path, lease.token, 1).take("shard-000000")
    lease.close()


def test_of_many_that_take_over_from_the_dead_one_succeeds(tmp_path: Path) -> None:
    names = [f"shard-{number:06d}" for number in range(50)]
    process, _ = other_process(tmp_path, *names)
    end(process)
    lease, taken = Lease(tmp_path), []
    start = threading.Barrier(8)

    def take(number: int) -> None:
        claims = Claims(tmp_path, lease.token, number)
        start.wait()
        taken.extend(name for name in names if claims.take(name))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lease.close()
    assert sorted(taken) == names


def test_a_file_system_without_symbolic_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what vfat says

    monkeypatch.setattr(Path, "symlink_to", refuse)
    lease = Lease(tmp_path)
    assert Claims(tmp_path, lease.token).take("index")
    assert Claims(tmp_path, lease.token).take("index")
    assert not Claims(tmp_path, lease.token, 1).take("index")
    lease.close()


def test_permits_are_shared_by_the_workers_of_a_command(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    workers = [Claims(tmp_path, lease.token, number) for number in range(3)]
    assert [worker.permitted(4) for worker in workers * 2] == [True] * 4 + [False] * 2
    assert Claims(tmp_path, "0-0").permitted(1)
    lease.close()


def test_a_lease_of_another_host_lives_as_long_as_it_is_touched(tmp_path: Path) -> None:
    fresh, stale = elsewhere(tmp_path, STALE_S / 2), elsewhere(tmp_path, STALE_S + 10)
    lease = Lease(tmp_path)
    leases = Leases(tmp_path, lease.token)
    assert (leases.is_live(fresh), leases.is_live(stale)) == (True, False)
    assert list(leases.others()) == [fresh]
    assert not leases.is_live("never-seen")
    lease.close()


def test_a_process_id_that_was_given_again_is_another_process(tmp_path: Path) -> None:
    process, token = other_process(tmp_path)
    leases = Leases(tmp_path, "")
    assert leases.is_live(token)
    path = tmp_path / CLAIMS / f"{token}.lease"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "ticks": "1"}))
    assert not leases.is_live(token)
    end(process)


def test_a_second_command_is_refused_or_joins_in(tmp_path: Path) -> None:
    process, _ = other_process(tmp_path, "alone")
    with (
        pytest.raises(RunError, match=rf"another sweep .*process {process.pid}\); .*--join-in"),
        admitted(tmp_path, joins_in=False),
    ):
        pass
    with admitted(tmp_path, joins_in=True):
        pass
    end(process)
    with admitted(tmp_path, joins_in=False):
        pass


def test_who_joined_in_is_not_joined_unasked(tmp_path: Path) -> None:
    with admitted(tmp_path, joins_in=True):
        with (
            pytest.raises(RunError, match="another sweep"),
            admitted(tmp_path, joins_in=False),
        ):
            pass
        with admitted(tmp_path, joins_in=True):
            pass


def test_a_host_that_may_be_dead_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").touch()
    monkeypatch.setattr(admission, "LOOK_S", 0.01)
    token = elsewhere(tmp_path, STALE_S - 2)
    (tmp_path / CLAIMS / "alone-0").symlink_to(f"{token}.0")
    said: list[str] = []
    with admitted(tmp_path, joins_in=False, say=said.append):
        assert Claims(tmp_path, token).holds("alone") is False
    assert said == [line for line in said if "sign of life of far" in line]
    assert len(said) == 1


def test_a_host_that_gives_a_sign_of_life_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").touch()
    monkeypatch.setattr(admission, "LOOK_S", 0.01)
    token = elsewhere(tmp_path, STALE_S / 2)
    (tmp_path / CLAIMS / "alone-0").symlink_to(f"{token}.0")
    path = tmp_path / CLAIMS / f"{token}.lease"
    with (
        pytest.raises(RunError, match=r"another sweep .*far"),
        admitted(tmp_path, joins_in=False, say=lambda _: os.utime(path)),
    ):
        pass


def test_a_refused_start_leaves_no_folder(tmp_path: Path) -> None:
    with admitted(tmp_path / "run", joins_in=False):
        assert (tmp_path / "run" / CLAIMS).is_dir()
    assert not (tmp_path / "run").exists()
