"""Charts: figures in, the coordinates of one SVG out; a template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cxrsweep.engine.evaluation.results import Curve

_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 14.0, 12.0, 42.0
_TICKS = 5
_SMALLEST_BAR = 1.0  # what is counted is seen, however few beside the highest bar

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A line through points; kind is a class of the style sheet."""

    kind: Literal["line", "guide"]
    points: str


@dataclass(frozen=True)
class Chart:
    """One drawing, in its own units.

    Attributes:
        spoken: what it shows, for those who do not see it.
        width, height: of the whole.
        left, top, right, bottom: edges of the part between the axes.
    """

    spoken: str
    width: float
    height: float
    x_label: str
    y_label: str
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    dots: list[Point] = field(default_factory=list)

    left, top = _LEFT, _TOP

    @property
    def right(self) -> float:
        """Edge of the part between the axes."""
        return self.width - _RIGHT

    @property
    def bottom(self) -> float:
        """Edge of the part between the axes."""
        return self.height - _BOTTOM


@dataclass(frozen=True)
class _Frame:
    """Maps values to places: x from 0 to `x_most`, y from 0 to `y_most`."""

    width: float
    height: float
    x_most: float
    y_most: float

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.x_most * (self.width - _LEFT - _RIGHT), 2)

    def y(self, value: float) -> float:
        return round(self.height - _BOTTOM - value / self.y_most * self._rise, 2)

    @property
    def _rise(self) -> float:
        return self.height - _TOP - _BOTTOM

    def bar(self, start: float, end: float, value: float) -> Bar:
        """A bar from 0 up, a little narrower than its place."""
        left, right = self.x(start), self.x(end)
        gap = 1.0 if right - left > 4 else 0.0
        tall = max(self.height - _BOTTOM - self.y(value), _SMALLEST_BAR)
        low = self.height - _BOTTOM
        return Bar(left, round(low - tall, 2), round(max(right - left - gap, 0.5), 2), tall)

    def line(self, kind: Literal["line", "guide"], points: Sequence[Point]) -> Line:
        return Line(kind, " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points))

    def x_ticks(self, values: Sequence[float]) -> list[Tick]:
        return [Tick(self.x(value), written(value)) for value in values]

    def y_ticks(self, values: Sequence[float]) -> list[Tick]:
        return [Tick(self.y(value), written(value)) for value in values]


def written(value: float) -> str:
    """A tick's number: thousands with commas, no needless digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def round_ticks(most: float) -> list[float]:
    """About five round numbers from 0 to at least `most`: steps of 1, 2 or 5 times ten to a power.

    Example:
        >>> round_ticks(37)
        [0.0, 10.0, 20.0, 30.0, 40.0]
    """
    rough = most / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(n * step, 9) for n in range(math.ceil(most / step - 1e-9) + 1)]


def histogram(
    counts: Sequence[int], most: float, x_label: str, spoken: str, limit: float | None = None
) -> Chart:
    """Bars of equal width from 0 to `most`.

    Args:
        counts: radiographs of each bar.
        most: right end of the last one.
        x_label: of the axis.
        spoken: what it shows.
        limit: where to draw a line upwards; None draws none.
    """
    heights = round_ticks(max(*counts, 4))  # four: no ticks between whole radiographs
    frame = _Frame(520, 230, most, heights[-1])
    step = most / len(counts)
    bars = [
        frame.bar(place * step, (place + 1) * step, count)
        for place, count in enumerate(counts)
        if count
    ]
    lines = [] if limit is None else [frame.line("guide", [(limit, 0), (limit, heights[-1])])]
    x_ticks = frame.x_ticks([x for x in round_ticks(most) if x <= most])
    y_ticks = frame.y_ticks(heights)
    return Chart(
        spoken, frame.width, frame.height, x_label, "radiographs", x_ticks, y_ticks, bars, lines
    )


def unit_curve(
    curve: Curve, x_label: str, y_label: str, spoken: str, guide: Sequence[Point], *, dotted: bool
) -> Chart:
    """A curve in the unit square.

    Args:
        curve: points from 0 to 1.
        x_label: of the axis.
        y_label: of the axis.
        spoken: what it shows.
        guide: what to compare with.
        dotted: mark every point.
    """
    frame = _Frame(340, 320, 1, 1)
    points = list(zip(curve.x, curve.y, strict=True))
    fifths = [n / _TICKS for n in range(_TICKS + 1)]
    return Chart(
        spoken, frame.width, frame.height, x_label, y_label,
        frame.x_ticks(fifths), frame.y_ticks(fifths), [],
        [frame.line("guide", guide), frame.line("line", points)],
        [(frame.x(x), frame.y(y)) for x, y in points] if dotted else [],
    )  # fmt: skip


def rate_chart(ends: Sequence[float], rates: Sequence[float], unit: str, spoken: str) -> Chart:
    """Radiographs per second over time.

    Args:
        ends: when each stretch of time ended, rising.
        rates: of each stretch.
        unit: of time.
        spoken: what it shows.
    """
    heights = round_ticks(max(*rates, 1e-3))
    frame = _Frame(1060, 240, ends[-1], heights[-1])
    starts = [0.0, *ends[:-1]]
    bars = [frame.bar(*place) for place in zip(starts, ends, rates, strict=True)]
    return Chart(
        spoken, frame.width, frame.height, f"time spent sweeping, {unit}", "radiographs/s",
        frame.x_ticks([t for t in round_ticks(ends[-1]) if t <= ends[-1]]),
        frame.y_ticks(heights), bars,
    )  # fmt: skip


def lane_chart(
    ends: Sequence[float], stages: Sequence[str], lanes: Sequence[str], unit: str, spoken: str
) -> Chart:
    """A lane for each stage, filled while that stage was what the sweep waited for.

    Args:
        ends: when each stretch of time ended, rising.
        stages: of each stretch.
        lanes: stages from top to bottom.
        unit: of time.
        spoken: what it shows.
    """
    frame = _Frame(1060, _TOP + _BOTTOM + 22 * len(lanes), ends[-1], len(lanes))
    bars = []
    for start, end, stage in zip([0.0, *ends[:-1]], ends, stages, strict=True):
        if stage in lanes:
            left, top = frame.x(start), frame.y(len(lanes) - lanes.index(stage))
            bars.append(Bar(left, top + 3, round(max(frame.x(end) - left, 0.5), 2), 16))
    ticks = [Tick(frame.y(len(lanes) - n - 0.5), lane) for n, lane in enumerate(lanes)]
    times = frame.x_ticks([t for t in round_ticks(ends[-1]) if t <= ends[-1]])
    label = f"time spent sweeping, {unit}"
    return Chart(spoken, frame.width, frame.height, label, "", times, ticks, bars)
