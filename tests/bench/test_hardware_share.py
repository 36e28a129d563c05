from __future__ import annotations

import subprocess
import sys
import time

import pytest

from cxrsweep.bench.hardware_share import HardwareWatch, tree_cpu_s
from cxrsweep.engine.hardware.machine import cores

# A process whose child works, and which says the CPU seconds of both when the child has ended.
BUSY = """
import resource, subprocess, sys, time
work = "import time\\nwhile time.process_time() < 0.8: pass"
subprocess.run([sys.executable, "-c", work], check=True)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(u.ru_utime + u.ru_stime for u in used))
"""
TICKS_S = 0.1  # some ticks of 10 ms, of several processes


def test_what_children_and_theirs_used_is_counted() -> None:
    begin, own = time.time(), time.process_time()
    with HardwareWatch(None) as watch:
        done = subprocess.run(
            [sys.executable, "-c", BUSY], capture_output=True, text=True, check=True
        )
    used = (watch.share() or 0) * (time.time() - begin) * cores()
    own = time.process_time() - own  # threads that earlier tests left in this process
    assert used == pytest.approx(float(done.stdout) + own, abs=TICKS_S)


def test_only_the_instants_in_between_count() -> None:
    with HardwareWatch(None) as watch:
        time.sleep(0.4)
        begin = time.time()
        before = time.process_time()
        while time.process_time() - before < 0.5:
            pass
        end, used = time.time(), time.process_time() - before
        time.sleep(0.4)
    share = watch.share(begin, end)
    # Between two looks, CPU time is taken to be even: a tenth of a second on either side.
    assert share == pytest.approx(used / (end - begin) / cores(), abs=0.2 / (end - begin))
    assert (watch.share() or 0) < share


def test_living_children_count_before_they_end() -> None:
    work = "import time\ninput()\nwhile time.process_time() < 0.8: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin
        assert child.stdout
        before = tree_cpu_s()
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        # All but what it took to start, which is far below half a second of a processor.
        assert 0.3 < tree_cpu_s() - before < 0.9
        child.stdin.close()
