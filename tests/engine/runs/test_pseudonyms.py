"""Pseudonyms: no file of a run and no word on the terminal tells an original id or the key."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from archive_support import packed, results
from click.testing import CliRunner
from dicom_files import SOP_INSTANCE, native_file
from stopping import StopAfter

from cxrsweep.engine import Bundle, SweepOptions, sweep
from cxrsweep.engine.archive.selection import Selection
from cxrsweep.engine.cli import cxrsweep
from cxrsweep.engine.errors import RunError
from cxrsweep.engine.runs.pseudonyms import pseudonyms_from
from cxrsweep.engine.runs.run_folder import replaced
from cxrsweep.export.synthetic import phantom

PROGRAM = Path(sys.executable).with_name("cxrsweep")
KEY = bytes(range(200, 232))
SECRET = "doe-jane"


@pytest.fixture
def keyfile(tmp_path: Path) -> Path:
    path = tmp_path / "secret.key"
    path.touch(0o600)
    path.write_bytes(KEY)
    return path


@pytest.fixture
def named_archive(small_archive: Path) -> Path:
    """Twelve radiographs, a DICOM file of two frames and a failing file, all named by a patient."""
    for path in sorted(small_archive.rglob("*.*")):
        path.rename(path.with_name(f"{SECRET}-{path.name}"))
    pixels = np.concatenate([phantom(200, 220, np.random.default_rng(n)).pixels for n in (1, 2)])
    content = native_file(pixels, 8, NumberOfFrames=2, Rows=220)
    (small_archive / f"{SECRET}.dcm").write_bytes(content)
    (small_archive / f"{SECRET}-cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (small_archive / f"={SECRET}.txt").write_bytes(b"no image")
    return small_archive


def hmac_by_definition(key: bytes, message: bytes) -> str:
    """Source: RFC 2104 section 2, for keys of up to one block of 64 bytes."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


def mapping_of(run: Path) -> dict[str, str]:
    with (run / "pseudonyms.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["radiograph", "pseudonym"]
    return dict(rows)  # type: ignore[arg-type]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ["archive", "x.tar", "x.tar.gz", "x.zip"])
def test_ids_become_hmacs_and_the_scores_stay(
    named_archive: Path, light_bundle: Bundle, keyfile: Path, tmp_path: Path, name: str
) -> None:
    where = named_archive if name == "archive" else packed(named_archive, name)
    selection = Selection(frames="all")
    sweep([where], light_bundle, tmp_path / "plain", SweepOptions(selection))
    run = tmp_path / "run"
    sweep([where], light_bundle, run, SweepOptions(selection, pseudonymise=keyfile))
    plain, hidden = results(tmp_path / "plain"), results(run)
    assert [row[1:] for row in plain] == [row[1:] for row in hidden]
    expected = {
        row[0]: hmac_by_definition(KEY, row[0].removeprefix("'").encode())[:32] for row in plain[1:]
    }
    assert mapping_of(run) == expected
    assert [row[0] for row in hidden[1:]] == list(expected.values())
    assert any(original.endswith("#frame=2") for original in expected)
    assert (run / "pseudonyms.csv").read_bytes().startswith(b"radiograph,pseudonym\r\n")


def secrets_of(named_archive: Path) -> list[bytes]:
    return [
        *(SECRET.encode(), SOP_INSTANCE.encode(), KEY, KEY.hex().encode()),
        *(base64.b64encode(KEY), base64.urlsafe_b64encode(KEY), repr(KEY)[2:-1].encode()),
        *(path.name.encode() for path in named_archive.rglob("*.*")),
    ]


@pytest.mark.parametrize("ids", ["path", "sop"])
@pytest.mark.parametrize("name", ["archive", "x.tar.gz"])
def test_nothing_but_index_and_mapping_tells_an_id_and_nothing_the_key(
    named_archive: Path, light_bundle: Bundle, keyfile: Path, tmp_path: Path, name: str, ids: str
) -> None:
    where = named_archive if name == "archive" else packed(named_archive, name)
    words = ["sweep", str(where), "-b", str(light_bundle.folder), "-o", str(tmp_path / "run")]
    words += ["--pseudonymise", str(keyfile), "--frames", "all", "--id", ids]
    words += ["--exclude", f"*{SECRET}-00*", "--audit", "1", "--shard-size", "3"]
    done = subprocess.run([PROGRAM, *words], capture_output=True, check=False)
    assert done.returncode == 3, done.stderr  # of 15 files two fail
    told = [done.stdout, done.stderr]
    told.append(CliRunner().invoke(cxrsweep, ["inspect", str(tmp_path / "run")]).stdout_bytes)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"results.csv", "log.jsonl", "run.json", "index.csv"} <= {path.name for path in files}
    for secret in secrets_of(named_archive):
        is_key = secret not in (SECRET.encode(), SOP_INSTANCE.encode()) and b"doe" not in secret
        for path in files:
            if is_key or path.name not in ("index.csv", "pseudonyms.csv"):
                assert secret not in path.read_bytes(), (path, secret)
        assert not any(secret in output for output in told), secret
    if name != "archive":
        assert SECRET.encode() not in (tmp_path / "run" / "index.csv").read_bytes()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    failed = [line["radiograph"] for line in log if line["event"] == "radiograph_failed"]
    assert len(failed) == 2
    assert set(failed) <= set(mapping_of(tmp_path / "run").values())


