from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cxrsweep.bench.page_cache import ColdError, drop_pages, load_pages, resident_pages

PAGES = 300


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(PAGES * os.sysconf("SC_PAGE_SIZE") - 7))
    return str(path)


def dropped(file: str) -> None:
    try:
        drop_pages([file])
    except ColdError as error:
        pytest.skip(f"temporary folders cannot be cold here: {error}")


def pages_by_fincore(file: str) -> int:
    """What util-linux says: it asks the system on its own."""
    if not shutil.which("fincore"):
        pytest.skip("no fincore to compare with")
    words = ["fincore", "--noheadings", "--raw", "--output", "PAGES", file]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def test_dropped_pages_are_gone_and_loaded_ones_there(file: str) -> None:
    load_pages([file])
    assert resident_pages(file) == (PAGES, PAGES)
    assert pages_by_fincore(file) == PAGES
    dropped(file)
    assert resident_pages(file) == (0, PAGES)
    assert pages_by_fincore(file) == 0
    load_pages([file])
    assert resident_pages(file) == (PAGES, PAGES)


def test_looking_brings_no_page_back(file: str) -> None:
    dropped(file)
    for _ in range(3):
        assert resident_pages(file)[0] == 0


def test_a_file_that_another_program_maps_is_not_cold(file: str) -> None:
    dropped(file)
    code = (
        "import mmap, sys\n"
        "stream = open(sys.argv[1], 'rb')\n"
        "mapped = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)\n"
        "sum(mapped[::4096]); print('mapped', flush=True); sys.stdin.read()\n"
    )
    words = [shutil.which("python3") or "python3", "-c", code, file]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(ColdError, match=rf"keeps \d+ of {PAGES} pages"):
            drop_pages([file])


def test_empty_files_are_no_trouble_and_remote_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    drop_pages([str(tmp_path / "empty")])
    with pytest.raises(ColdError, match="not on this machine"):
        drop_pages(["s3://bucket/a.jpg"])
