"""A watcher that stops a sweep."""

from __future__ import annotations

import threading


class StopAfter:
    """Asks to stop once some radiographs have rows."""

    def __init__(self, radiographs: int) -> None:
        self.left = radiographs
        self.stop = threading.Event()

    def told(self, line: str) -> None:
        pass

    def started(self, done: int, indexed: int) -> None:
        pass

    def advanced(self, radiographs: int, failed: int, shard: int = 0) -> None:
        self.left -= radiographs
        if self.left <= 0:
            self.stop.set()