def test_a_radiograph_given_by_itself_is_not_named_either(
    named_archive: Path, light_bundle: Bundle, keyfile: Path, tmp_path: Path
) -> None:
    where = named_archive / f"{SECRET}.dcm"
    sweep([where], light_bundle, tmp_path / "run", SweepOptions(pseudonymise=keyfile))
    assert list(mapping_of(tmp_path / "run")) == [where.name]
    for path in (tmp_path / "run").rglob("*.*"):
        if path.is_file() and path.name not in ("index.csv", "pseudonyms.csv"):
            assert SECRET.encode() not in path.read_bytes(), path


def test_index_and_mapping_are_for_their_owner_from_the_first_byte(
    named_archive: Path, demo_bundle: Bundle, keyfile: Path, tmp_path: Path
) -> None:
    run, seen = tmp_path / "run", {}
    run.mkdir()
    (run / "parts").mkdir()
    options = SweepOptions(Selection(view="frontal"), pseudonymise=keyfile)

    class Looking(StopAfter):
        def told(self, line: str) -> None:  # the survey begins once both files are open
            for path in run.glob("*.partial"):
                seen[path.name.partition(".")[0]] = mode_of(path)

    watcher = Looking(10**9)
    assert sweep([named_archive], demo_bundle, run, options, watcher=watcher).is_finished
    assert seen == {"index": 0o600, "pseudonyms": 0o600}
    assert mode_of(run / "index.csv") == mode_of(run / "pseudonyms.csv") == 0o600
    assert mode_of(run / "results.csv") & stat.S_IRUSR


def test_what_a_kill_left_open_to_others_is_not_written_on(tmp_path: Path) -> None:
    partial = tmp_path / "index.csv.me.partial"
    with partial.open("w") as left:  # somebody still has it open
        partial.chmod(0o644)
        with replaced(tmp_path / "index.csv", is_private=True, by="me") as stream:
            stream.write("names")
            assert mode_of(partial) == 0o600
        assert left.seek(0, 2) == 0
    assert mode_of(tmp_path / "index.csv") == 0o600
    assert not partial.exists()


def test_stopped_sweep_goes_on_with_the_same_pseudonyms(
    named_archive: Path, demo_bundle: Bundle, keyfile: Path, tmp_path: Path
) -> None:
    options = SweepOptions(shard_size=2, batch=2, pseudonymise=keyfile)
    sweep([named_archive], demo_bundle, tmp_path / "whole", options)
    watcher, run = StopAfter(3), tmp_path / "run"
    first = sweep([named_archive], demo_bundle, run, options, watcher=watcher, stop=watcher.stop)
    assert not first.is_finished
    for path in (run / "parts").iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
    assert sweep([named_archive], demo_bundle, run, options).is_finished
    assert (run / "results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()


def test_a_mapping_that_is_gone_is_told(
    small_archive: Path, light_bundle: Bundle, keyfile: Path, tmp_path: Path
) -> None:
    options, run = SweepOptions(pseudonymise=keyfile), tmp_path / "run"
    assert not sweep([small_archive], light_bundle, run, options).notes
    (run / "pseudonyms.csv").unlink()
    (note,) = sweep([small_archive], light_bundle, run, options).notes
    assert "pseudonyms.csv was taken away or changed" in note


def test_another_key_or_none_is_refused(
    small_archive: Path, light_bundle: Bundle, keyfile: Path, tmp_path: Path
) -> None:
    options, run = SweepOptions(pseudonymise=keyfile), tmp_path / "run"
    sweep([small_archive], light_bundle, run, options)
    with pytest.raises(RunError, match=r'pseudonyms: was "by the key .*", asked for "none"'):
        sweep([small_archive], light_bundle, run)
    keyfile.write_bytes(KEY[::-1])
    with pytest.raises(RunError) as refused:
        sweep([small_archive], light_bundle, run, options)
    first, line, last = str(refused.value).splitlines()
    assert re.search(r'pseudonyms: was "by .* mark (\w{16})", asked for "by .* mark (?!\1)', line)
    assert "begun with something else" in first
    assert "Give the same words" in last
    keyfile.write_bytes(KEY)
    assert sweep([small_archive], light_bundle, run, options).is_finished


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o602])
def test_key_that_others_can_use_is_refused(keyfile: Path, mode: int) -> None:
    keyfile.chmod(mode)
    with pytest.raises(RunError, match=f"mode {mode:o}.*chmod 600 {keyfile}"):
        pseudonyms_from(keyfile)


def test_key_that_cannot_be_one_is_refused_with_how_to_make_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make = r"\(umask 077; head -c 32 /dev/urandom > "
    with pytest.raises(RunError, match="there is no key .*" + make):
        pseudonyms_from(path)
    path.touch(0o600)
    path.write_bytes(b"x" * 15)
    with pytest.raises(RunError, match="has 15 bytes; it needs 16 to .*" + make):
        pseudonyms_from(path)
    path.write_bytes(b"x" * 16)
    assert len(pseudonyms_from(path).of("id")) == 32
    with pytest.raises(RunError, match="no regular file.*" + make):
        pseudonyms_from(tmp_path)


def test_refused_key_leaves_no_run_folder(
    small_archive: Path, light_bundle: Bundle, tmp_path: Path
) -> None:
    words = ["sweep", str(small_archive), "-b", str(light_bundle.folder), "-o", str(tmp_path / "r")]
    done = CliRunner().invoke(cxrsweep, [*words, "--pseudonymise", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "head -c 32 /dev/urandom" in done.stderr
    assert not (tmp_path / "r").exists()


def test_bytes_that_are_not_utf_8_have_a_pseudonym(keyfile: Path) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    expected = hmac_by_definition(KEY, b"caf\xe9.png")[:32]
    assert pseudonyms_from(keyfile).of(name) == expected
