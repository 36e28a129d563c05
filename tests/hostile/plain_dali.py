"""DALI alone, without any gate, in a fresh process that may die: files in, how it ended out."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TURNS = "--turns"
_TESTS = Path(__file__).resolve().parent.parent


def died_of(contents: Sequence[bytes], *, turns: bool = False) -> str:
    """Decode files one after the other with one pipeline.

    Args:
        contents: whole files.
        turns: whether DALI turns the pictures by EXIF, as it does unless told otherwise.

    Returns:
        name of the signal that ended the process, "" if none did.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number:03d}" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        words = [sys.executable, "-m", "hostile.plain_dali", *[TURNS] * turns, *map(str, paths)]
        done = subprocess.run(words, cwd=_TESTS, capture_output=True, timeout=120, check=False)
    assert done.returncode <= 0, done.stderr[-1000:]
    return signal.Signals(-done.returncode).name if done.returncode else ""


def _decode(contents: Sequence[bytes], turns: bool) -> None:
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=1, num_threads=1, device_id=None, prefetch_queue_depth=1)
    def decoding() -> object:
        files = fn.external_source(name="files", dtype=types.UINT8, ndim=1)
        grey = {"device": "cpu", "output_type": types.GRAY}
        return fn.decoders.image(files, adjust_orientation=turns, **grey)

    pipeline = decoding()
    for content in contents:
        try:
            pipeline.feed_input("files", [np.frombuffer(content, np.uint8)])
            pipeline.run()
        except (RuntimeError, ValueError):
            pipeline = decoding()


if __name__ == "__main__":
    asked = sys.argv[1:]
    files = [Path(word).read_bytes() for word in asked if word != TURNS]
    _decode(files, TURNS in asked)
