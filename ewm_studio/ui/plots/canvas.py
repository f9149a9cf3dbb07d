"""The drawing area of a quiet plot: grid lines, curves, a crosshair, and zoom in time."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QFrame

from ewm_studio.ui.kit.theme import color
from ewm_studio.ui.plots.axis import QuietAxis


class RoomyBox(pg.ViewBox):
    """A view with a little air above and below the data, none left and right."""

    def suggestPadding(self, axis: int) -> float:
        """Share of the range that is added at each end."""
        return 0.0 if axis == 0 else 0.07


class Canvas(pg.PlotWidget):
    """The drawing area of one plot."""

    hovered = Signal(object)  # x in data coordinates, or None
    view_reset = Signal()

    def __init__(self) -> None:
        self.bottom, self.left = QuietAxis("bottom", 4), QuietAxis("left", 3)
        super().__init__(viewBox=RoomyBox(enableMenu=False), axisItems={"bottom": self.bottom, "left": self.left})
        self.setCacheMode(self.CacheModeFlag.CacheNone)  # grid lines move with the data
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        item = self.getPlotItem()
        # Made even where menus are off, and without an owner: it would outlive the plot.
        item.ctrlMenu.setParent(self, item.ctrlMenu.windowFlags())
        item.layout.setContentsMargins(0, 7, 12, 0)
        self.left.setWidth(46)
        self.bottom.setHeight(20)
        box = item.getViewBox()
        box.setMouseEnabled(x=True, y=False)
        box.enableAutoRange(x=False, y=True)
        box.setAutoVisible(y=True)
        self.zoomed = False
        box.sigRangeChangedManually.connect(self._on_zoomed)
        self.raw = pg.PlotDataItem()
        self.smooth = pg.PlotDataItem()
        for curve in (self.raw, self.smooth):
            curve.setDownsampling(auto=True, method="peak")
            curve.setClipToView(True)
            item.addItem(curve)
        self.cross = pg.InfiniteLine(angle=90, movable=False)
        self.cross.hide()
        item.addItem(self.cross, ignoreBounds=True)

    def drawBackground(self, painter: QPainter, rect: Any) -> None:
        """The card's surface, and the grid lines on it."""
        painter.fillRect(rect, color("panel"))
        box = self.getPlotItem().getViewBox()
        area = box.sceneBoundingRect()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(color("line"))
        if self.left.empty:
            painter.setPen(color("secondary"))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter), "no values yet")
        for value in self.left.grid_values():
            y = box.mapViewToScene(QPointF(0, value)).y()
            if area.top() - 1 <= y <= area.bottom() + 1:
                painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))

    def mouseMoveEvent(self, event: Any) -> None:
        """Tell where the pointer is."""
        super().mouseMoveEvent(event)
        box = self.getPlotItem().getViewBox()
        at = self.mapToScene(event.position().toPoint())
        inside = box.sceneBoundingRect().contains(at)
        self.hovered.emit(box.mapSceneToView(at).x() if inside else None)

    def leaveEvent(self, event: Any) -> None:
        """The pointer is gone."""
        super().leaveEvent(event)
        self.hovered.emit(None)

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Show everything again."""
        self.reset_view()

    def wheelEvent(self, event: Any) -> None:
        """Zoom in time with Ctrl; otherwise the page scrolls."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
        else:
            event.ignore()

    def reset_view(self) -> None:
        """Follow the data again."""
        self.zoomed = False
        self.getPlotItem().getViewBox().enableAutoRange(x=False, y=True)
        self.view_reset.emit()

    def follow(self, end: float) -> None:
        """Show from zero to a position, unless someone looks closer."""
        if not self.zoomed:
            self.getPlotItem().getViewBox().setXRange(0.0, max(end, 1e-6), padding=0)

    def _on_zoomed(self, *_: object) -> None:
        self.zoomed = True
