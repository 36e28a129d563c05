"""Counts of a run: results.csv streamed once in, everything a report tells of it out."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from cxrsweep.engine.decode.geometry import Box
from cxrsweep.engine.errors import TableError
from cxrsweep.engine.failures import FailureCode
from cxrsweep.engine.recipe import Recipe
from cxrsweep.engine.runs.decisions import UNSURE
from cxrsweep.engine.runs.table import NO_LUNG, unguarded

STEPS = 10_000  # of a score between 0 and 1: quantiles are good to one of them
EXAMPLES = 3  # failed radiographs of each code
MEGAPIXELS = (0.25, 0.5, 1, 2, 4, 8, 16)  # edges between classes of size


@dataclass(frozen=True)
class Row:
    """One radiograph that a report lists or shows.

    Attributes:
        ordinal: its place in the sweep, from 0.
        radiograph: its id; text of the archive, so not to be trusted.
        scores: label -> score; empty where it failed.
        size: width and height as shown, in pixels; None where nothing is known.
        box: lung box in pixels, end exclusive; None where no lung was found or looked for.
        error: failure code, or empty.
        flags: words of the column `flags`.
    """

    ordinal: int
    radiograph: str
    scores: dict[str, float]
    size: tuple[int, int] | None
    box: Box | None
    error: str
    flags: tuple[str, ...]


class Best:
    """Keeps the few rows with the largest keys; of equal keys, those that came first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, Row]] = []

    def add(self, key: float, row: Row) -> None:
        """Offer a row."""
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (key, -row.ordinal, row))
        elif key > self._heap[0][0]:  # rows come in order, so an equal key came too late
            heapq.heapreplace(self._heap, (key, -row.ordinal, row))

    def rows(self) -> list[Row]:
        """What was kept, largest key first."""
        return [row for _, _, row in sorted(self._heap, key=lambda item: item[:2], reverse=True)]


class LabelTally:
    """Scores of one label.

    Attributes:
        threshold: of the recipe, or None.
        reached: radiographs whose row says that they reach it.
        counts: STEPS numbers of radiographs, by score.
        top, borderline: a few rows.
    """

    def __init__(self, threshold: float | None, kept: int) -> None:
        self.threshold = threshold
        self.reached = 0
        self.counts = [0] * STEPS  # a list, because NumPy takes longer to add one
        self.top, self.borderline = Best(kept), Best(kept)

    @property
    def limit(self) -> float:
        """Where a score is borderline."""
        return UNSURE if self.threshold is None else self.threshold

    def add(self, row: Row, score: float, flag: str) -> None:
        """Count one scored radiograph."""
        self.counts[min(int(score * STEPS), STEPS - 1)] += 1
        self.reached += flag == "1"
        self.top.add(score, row)
        self.borderline.add(-abs(score - self.limit), row)

    def quantile(self, share: float) -> float | None:
        """Smallest score, to a step, that this share of the radiographs does not exceed."""
        below = list(accumulate(self.counts))
        return (bisect_left(below, share * below[-1]) + 0.5) / STEPS if below[-1] else None


@dataclass
class Tally:
    """What was counted.

    Attributes:
        labels: label -> its scores.
        rows, scored: of the table.
        failures: code -> radiographs.
        examples: code -> its first few rows.
        flags, kinds, bits: word of that column -> radiographs.
        sizes: radiographs in each class between MEGAPIXELS.
        unsized: radiographs whose size is not known.
        sides: shortest and longest side of any, in pixels; 0 and 0 where none is known.
        lung: 100 numbers of radiographs, by lung fraction.
    """

    labels: dict[str, LabelTally]
    rows: int = 0
    scored: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Row]] = field(default_factory=dict)
    flags: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    bits: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=lambda: [0] * (len(MEGAPIXELS) + 1))
    unsized: int = 0
    sides: tuple[int, int] = (0, 0)
    lung: list[int] = field(default_factory=lambda: [0] * 100)

    def add(self, cells: Mapping[str, str], row: Row) -> None:
        """Count one row."""
        self.rows += 1
        self.flags.update(row.flags)
        self._add_input(cells, row)
        if row.error:
            self.failures[row.error] += 1
            examples = self.examples.setdefault(row.error, [])
            if len(examples) < EXAMPLES:
                examples.append(row)
            return
        self.scored += 1
        for label, tally in self.labels.items():
            tally.add(row, row.scores[label], cells.get(f"{label}_flag", ""))
        if cells["lung_fraction"]:
            self.lung[min(int(float(cells["lung_fraction"]) * 100), 99)] += 1

    def _add_input(self, cells: Mapping[str, str], row: Row) -> None:
        if row.size is None:
            self.unsized += 1
            return
        width, height = row.size
        self.kinds[cells["kind"]] += 1
        self.bits[cells["bits"]] += 1
        self.sizes[bisect_right(MEGAPIXELS, width * height / 1e6)] += 1
        low, high = self.sides
        self.sides = (min(low or width, width, height), max(high, width, height))


def tally_of(recipe: Recipe, rows: Iterable[Mapping[str, str]], kept: int) -> Tally:
    """Count the rows of a run.

    Args:
        recipe: of the run.
        rows: of results.csv, in order; none is kept but a few.
        kept: top and borderline rows of each label.

    Raises:
        TableError: a cell is not what a sweep writes.
    """
    labels = recipe.classifier.labels
    tally = Tally({label: LabelTally(recipe.thresholds.get(label), kept) for label in labels})
    for ordinal, cells in enumerate(rows):
        try:
            tally.add(cells, row_of(recipe, ordinal, cells))
        except (TypeError, ValueError, AttributeError) as error:
            raise TableError(
                f"row {ordinal + 1} of results.csv is damaged ({error}); it was changed after the"
                " sweep: put it back, or sweep again into a new run folder"
            ) from error
    return tally


def row_of(recipe: Recipe, ordinal: int, cells: Mapping[str, str]) -> Row:
    """Read one line of results.csv.

    Args:
        recipe: of the run.
        ordinal: place of the line, from 0, which is that of the radiograph in index.csv.
        cells: column -> cell.
    """
    is_ok = cells["status"] == "ok"
    flags = tuple(cells["flags"].split())
    box = None
    if is_ok and cells["x0"] and NO_LUNG not in flags:
        box = (int(cells["x0"]), int(cells["y0"]), int(cells["x1"]), int(cells["y1"]))
    return Row(
        ordinal,
        unguarded(cells["radiograph"]),
        {label: float(cells[label]) for label in recipe.classifier.labels} if is_ok else {},
        (int(cells["width"]), int(cells["height"])) if cells["width"] else None,
        box,
        "" if is_ok else FailureCode(cells["error"]),
        flags,
    )
