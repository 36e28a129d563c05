from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.zst": zstandard.compress,
}


@pytest.fixture(params=PACKERS)
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], Path]:
    """Write the bytes of a tar as `x.tar`, `x.tar.gz` or `x.tar.zst`."""

    def write(tar: bytes) -> Path:
        path = tmp_path / f"x{request.param}"
        path.write_bytes(PACKERS[request.param](tar))
        return path

    return write
