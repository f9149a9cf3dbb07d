"""Plots as SVG that stands inside a page, in the page's own colours and type: lines with bands, and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from ewm_studio.analysis.curve import round_ticks
from ewm_studio.analysis.intervals import Array

COLORS = "#3b82f6", "#f59e0b", "#14b8a6", "#a78bfa", "#ec4899", "#84cc16", "#94a3b8", "#06b6d4", "#ef4444", "#ca8a04"
WIDE, HALF, HEIGHT = 860, 500, 300  # across a page, and of two side by side
_WIDEST_NAME, _MOST_LETTERS = 280, 40  # of a row of intervals
LEFT, TOP, RIGHT, BOTTOM = 58, 16, 36, 44


@dataclass(frozen=True, eq=False)
class Series:
    """A named line with its band, and thin lines of single runs behind it; `place` gives it its colour."""

    name: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    thin: Sequence[tuple[Array, Array]] = field(default_factory=list)
    place: int = 0


@dataclass(frozen=True)
class Bar:
    """A row of a plot of intervals: the points of single runs, their middle, and its interval where there is one.

    `place` gives it its colour.
    """

    name: str
    points: Sequence[float]
    middle: float | None = None
    low: float | None = None
    high: float | None = None
    place: int = 0


class _Plane:
    """Where values lie in the picture."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], width: int, left: int = LEFT, height: int = HEIGHT
    ) -> None:
        self.x_ticks, self.y_ticks = round_ticks(*x), round_ticks(*y)
        self.width, self.left, self.height = width, left, height

    def across(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return self.left + (value - low) / (high - low) * (self.width - self.left - RIGHT)

    def down(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def path(self, x: Array, y: Array) -> str:
        """Points as an SVG path needs them."""
        return " ".join(f"{self.across(a):.1f},{self.down(b):.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))

    def grid_x(self, title: str) -> list[str]:
        """Upright lines with their values, and the title of the axis."""
        bottom = self.height - BOTTOM
        parts = []
        for tick in self.x_ticks:
            at = self.across(tick)
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}"/>')
            parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:,.10g}</text>')
        x, y = self.width - RIGHT, self.height - 6
        return [*parts, f'<text class="tick" x="{x}" y="{y}" text-anchor="end">{escape(title)}</text>']

    def grid_y(self) -> list[str]:
        """Level lines with their values."""
        parts = []
        for tick in self.y_ticks:
            at = self.down(tick)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{self.width - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:,.10g}</text>'
            )
        return parts


def lines_plot(series: Sequence[Series], x_title: str, label: str, width: int = WIDE) -> str:
    """Lines over one another, each with its band."""
    series = [one for one in series if len(one.x)]
    xs = np.concatenate([one.x for one in series])
    every = [a for s in series for a in (s.y, s.low, s.high, *(y for _, y in s.thin)) if a is not None]
    ys = np.concatenate(every)
    plane = _Plane((float(xs.min()), float(xs.max())), (float(ys.min()), float(ys.max())), width)
    parts = [*plane.grid_y(), *plane.grid_x(x_title)]
    for one in series:
        color = color_of(one.place)
        if one.low is not None and one.high is not None:
            there = plane.path(one.x, one.high)
            back = plane.path(one.x[::-1], one.low[::-1])
            parts.append(f'<polygon points="{there} {back}" fill="{color}" fill-opacity="0.18"/>')
        for x, y in one.thin:
            inside = (x >= plane.x_ticks[0]) & (x <= plane.x_ticks[-1])
            thin = plane.path(x[inside], y[inside])
            parts.append(f'<polyline points="{thin}" fill="none" stroke="{color}" stroke-opacity="0.3"/>')
        line = plane.path(one.x, one.y)
        dashes = ' stroke-dasharray="7 3"' if is_dashed(one.place) else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>')
    return _svg(parts, plane, label)


def intervals_plot(bars: Sequence[Bar], x_title: str, label: str, limits: Sequence[float] = ()) -> str:
    """A row for each: its interval as a bar, its middle as a stroke, its runs as points; `limits` are to be seen."""
    height = TOP + BOTTOM + 30 * len(bars)
    values = [*limits, *(v for b in bars for v in (*b.points, b.middle, b.low, b.high) if v is not None)]
    left = 24 + min(_WIDEST_NAME, 7 * max(len(bar.name) for bar in bars))
    plane = _Plane((min(values), max(values)), (0, 1), WIDE, left, height)
    parts = plane.grid_x(x_title)
    for number, bar in enumerate(bars):
        color, middle = color_of(bar.place), TOP + 30 * number + 15
        parts.append(f'<text x="{left - 12}" y="{middle + 4}" text-anchor="end">{escape(_short(bar.name))}</text>')
        if bar.low is not None and bar.high is not None:
            x, end = plane.across(bar.low), plane.across(bar.high)
            parts.append(
                f'<rect x="{x:.1f}" y="{middle - 5}" width="{max(end - x, 1):.1f}" height="10" rx="3" fill="{color}" '
                'fill-opacity="0.35"/>'
            )
        for place, point in enumerate(bar.points):  # points that are equal stay apart
            offset = (place % 3 - 1) * 3.5
            parts.append(f'<circle cx="{plane.across(point):.1f}" cy="{middle + offset}" r="3" fill="{color}"/>')
        if bar.middle is not None and bar.low is not None:
            at = plane.across(bar.middle)
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{middle - 9}" y2="{middle + 9}" stroke="{color}" '
                'stroke-width="3"/>'
            )
    return _svg(parts, plane, label)


def key(series: Sequence[Series]) -> str:
    """What the colours mean, as HTML."""
    marks = (
        f'<span><i style="background:{color_of(one.place)}"></i>{escape(one.name)}'
        f"{', dashed' if is_dashed(one.place) else ''}</span>"
        for one in series
    )
    return f'<p class="key">{"".join(marks)}</p>'


def color_of(place: int) -> str:
    """The colour of whatever stands at a place, in all plots alike."""
    return COLORS[place % len(COLORS)]


def is_dashed(place: int) -> bool:
    """Whether a line is dashed: there are more cells than colours."""
    return place // len(COLORS) % 2 == 1


def _short(name: str) -> str:
    """A name with its middle left out where it is very long: names differ at their ends."""
    half = (_MOST_LETTERS - 1) // 2
    return name if len(name) <= _MOST_LETTERS else f"{name[:half]}…{name[-half:]}"


def _svg(parts: Sequence[str], plane: _Plane, label: str) -> str:
    inside, size = "\n".join(parts), f"{plane.width} {plane.height}"
    return f'<svg viewBox="0 0 {size}" role="img" aria-label="{escape(label)}">\n{inside}\n</svg>'
