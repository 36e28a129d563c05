"""The careful lane with real processes that really die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_files import encapsulated_file, native_file, smooth
from dicom_files import encoded as encoded_frame
from pydicom import uid

from cxrsweep.engine.decode.careful import lane as lane_module
from cxrsweep.engine.decode.careful.child import FILES_PER_PROCESS
from cxrsweep.engine.decode.careful.lane import CarefulLane
from cxrsweep.engine.decode.grey import grey_pixels
from cxrsweep.engine.failures import FailureCode, Refused
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Header, Limits

Encoded = Callable[..., bytes]
LaneOf = Callable[..., CarefulLane]


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def nurseries() -> list[int]:
    """Processes of this one that run the nursery."""
    return [
        pid
        for task in Path("/proc/self/task").iterdir()
        for pid in map(int, (task / "children").read_text().split())
        if b"careful.nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


@pytest.fixture
def lane_of() -> Iterator[Callable[..., CarefulLane]]:
    opened: list[CarefulLane] = []

    def build(processes: int, **limits: float) -> CarefulLane:
        opened.append(CarefulLane(processes, **limits))  # type: ignore[arg-type]
        return opened[-1]

    yield build
    for lane in opened:
        lane.close()


@pytest.fixture(scope="module")
def slow() -> tuple[bytes, Header]:
    """A progressive JPEG of 9 megapixels whose last scan comes 200 times: seconds to decode."""
    noise = np.random.default_rng(0).integers(100, 110, (3000, 3000), np.uint8)
    done, encoded = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    content = bytes(encoded)
    start = content.rindex(b"\xff\xda")
    header_end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    return content[:-2] + content[start:header_end] * 200 + b"\xff\xd9", Header(
        "jpeg", 3000, 3000, 8
    )


@pytest.fixture(scope="module")
def large(encoded: Encoded) -> tuple[bytes, Header]:
    """A WebP of 9 megapixels: 27 MB as colours alone."""
    content = encoded(".webp", np.zeros((3000, 3000), np.uint8))
    return content, header_of(content, Limits())


@pytest.fixture(scope="module")
def small(encoded: Encoded) -> tuple[bytes, Header]:
    content = encoded(".bmp")  # its decoder is loaded already, whatever kind came first
    return content, header_of(content, Limits())


def only(answers: list[object]) -> Refused:
    (answer,) = answers
    assert isinstance(answer, Refused)
    return answer


def test_pixels_are_those_of_a_decoder_in_this_process(lane_of: LaneOf, encoded: Encoded) -> None:
    lane = lane_of(2)
    endings = [".tiff", ".bmp", ".webp", ".png", ".jpg"] * 4
    contents = [encoded(ending) for ending in endings]
    headers = [header_of(content, Limits()) for content in contents]
    for content, header, grey in zip(contents, headers, lane.greys(contents, headers), strict=True):
        assert not isinstance(grey, Refused)
        np.testing.assert_array_equal(grey, grey_pixels(content, header))


def test_frames_are_decoded_from_a_file_that_is_handed_over_once_per_process(
    lane_of: LaneOf, small: tuple[bytes, Header], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = smooth(12, False, (8 * 150, 16))
    many, other = (
        native_file(values, 12, NumberOfFrames=150, Rows=8) for values in (pixels, pixels[::-1])
    )
    files = [many] * 150 + [small[0]] + [other] * 3 + [many] * 150
    frames = [*range(1, 151), 0, *range(1, 4), *range(150, 0, -1)]
    # As a suspect would be: native words need no process otherwise.
    asked = [
        (content, replace(header_of(content, Limits(), frame), is_native=False))
        for content, frame in zip(files, frames, strict=True)
    ]
    handed: list[int] = []
    written = lane_module._written

    def noted(descriptor: int, content: bytes) -> None:
        handed.append(len(content))
        written(descriptor, content)

    monkeypatch.setattr(lane_module, "_written", noted)
    greys = lane_of(1).greys(*zip(*asked, strict=True))
    for (content, header), grey in zip(asked, greys, strict=True):
        np.testing.assert_array_equal(grey, grey_pixels(content, header))
    # Once each time another file comes, and once to the process that replaces a worn one.
    assert handed == [len(file) for file in (many, small[0], other, many, many)]
    assert len(files) > FILES_PER_PROCESS


@pytest.mark.parametrize("allocated", [8, 16])
def test_native_words_need_no_process(lane_of: LaneOf, allocated: int) -> None:
    words = smooth(allocated, False, (40, 30))
    content = native_file(words, allocated, WindowCenter=90, WindowWidth=120)
    header = header_of(content, Limits())
    lane = lane_of(2)
    (here,) = lane.greys([content], [header])
    assert not nurseries()
    (apart,) = lane.greys([content], [replace(header, is_native=False)])
    assert nurseries()
    # PS3.3 C.11.2.1.2.1 by hand, to 0..255, halves up.
    expected = np.floor(np.clip((words - (89.5 - 119 / 2)) * 255 / 119, 0, 255) + 0.5)
    np.testing.assert_array_equal(here, expected[..., None])
    np.testing.assert_array_equal(apart, here)


def test_only_grey_words_as_they_are_count_as_native() -> None:
    words = smooth(8, False, (40, 30))
    whole = native_file(words, 8)
    for content in (
        encapsulated_file([encoded_frame(words, 8, "rle")], words, 8, uid.RLELossless),
        native_file(words, 8, uid.DeflatedExplicitVRLittleEndian),
        native_file(np.dstack([words] * 3), 8, PhotometricInterpretation="RGB"),
    ):
        assert not header_of(content, Limits()).is_native
    assert header_of(whole, Limits()).is_native


def test_a_native_file_of_another_size_than_declared_keeps_its_code(lane_of: LaneOf) -> None:
    content = native_file(smooth(8, False, (40, 30)), 8)
    header = replace(header_of(content, Limits()), width=31)
    (refused,) = lane_of(1).greys([content], [header])
    assert isinstance(refused, Refused)
    assert refused.code == FailureCode.CORRUPT


def test_a_refusal_keeps_its_code_and_reason(lane_of: LaneOf, small: tuple[bytes, Header]) -> None:
    lane = lane_of(2)
    content, header = small
    other = Header(header.kind, header.width + 1, header.height, 8)
    reason = only(lane.greys([content], [other]))
    assert reason.code == FailureCode.CORRUPT
    assert "its header declares 261 x 300" in reason.reason


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_not(
    lane_of: LaneOf, slow: tuple[bytes, Header], small: tuple[bytes, Header]
) -> None:
    lane = lane_of(1, timeout_s=0.1)
    reason = only(lane.greys(*zip(slow, strict=True)))
    assert reason.code == FailureCode.TIMEOUT
    assert reason.reason == "jpeg not decoded in 0.1 s"
    (grey,) = lane.greys(*zip(small, strict=True))
    np.testing.assert_array_equal(grey, grey_pixels(*small))


def test_a_file_that_needs_too_much_memory_is_given_up(
    lane_of: LaneOf, large: tuple[bytes, Header], small: tuple[bytes, Header]
) -> None:
    lane = lane_of(1, memory_mib=20)
    assert only(lane.greys(*zip(large, strict=True))).code == FailureCode.TOO_MUCH_MEMORY
    (grey,) = lane.greys(*zip(small, strict=True))
    np.testing.assert_array_equal(grey, grey_pixels(*small))


def killing(deaths: int, kind: signal.Signals) -> threading.Thread:
    """Kill the process that is decoding, as often as asked."""

    def kill() -> None:
        seen: set[int] = set()
        deadline = time.monotonic() + 30
        while len(seen) < deaths and time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # processes end while they are looked at
                for pid in {pid for nursery in nurseries() for pid in children_of(nursery)} - seen:
                    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                    busy_ticks = int(stat[11])  # utime: it has begun to decode
                    if busy_ticks >= 5:
                        os.kill(pid, kind)
                        seen.add(pid)
            time.sleep(0.002)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_file_whose_decoder_dies_twice_is_the_culprit(
    lane_of: LaneOf, slow: tuple[bytes, Header], small: tuple[bytes, Header]
) -> None:
    lane = lane_of(1)
    lane.greys(*zip(small, strict=True))
    killer = killing(2, signal.SIGSEGV)
    first, culprit, last = lane.greys(*zip(small, slow, small, strict=True))
    killer.join()
    assert isinstance(culprit, Refused)
    assert culprit.code == FailureCode.DECODER_CRASHED
    assert culprit.reason == "jpeg killed its decoder: SIGSEGV"
    for neighbour in (first, last):
        np.testing.assert_array_equal(neighbour, grey_pixels(*small))


def test_a_file_whose_decoder_died_of_another_is_decoded_again(
    lane_of: LaneOf, slow: tuple[bytes, Header]
) -> None:
    lane = lane_of(1)
    killer = killing(1, signal.SIGABRT)
    (grey,) = lane.greys(*zip(slow, strict=True))
    killer.join()
    np.testing.assert_array_equal(grey, grey_pixels(*slow))


def test_deaths_are_followed_by_forks_and_not_by_a_new_start(
    lane_of: LaneOf, slow: tuple[bytes, Header]
) -> None:
    lane = lane_of(1, timeout_s=0.1)
    seen = set()
    for _ in range(4):
        assert only(lane.greys(*zip(slow, strict=True))).code == FailureCode.TIMEOUT
        seen |= set(nurseries())
    assert len(seen) == 1  # what took the time to import the decoders lives on


def test_processes_end_with_the_lane(lane_of: LaneOf, small: tuple[bytes, Header]) -> None:
    lane = lane_of(2)
    lane.greys(*zip(small, strict=True))
    (nursery,) = nurseries()
    assert len(children_of(nursery)) == 2
    lane.close()
    assert not Path(f"/proc/{nursery}").exists()


KILLED = """
import sys, time
from cxrsweep.engine.decode.careful.lane import CarefulLane
from cxrsweep.engine.gate.gate import header_of
from cxrsweep.engine.gate.header import Limits
content = open(sys.argv[1], "rb").read()
lane = CarefulLane(2)
lane.greys([content], [header_of(content, Limits())])
print(lane._nursery.pid, flush=True)
time.sleep(60)
"""


def test_processes_end_when_the_sweep_is_killed(
    small: tuple[bytes, Header], tmp_path: Path
) -> None:
    (tmp_path / "small.bmp").write_bytes(small[0])
    words = [sys.executable, "-c", KILLED, str(tmp_path / "small.bmp")]
    sweep = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert sweep.stdout
    nursery = int(sweep.stdout.readline())
    family = [nursery, *children_of(nursery)]
    assert len(family) == 3
    sweep.kill()
    sweep.wait()
    sweep.stdout.close()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/exe").exists() for pid in family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in family if Path(f"/proc/{pid}/exe").exists()]
