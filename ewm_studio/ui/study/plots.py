"""Plots of a study, as its report has them: intervals with the points of the seeds, and lines with their bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen, QPolygonF

from ewm_studio import formatting as format
from ewm_studio.analysis.curve import round_ticks
from ewm_studio.analysis.intervals import Array
from ewm_studio.analysis.svg import Bar, Series, color_of, is_dashed
from ewm_studio.ui.kit.drawn import Drawn
from ewm_studio.ui.kit.theme import color, ui_font

_LINE = 26  # pixels a row of intervals takes
_BOTTOM, _TOP, _RIGHT, _LEFT = 24, 8, 14, 46
_NAME_SHARE = 0.45  # of the width, that names may take
_THIN, _BAND = 70, 44  # of 255, how opaque they are
_MOST_POINTS = 400  # of a thin line


class _Plot(Drawn):
    """Nothing moves over it, and no key means anything on it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def draw_over(self, painter: QPainter) -> None:
        """Nothing."""


class IntervalsPlot(_Plot):
    """A row a cell: its seeds as points, and where there are enough its middle in its interval."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._bars: Sequence[Bar] = ()
        self._limits: Sequence[float] = ()

    def show_bars(self, bars: Sequence[Bar], limits: Sequence[float]) -> None:
        """Show these; the limits are to be seen."""
        self._bars, self._limits = bars, limits
        words = [f"{bar.name} {format.significant(bar.middle)}" for bar in bars]
        self.setAccessibleDescription(", ".join(words))
        self.setMinimumHeight(self.sizeHint().height())
        self.forget()

    def sizeHint(self) -> QSize:
        """A line each."""
        return QSize(320, max(150, _TOP + _BOTTOM + _LINE * len(self._bars)))

    def draw(self, painter: QPainter) -> None:
        """Draw the rows."""
        if not self._bars:
            _say_nothing(self, painter)
            return
        found = [*self._limits]
        for bar in self._bars:
            found += [v for v in (*bar.points, bar.middle, bar.low, bar.high) if v is not None]
        ticks = round_ticks(min(found), max(found))
        metrics = QFontMetrics(ui_font(12))
        widest = max(metrics.horizontalAdvance(bar.name) for bar in self._bars)
        left = min(widest, round(_NAME_SHARE * self.width())) + 16
        bottom = self.height() - _BOTTOM

        def across(value: float) -> float:
            return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (self.width() - left - _RIGHT)

        _draw_x(painter, ticks, across, bottom, self.width())
        step = min(2.0 * _LINE, (bottom - _TOP) / len(self._bars))
        for number, bar in enumerate(self._bars):
            middle = _TOP + step * (number + 0.5)
            painter.setPen(color("text"))
            painter.setFont(ui_font(12))
            name = metrics.elidedText(bar.name, Qt.TextElideMode.ElideMiddle, left - 12)
            area = QRectF(0, middle - 10, left - 10, 20)
            painter.drawText(area, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), name)
            _draw_bar(painter, bar, middle, across)


def _draw_bar(painter: QPainter, bar: Bar, middle: float, across: object) -> None:
    assert callable(across)
    shade = QColor(color_of(bar.place))
    painter.setPen(Qt.PenStyle.NoPen)
    if bar.low is not None and bar.high is not None and bar.middle is not None:
        faint = QColor(shade)
        faint.setAlpha(100)
        painter.setBrush(faint)
        painter.drawRoundedRect(
            QRectF(QPointF(across(bar.low), middle - 4), QPointF(across(bar.high), middle + 4)), 3, 3
        )
        painter.setBrush(shade)
        painter.drawRect(QRectF(across(bar.middle) - 1.5, middle - 8, 3, 16))
    painter.setBrush(shade)
    for place, point in enumerate(bar.points):  # points that are equal stay apart
        painter.drawEllipse(QPointF(across(point), middle + (place % 3 - 1) * 3.5), 2.6, 2.6)


class LinesPlot(_Plot):
    """A line a cell over its band, with its seeds faint behind it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._series: Sequence[Series] = ()
        self._unit = ""

    def show_series(self, series: Sequence[Series], unit: str) -> None:
        """Show these over an axis of a unit."""
        self._series, self._unit = [one for one in series if len(one.x)], unit
        words = [f"{one.name} {format.significant(float(one.y[-1]))}" for one in self._series]
        self.setAccessibleDescription("at the end: " + ", ".join(words) if words else "")
        self.forget()

    def sizeHint(self) -> QSize:
        """Wide rather than high."""
        return QSize(320, 200)

    def minimumSizeHint(self) -> QSize:
        """Enough to see a shape."""
        return QSize(160, 150)

    def draw(self, painter: QPainter) -> None:
        """Draw bands, then faint lines, then lines."""
        if not self._series:
            _say_nothing(self, painter)
            return
        xs = np.concatenate([one.x for one in self._series])
        every = [a for s in self._series for a in (s.y, s.low, s.high, *(y for _, y in s.thin)) if a is not None]
        ys = np.concatenate(every)
        across_ticks, down_ticks = round_ticks(xs.min(), xs.max()), round_ticks(ys.min(), ys.max())
        bottom = self.height() - _BOTTOM

        def across(value: float) -> float:
            low, high = across_ticks[0], across_ticks[-1]
            return _LEFT + (value - low) / (high - low) * (self.width() - _LEFT - _RIGHT)

        def down(value: float) -> float:
            low, high = down_ticks[0], down_ticks[-1]
            return bottom - (value - low) / (high - low) * (bottom - _TOP)

        painter.setFont(ui_font(11))
        for tick in down_ticks:
            painter.setPen(color("line"))
            painter.drawLine(QPointF(_LEFT, down(tick)), QPointF(self.width() - _RIGHT, down(tick)))
            painter.setPen(color("secondary"))
            area = QRectF(0, down(tick) - 8, _LEFT - 6, 16)
            painter.drawText(area, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), _short(tick))
        _draw_x(painter, across_ticks, across, bottom, self.width(), self._unit, grid=False)
        painter.setClipRect(QRectF(_LEFT - 1, 0, self.width() - _LEFT - _RIGHT + 2, bottom + 2))

        def path(x: Array, y: Array) -> QPolygonF:
            few = slice(None, None, max(1, len(x) // _MOST_POINTS))
            return QPolygonF(
                [QPointF(across(a), down(b)) for a, b in zip(x[few].tolist(), y[few].tolist(), strict=True)]
            )

        for one in self._series:
            shade = QColor(color_of(one.place))
            if one.low is not None and one.high is not None:
                shade.setAlpha(_BAND)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(shade)
                painter.drawPolygon(
                    path(np.concatenate([one.x, one.x[::-1]]), np.concatenate([one.high, one.low[::-1]]))
                )
            painter.setBrush(Qt.BrushStyle.NoBrush)
            shade.setAlpha(_THIN)
            painter.setPen(QPen(shade, 1))
            for x, y in one.thin:
                painter.drawPolyline(path(x, y))
        for one in self._series:
            dashes = Qt.PenStyle.DashLine if is_dashed(one.place) else Qt.PenStyle.SolidLine
            painter.setPen(QPen(QColor(color_of(one.place)), 2, dashes))
            painter.drawPolyline(path(one.x, one.y))


def _draw_x(
    painter: QPainter,
    ticks: Sequence[float],
    across: object,
    bottom: float,
    width: int,
    unit: str = "",
    grid: bool = True,
) -> None:
    """The values of the level axis, with upright lines where these help."""
    assert callable(across)
    painter.setFont(ui_font(11))
    texts = [_short(tick) for tick in ticks]
    if unit:
        texts[-1] = f"{texts[-1]} {unit}"
    metrics, end = QFontMetrics(ui_font(11)), float(width)
    shown = []
    for tick, text in reversed(list(zip(ticks, texts, strict=True))):  # the last one has the unit: it is never left out
        wide = metrics.horizontalAdvance(text)
        left = min(across(tick) - wide / 2, width - wide - 1.0)
        if left + wide <= end:
            shown.append((left, wide, text))
            end = left - 8
        if grid:
            painter.setPen(color("line"))
            painter.drawLine(QPointF(across(tick), _TOP), QPointF(across(tick), bottom))
    painter.setPen(color("secondary"))
    for left, wide, text in shown:
        painter.drawText(QRectF(left, bottom + 5, wide + 2, 16), int(Qt.AlignmentFlag.AlignLeft), text)


def _say_nothing(plot: Drawn, painter: QPainter) -> None:
    painter.setFont(ui_font(12))
    painter.setPen(color("secondary"))
    painter.drawText(plot.rect(), int(Qt.AlignmentFlag.AlignCenter), "Nothing yet: it comes with the first runs")


def _short(value: float) -> str:
    return format.compact(value) if abs(value) >= 10_000 else f"{value:,.10g}"
