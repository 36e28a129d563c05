from __future__ import annotations

import io

from rich.console import Console

from cxrsweep.engine.progress import BarWatcher, PlainWatcher


def test_plain_lines_come_once_a_minute_with_rate_and_time_left() -> None:
    now, lines = [0.0], []
    watcher = PlainWatcher(lines.append, interval_s=60, clock=lambda: now[0])
    watcher.started(done=100, indexed=1300)
    for second in range(1, 121):
        now[0] = second
        watcher.advanced(2, int(second == 30))
    assert lines == [
        "sweeping 1300 radiographs, 100 already done",
        "220/1300 radiographs, 1 failed, 2.0/s, 9 min left",
        "340/1300 radiographs, 1 failed, 2.0/s, 8 min left",
    ]


def test_bar_shows_counts_rate_and_failures() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    with BarWatcher(console) as bar:
        bar.told("device: CPU, 2 cores [as asked]")
        bar.started(done=5, indexed=10)
        bar.advanced(1, 0)
        bar.advanced(1, 1)
    assert "device: CPU, 2 cores [as asked]" in stream.getvalue()
    assert "7/10" in stream.getvalue()
    assert "1 failed" in stream.getvalue()
    assert "/s" in stream.getvalue()
