"""Quiet live plots: the raw values faint, their running mean clear, three grid lines, the latest value in the title."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QMenu, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.analysis.figures import figure, taken_over
from ewm_studio.analysis.history import LENGTH, REWARD, RunHistory, trailing_mean
from ewm_studio.ui.kit.theme import color, theme, ui_font
from ewm_studio.ui.kit.widgets import Elided, TitleButton, label, row
from ewm_studio.ui.plots.canvas import Canvas
from ewm_studio.ui.plots.overlay import FAINT, Overlay
from ewm_studio.ui.plots.quantities import AXIS_UNITS, QUANTITIES, PlotOptions, quantity

_BESIDE, _ANY = 14, 16777215  # pixels beside the head of a card; as wide as a widget may be
MOST_POINTS = 2000  # of a curve on the screen: more than it has columns of pixels


def thinned(x: np.ndarray, y: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most about `most` of (N,) points that draw the same picture: the least and greatest of each stretch."""
    count = len(x)
    if count <= most:
        return x, y
    size = -(-count // (most // 2))
    whole = count // size * size
    parts = y[:whole].reshape(-1, size)
    starts = np.arange(0, whole, size)
    low, high = starts + parts.argmin(1), starts + parts.argmax(1)
    picked = np.column_stack([np.minimum(low, high), np.maximum(low, high)]).ravel()
    picked = np.append(picked, np.arange(whole, count) if whole < count else [count - 1])
    return x[picked], y[picked]


class PlotCard(QFrame):
    """One plot with its title, which is also how another quantity is chosen."""

    def __init__(self, tag: str, options: PlotOptions) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self.options = options
        self.history = RunHistory()
        self.quantity = quantity(tag)
        self.dirty = True
        self.threshold: float | None = None
        self._dot = Dot()
        self.title = TitleButton("Show another quantity here", quiet=True)
        self._value = label("", "value")
        self._unit = Elided("", "secondary")  # what gives way where there is no room
        self._unit.grow_to_text()
        self.canvas = Canvas()
        self.canvas.hovered.connect(self._on_hover)
        self.canvas.view_reset.connect(self._on_view_reset)
        self.canvas.getPlotItem().getViewBox().sigRangeChangedManually.connect(self._on_view_reset)  # other points show
        self._beside = pg.PlotDataItem()
        self.canvas.getPlotItem().addItem(self._beside)
        self.overlay = Overlay(self.canvas)
        self._line = pg.InfiniteLine(
            angle=0, movable=False, label="", labelOpts={"position": 0.02, "anchors": [(0, 0), (0, 1)]}
        )
        self._line.hide()
        self.canvas.getPlotItem().addItem(self._line, ignoreBounds=True)
        self._line.label.hide()
        self.canvas.getPlotItem().getViewBox().sigYRangeChanged.connect(self._show_goal)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.title.setMenu(self._menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 4, 4)
        layout.setSpacing(2)
        self._head = head = row(self._dot, self.title, None, self._value, self._unit, spacing=5, margins=(0, 0, 8, 0))
        layout.addLayout(head)
        layout.addWidget(self.canvas, 1)
        self.setMinimumSize(QSize(220, 132))
        self._dress()
        theme().changed.connect(self._dress)

    def show_quantity(self, tag: str) -> None:
        """Plot another tag."""
        self.quantity = quantity(tag)
        self._dress()
        self.canvas.reset_view()
        self.redraw()

    def show_history(self, history: RunHistory) -> None:
        """Plot another run."""
        self.canvas.reset_view()
        self.refresh(history)

    def refresh(self, history: RunHistory) -> None:
        """Plot more of the same run, in the view that there is."""
        self.history = history
        self.dirty = True

    def redraw(self) -> None:
        """Bring the curves up to date: one setData each."""
        self.dirty = False
        options, what = self.options, self.quantity
        series = self.history[what.tag]
        x, y = series.x(options.axis), series.value
        window = options.window(what.tag in (REWARD, LENGTH), len(y))
        shown = bool(len(x)) or any(len(other[what.tag]) for other in options.compared)
        x, y, at, mean = self._visible(x, y, window)
        bottom = self.canvas.bottom
        bottom.unit, bottom.seconds = self._axis_unit(), options.axis == "seconds"
        self._show_axes(shown)
        self.canvas.getPlotItem().setLogMode(x=False, y=options.logarithmic)
        if options.logarithmic:
            y, mean = np.where(y > 0, y, np.nan), np.where(mean > 0, mean, np.nan)
        self.canvas.raw.setData(x, y, connect="finite")
        self.canvas.smooth.setData(at, mean, connect="finite")
        self._redraw_beside()
        self._redraw_compared(window)
        self._tell_lines(window)
        if shown:  # all plots end where the run is, so that they can be read side by side
            self.canvas.follow(max(h.end(options.axis) for h in (self.history, *options.compared)))
        self._say(figure(self.history, what.tag))
        threshold = self.threshold if what.tag == REWARD and len(y) and not options.logarithmic else None
        self._line.setVisible(threshold is not None)
        if threshold is not None:
            self._line.setValue(threshold)
            self._line.label.setFormat(f"solved: {format.significant(threshold)}")
            self._show_goal()

    def _show_goal(self, *_: object) -> None:
        """Words stand at the goal's line, and not where it lies out of view."""
        low, high = self.canvas.getPlotItem().getViewBox().viewRange()[1]
        self._line.label.setVisible(low <= self._line.value() <= high)

    def _visible(self, x: np.ndarray, y: np.ndarray, window: int) -> tuple[np.ndarray, ...]:
        """What is to be drawn of (N,) rows: positions and values, then positions and running mean, both thinned."""
        first, last = 0, len(x)
        if self.canvas.zoomed and len(x):
            (low, high), _ = self.canvas.getPlotItem().getViewBox().viewRange()
            first, last = (int(i) for i in np.searchsorted(x, (low, high)))
            first, last = max(0, first - 1), min(len(x), last + 1)
        before = max(0, first - window)
        mean = trailing_mean(y[before:last], window)[first - before :]
        return *thinned(x[first:last], y[first:last]), *thinned(x[first:last], mean)

    def _axis_unit(self) -> str:
        """What the horizontal axis counts; pretraining counts frames."""
        unit = AXIS_UNITS[self.options.axis]
        return "frames" if unit == "steps" and self.history.job == "pretrain" else unit

    def _show_axes(self, shown: bool) -> None:
        for axis in (self.canvas.bottom, self.canvas.left):
            if axis.empty == shown:
                axis.empty = not shown
                axis.picture = None
                axis.update()

    def _redraw_beside(self) -> None:
        """What the values are to be compared with, dashed."""
        series = self.history[self.quantity.beside] if self.quantity.beside else None
        self._beside.setVisible(series is not None)
        if series is not None:
            y = series.value
            if self.options.logarithmic:
                y = np.where(y > 0, y, np.nan)
            self._beside.setData(*thinned(series.x(self.options.axis), y), connect="finite")

    def _redraw_compared(self, window: int) -> None:
        """The other runs, each in its color; beside others the shown run has its own, too."""
        options = self.options

        def curve(history: RunHistory) -> tuple[np.ndarray, np.ndarray]:
            series = history[self.quantity.tag]
            _, _, at, mean = self._visible(series.x(options.axis), series.value, window)
            return at, np.where(mean > 0, mean, np.nan) if options.logarithmic else mean

        self.overlay.draw(self.history, options, curve)
        clear, faint = color(self.quantity.color), color(self.quantity.color, 80)
        if options.compared:
            group = next((g for g in options.groups(self.history) if self.history in g), [])
            name = group[0].name if group else self.history.name
            clear, faint = options.colors.color(name, FAINT if group else 255), options.colors.color(name, 50)
        self.canvas.smooth.setPen(pg.mkPen(clear, width=1))
        if self.quantity.points:
            self.canvas.raw.setSymbolBrush(faint)
        else:
            self.canvas.raw.setPen(pg.mkPen(faint, width=1))

    def _tell_lines(self, window: int) -> None:
        """What is drawn, in words, for whoever rests on the title."""
        what = self.quantity
        rows = "episode" if what.tag in (REWARD, LENGTH) else "row"
        said = [f"{'Points' if what.points else 'Faint'}: every {rows}."]
        if window > 1:
            said.append(f"Line: mean of the last {format.count(window)} {rows}s.")
        if what.beside:
            said.append(what.beside_words)
        self.title.setToolTip(" ".join([*said, "Click to show another quantity here."]))

    def _say(self, value: float | None, unit: str | None = None) -> None:
        what = self.quantity
        if unit is None:
            unit = what.unit
            other = self.history.latest(what.beside) if what.beside else None
            if other is not None:
                unit = f"dashed: {what.beside_word} {format.significant(other)}"
            unit = taken_over(self.history, what.tag) or unit
        self._value.setText("" if value is None else format.significant(value))
        self._unit.setText("" if value is None else unit)
        self._unit.shorter = self._unit.text().removesuffix(" episodes")
        self._unit.setVisible(bool(self._unit.text()))
        self._fit_unit()
        self._unit.setToolTip(what.beside_words if what.beside else "")

    def _fit_unit(self) -> None:
        """Where only the shorter unit has room, its box is no wider: else the figures would stand off the edge."""
        metrics = self._unit.fontMetrics()
        taken = self._head.minimumSize().width() - self._unit.minimumSizeHint().width()
        room = self.contentsRect().width() - _BESIDE - taken
        whole, shorter = (metrics.horizontalAdvance(text) for text in (self._unit.text(), self._unit.shorter))
        self._unit.setMaximumWidth(_ANY if whole <= room or shorter > room else shorter)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the unit what there is."""
        super().resizeEvent(event)
        self._fit_unit()

    def _on_hover(self, x: float | None) -> None:
        series = self.history[self.quantity.tag]
        if x is None or not len(series):
            self.canvas.cross.hide()
            if not self.dirty:
                self._say(figure(self.history, self.quantity.tag))
            return
        at = series.x(self.options.axis)
        index = int(np.clip(np.searchsorted(at, x), 0, len(at) - 1))
        if index and abs(at[index - 1] - x) < abs(at[index] - x):
            index -= 1
        self.canvas.cross.setValue(at[index])
        self.canvas.cross.show()
        axis = self.options.axis
        where = format.duration(at[index]) if axis == "seconds" else f"{format.count(at[index])} {self._axis_unit()}"
        self._say(float(series.value[index]), f"at {where}")
        self.canvas.setToolTip(self._values_at(float(at[index])))

    def _values_at(self, x: float) -> str:
        """The values of all runs at a place, for the tooltip; nothing where there is only one run."""
        if not self.options.compared:
            return ""
        lines = []
        for history in (self.history, *self.options.compared):
            series = history[self.quantity.tag]
            if len(series):
                index = int(np.clip(np.searchsorted(series.x(self.options.axis), x), 0, len(series) - 1))
                lines.append(f"{format.significant(float(series.value[index]))}  {history.name}")
        return "\n".join(lines)

    def _on_view_reset(self, *_: object) -> None:
        self.dirty = True

    def _fill_menu(self) -> None:
        self._menu.clear()
        tags = dict.fromkeys([*QUANTITIES, *self.history.tags])
        for tag in tags:
            action = self._menu.addAction(quantity(tag).title)
            action.setCheckable(True)
            action.setChecked(tag == self.quantity.tag)
            action.triggered.connect(lambda _=False, tag=tag: self.show_quantity(tag))

    def _dress(self) -> None:
        what, canvas = self.quantity, self.canvas
        self.title.setText(what.title)
        self.title.setAccessibleName(f"Plot: {what.title}")
        self.canvas.setAccessibleName(f"{what.title} plot")
        self._dot.set_color(what.color)
        self._beside.setPen(pg.mkPen(color("secondary"), width=1, style=Qt.PenStyle.DashLine))
        if what.points:
            canvas.raw.setPen(None)
            canvas.raw.setSymbol("o")
            canvas.raw.setSymbolSize(3)
            canvas.raw.setSymbolPen(None)
        else:
            canvas.raw.setSymbol(None)
        self.dirty = True  # lines have their colors as they are drawn
        canvas.cross.setPen(pg.mkPen(color("secondary"), width=1))
        self._line.setPen(pg.mkPen(color("good"), width=1, style=Qt.PenStyle.DashLine))
        self._line.label.setColor(color("good"))
        self._line.label.setFont(ui_font(11))
        for axis in (canvas.bottom, canvas.left):
            axis.setTextPen(pg.mkPen(color("secondary")))
        canvas.setBackground(None)
        canvas.viewport().update()

    def save_csv(self, path: Path) -> None:
        """Write step, epoch, seconds and value of what is shown, for this run and the compared ones."""
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write("run,step,epoch,seconds,value\n")
            for history in (self.history, *self.options.compared):
                series = history[self.quantity.tag]
                columns = (series.x("step"), series.x("epoch"), series.x("seconds"), series.value)
                for step, epoch, seconds, value in zip(*columns, strict=True):
                    file.write(f"{history.name},{step:.0f},{epoch:.4g},{seconds:.3f},{value!r}\n")


class Dot(QWidget):
    """A small disc in a token's color."""

    def __init__(self) -> None:
        super().__init__()
        self._role = "accent"
        self.setFixedSize(8, 8)

    def set_color(self, role: str) -> None:
        """Use another token."""
        self._role = role
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the disc."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color(self._role))
        painter.drawEllipse(QRectF(0.5, 0.5, 7, 7))
        painter.end()
