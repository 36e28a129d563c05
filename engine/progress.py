"""Shows how far a sweep is: a bar on a terminal, one plain line a minute anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_INTERVAL_S = 60.0


class Watcher(Protocol):
    """What the sweep tells while it runs."""

    def told(self, line: str) -> None:
        """Something the user should know at once."""
        ...

    def started(self, done: int, indexed: int) -> None:
        """`done` of `indexed` radiographs were finished by an earlier start."""
        ...

    def advanced(self, radiographs: int, failed: int, shard: int = 0) -> None:
        """More radiographs of a shard have their rows; fewer, where a death took them."""
        ...


class SilentWatcher:
    """Shows nothing: the default of the Python function."""

    def told(self, line: str) -> None:
        """Ignore it."""

    def started(self, done: int, indexed: int) -> None:
        """Ignore it."""

    def advanced(self, radiographs: int, failed: int, shard: int = 0) -> None:
        """Ignore it."""


class BarWatcher:
    """A bar with rate and time left, for terminals.

    Args:
        console: where it is drawn.
    """

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("sweeping"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[red]{task.fields[failures]}"),
            console=console,
        )
        self._failed = self._scored = 0
        self._start = 0.0

    def told(self, line: str) -> None:
        """Print it above the bar."""
        self._bar.console.print(line, markup=False, highlight=False)

    def started(self, done: int, indexed: int) -> None:
        """Draw the bar."""
        self._start = time.perf_counter()
        self._task = self._bar.add_task(
            "sweep", total=indexed, completed=done, rate="", failures=""
        )

    def advanced(self, radiographs: int, failed: int, shard: int = 0) -> None:
        """Move the bar."""
        self._failed += failed
        self._scored += radiographs
        rate = self._scored / max(time.perf_counter() - self._start, 1e-9)
        failures = f"{self._failed} failed" if self._failed else ""
        self._bar.update(self._task, advance=radiographs, rate=f"{rate:.1f}/s", failures=failures)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class PlainWatcher:
    """One line a minute, for logs.

    Args:
        say: receives each line.
        interval_s: seconds between lines.
        clock: tells seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        interval_s: float = PLAIN_INTERVAL_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._say = say
        self._interval_s = interval_s
        self._clock = clock
        self._done = self._first = self._indexed = self._failed = 0
        self._start = self._last = clock()

    def told(self, line: str) -> None:
        """Say it."""
        self._say(line)

    def started(self, done: int, indexed: int) -> None:
        """Say what lies ahead."""
        self._done = self._first = done
        self._indexed = indexed
        self._start = self._last = self._clock()
        self._say(f"sweeping {indexed} radiographs, {done} already done")

    def advanced(self, radiographs: int, failed: int, shard: int = 0) -> None:
        """Say how far it is, if the interval is over."""
        self._done += radiographs
        self._failed += failed
        now = self._clock()
        if now - self._last < self._interval_s:
            return
        self._last = now
        rate = (self._done - self._first) / (now - self._start)
        minutes = (self._indexed - self._done) / rate / 60 if rate else float("inf")
        self._say(
            f"{self._done}/{self._indexed} radiographs, {self._failed} failed,"
            f" {rate:.1f}/s, {minutes:.0f} min left"
        )
