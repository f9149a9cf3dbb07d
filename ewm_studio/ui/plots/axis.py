"""The axes of a quiet plot: a few round numbers and no marks."""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph as pg
from PySide6.QtGui import QPainter

from ewm_studio import formatting as format


class QuietAxis(pg.AxisItem):
    """An axis of a few round numbers; the vertical one draws the grid lines."""

    def __init__(self, orientation: str, most: int) -> None:
        super().__init__(orientation, maxTickLength=0)
        self._most = most
        self.unit = ""
        self.seconds = False
        self.empty = True  # nothing is plotted: no labels either
        self.setPen(pg.mkPen(None))
        self.setTickPen(pg.mkPen(None))
        font = self.font()
        font.setPixelSize(11)
        self.setTickFont(font)
        self.setStyle(tickTextOffset=4, hideOverlappingLabels=False, autoExpandTextSpace=False)

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """At most a handful of round values."""
        if self.logMode:
            return self._powers(low, high)
        span = high - low
        if not math.isfinite(span) or span <= 0:
            return []
        step = _round_step(span / self._most, self.seconds)
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        values = [n * step for n in range(first, last + 1)][: self._most + 2]
        if self.orientation == "bottom":  # a label at the very edge would be cut
            values = [value for value in values if value <= high - 0.05 * span] or values
        return [(step, values)]

    def _powers(self, low: float, high: float) -> list[tuple[float, list[float]]]:
        if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
            return []
        step = max(1, math.ceil((math.floor(high) - math.ceil(low)) / self._most))
        powers = [float(p) for p in range(math.ceil(low), math.floor(high) + 1, step)]
        if len(powers) < 2:
            powers = [low + (high - low) * part for part in (0.1, 0.5, 0.9)]
        return [(1.0, powers)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Short numbers; the last one of the horizontal axis carries the unit."""
        if self.logMode:
            return [format.significant(10.0**value) for value in values]
        texts = [format.duration(v) if self.seconds else _tick(v, spacing) for v in values]
        if texts and self.unit and self.orientation == "bottom" and len(texts) > 1:
            texts[-1] = f"{texts[-1]} {self.unit}"
        return texts

    def generateDrawSpecs(self, painter: QPainter) -> Any:
        """Labels only: neither a line nor marks."""
        specs = super().generateDrawSpecs(painter)
        if specs is None or self.empty:
            return None
        return specs[0], [], specs[2]

    def grid_values(self) -> list[float]:
        """Where the grid lines are, in data coordinates."""
        if self.empty:
            return []
        low, high = self.range
        return [value for _, values in self.tickValues(low, high, 100) for value in values]


def _round_step(least: float, seconds: bool) -> float:
    if seconds:
        for nice in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400):
            if nice >= least:
                return float(nice)
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= least * (1 - 1e-9))


def _tick(value: float, spacing: float) -> str:
    if abs(value) < spacing / 1e6:
        return "0"
    if abs(value) >= 10_000 or (abs(value) >= 1000 and spacing >= 500):
        return format.compact(value)
    if abs(value) < 0.001 and spacing < 0.001:
        return format.exponent(value)
    decimals = max(0, -math.floor(math.log10(spacing) + 1e-9))
    if abs(spacing * 10**decimals - round(spacing * 10**decimals)) > 1e-6:
        decimals += 1
    return f"{value:,.{decimals}f}"
