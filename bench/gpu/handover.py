"""Whether scores of pixels read in place on the device equal those of a copy from the host."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from cxrsweep.bench.gpu.agreement import are_equal
from cxrsweep.bench.gpu.files import files_of, repeated
from cxrsweep.bench.gpu.kit import opened_kit
from cxrsweep.bench.gpu.setting import Note, Setting
from cxrsweep.bench.kits import USUAL_SHARE, Kit, decoded, opened_decoder, opened_runner
from cxrsweep.engine.reader import Checked
from cxrsweep.engine.runners import Pending, Runner, Scores
from cxrsweep.engine.stages import AnyDecoder

BATCHES = 200
RESERVE_S = 8.0


def compare_handovers(setting: Setting, note: Note) -> None:
    """Score batches of several lengths both ways, then many in a row without waiting."""
    with (
        opened_kit(setting) as kit,
        opened_decoder(kit, setting.batch, USUAL_SHARE) as decoder,
        opened_runner(kit, setting.batch) as runner,
    ):
        batches = batches_of_lengths(files_of(setting, "jpeg-1024"), setting.batch)
        expected, unequal = both_ways(kit, decoder, runner, batches)
        note("lengths", [len(batch) for batch in batches])
        note("unequal_lengths", unequal)
        count = 6 if setting.quick else BATCHES
        done, wrong = in_a_row(
            decoder, runner, batches, expected, count, lambda: setting.left_s > RESERVE_S
        )
        note("batches_in_a_row", done)
        note("unequal_batches", wrong)
        note("is_equal", not wrong and not unequal)


def batches_of_lengths(files: Sequence[Checked], batch: int) -> list[list[Checked]]:
    """Full and short batches, each of other files."""
    lengths = dict.fromkeys((batch, 1, max(batch // 4 + 1, 1), max(batch - 1, 1), batch))
    many = repeated(files, sum(lengths))
    batches = []
    for length in lengths:
        batches.append(many[:length])
        many = many[length:]
    return batches


def both_ways(
    kit: Kit, decoder: AnyDecoder, runner: Runner, batches: Sequence[Sequence[Checked]]
) -> tuple[list[Scores], list[int]]:
    """Score the same pixels in place and from a copy.

    Returns:
        the scores of the copies, and the lengths of the batches where the two differ in a bit.
    """
    expected, unequal = [], []
    for batch in batches:
        pixels = decoded(decoder, batch).pixels
        copy = kit.on_host(pixels)
        in_place = runner.submit(pixels).result()
        expected.append(runner.submit(copy).result())
        if not are_equal(in_place, expected[-1]):
            unequal.append(len(batch))
    return expected, unequal


def in_a_row(
    decoder: AnyDecoder,
    runner: Runner,
    batches: Sequence[Sequence[Checked]],
    expected: Sequence[Scores],
    count: int,
    has_time: Callable[[], bool] = lambda: True,
) -> tuple[int, list[int]]:
    """Decode and submit as a sweep does; only what is in flight keeps the pixels.

    Args:
        decoder: gives the pixels.
        runner: made for it.
        batches: taken in turn.
        expected: scores of each.
        count: most batches.
        has_time: whether to go on.

    Returns:
        how many were scored, and the numbers of those whose scores differ from the expected in a
        bit, the first 20.
    """
    in_flight: deque[tuple[int, Pending]] = deque()
    wrong = []

    def collect() -> None:
        done, pending = in_flight.popleft()
        if not are_equal(pending.result(), expected[done % len(expected)]):
            wrong.append(done)

    number = 0
    while number < count and has_time():
        pixels = decoded(decoder, batches[number % len(batches)]).pixels
        in_flight.append((number, runner.submit(pixels)))
        del pixels
        number += 1
        if len(in_flight) > runner.depth:
            collect()
    while in_flight:
        collect()
    return number, wrong[:20]
