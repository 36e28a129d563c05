"""DALI alone, without any gate, in a process that may die: files in, how it ended out."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
from collections.abc import Sequence

import numpy as np


def died_of(contents: Sequence[bytes], *, turns: bool = False) -> str:
    """Decode files one after the other with one pipeline in a forked process.

    Args:
        contents: whole files.
        turns: whether DALI turns the pictures by EXIF, as it does unless told otherwise.

    Returns:
        name of the signal that ended the process, "" if none did.
    """
    pid = os.fork()
    if not pid:
        try:
            faulthandler.disable()  # pytest's would print of a death that is wanted
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            signal.alarm(60)
            _decode(contents, turns)
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else ""


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
