"""z over time as a heat map, and memory's surprise under it: one time axis, one cursor."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QPen, QPolygonF

from ewm_studio.analysis.latent_space import Exploration
from ewm_studio.ui.kit.drawn import Drawn
from ewm_studio.ui.kit.ramps import steps_of, two_sided
from ewm_studio.ui.kit.theme import color, ui_font
from ewm_studio.ui.latents.plane import draw_tip
from ewm_studio.ui.plots.lanes import curve

ROWS = 64  # numbers of z that are shown at most; those that vary least are left out
NAMES = 46  # pixels of the names of the rows
SURPRISE, LEAST_SURPRISE = 64, 24  # pixels of the curve, and where there is little room or nothing to draw
_GAP = 8
_LINE = 14  # pixels that a name of a row needs
_INSET = 6.0  # pixels above and below the curve
_TOP = 5  # pixels above the map, for the name of its first row
_FULL = 98  # percentile of the distances from the mean that has the full color


class LatentTime(Drawn):
    """A click or a drag jumps to a decision of the watched episode."""

    picked = Signal(int)  # a decision

    def __init__(self) -> None:
        super().__init__("z over time", "Click or drag to jump to a decision. Left and Right go one decision on")
        self.setMinimumSize(200, 64)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.exploration: Exploration | None = None
        self.decision = 0
        self._hovered: int | None = None
        self._surprised = False  # memory predicts, so that it can be surprised

    def show_exploration(self, exploration: Exploration | None) -> None:
        """Show the watched episode of these."""
        self.exploration, self._hovered = exploration, None
        self._surprised = exploration is not None and bool(np.isfinite(exploration.trace.surprise).any())
        self.forget()

    def show_decision(self, decision: int) -> None:
        """Put the cursor on a decision."""
        self.decision = decision
        self.update()

    # Where things are

    def x_of(self, decision: float) -> float:
        """Where the middle of a decision's column is."""
        return NAMES + self._width * (decision + 0.5) / self._count

    def decision_at(self, x: float) -> int:
        """The decision at a place."""
        return min(max(int((x - NAMES) / self._width * self._count), 0), self._count - 1)

    @property
    def _count(self) -> int:
        return 1 if self.exploration is None else len(self.exploration.trace.z)

    @property
    def _width(self) -> int:
        return max(self.width() - NAMES, 1)

    def _map(self) -> QRectF:
        return QRectF(NAMES, _TOP, self._width, max(self.height() - self._strip - _GAP - _TOP, 1))

    def _curve(self) -> QRectF:
        return QRectF(NAMES, self.height() - self._strip, self._width, self._strip)

    @property
    def _strip(self) -> int:
        """Height of the curve."""
        return min(SURPRISE, max(LEAST_SURPRISE, self.height() * 3 // 10)) if self._surprised else LEAST_SURPRISE

    # Drawing

    def sizeHint(self) -> QSize:
        """Wide."""
        return QSize(480, 220)

    def draw(self, painter: QPainter) -> None:
        """The heat map, the names of its rows and the curve."""
        if self.exploration is None:
            return
        heat = heat_map(self.exploration)
        image = QImage(heat.data, heat.shape[1], heat.shape[0], 3 * heat.shape[1], QImage.Format.Format_RGB888)
        # Columns narrower than a pixel are averaged; rows and wide columns keep their edges.
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, heat.shape[1] > 2 * self._width)
        painter.drawImage(self._map(), image)
        self._draw_names(painter, heat.shape[0])
        self._draw_curve(painter)

    def _draw_names(self, painter: QPainter, rows: int) -> None:
        assert self.exploration is not None
        area = self._map()
        painter.setFont(ui_font(11))
        painter.setPen(color("secondary"))
        height = area.height() / rows
        every = max(1, int(np.ceil(_LINE / height)))
        side = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for place in range(0, rows, every):
            middle = area.top() + min((place + 0.5) * height, area.height() - _LINE / 2)
            box = QRectF(0, middle - _LINE / 2, NAMES - 8, _LINE)
            painter.drawText(box, side, f"z {self.exploration.order[place]}")

    def _draw_curve(self, painter: QPainter) -> None:
        assert self.exploration is not None
        area, surprise = self._curve(), self.exploration.trace.surprise
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("input"))
        painter.drawRoundedRect(area, 4, 4)
        painter.setFont(ui_font(12))
        painter.setPen(color("secondary"))
        if not self._surprised:
            words = "This model's memory predicts nothing, so nothing can surprise it."
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter), words)
            return
        # The root is drawn, or a single great value would leave a flat line of all others.
        height = np.sqrt(surprise / (float(np.nanmax(surprise)) or 1.0))
        y = area.bottom() - _INSET - (area.height() - 2 * _INSET) * height
        painter.setPen(QPen(color("memory"), 1))
        for part in curve(y, self._width):
            part[:, 0] = NAMES + self._width * (part[:, 0] + 0.5) / self._count
            painter.drawPolyline(QPolygonF([QPointF(*point) for point in part.tolist()]))
        painter.setPen(QPen(color("input"), 1.5))
        painter.setBrush(color("memory"))
        for peak in self.exploration.peaks:
            painter.drawEllipse(QPointF(self.x_of(peak), float(y[peak])), 4, 4)

    def draw_over(self, painter: QPainter) -> None:
        """The cursor, and the picture of the decision under the pointer."""
        if self.exploration is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        bottom = self.height() if self._surprised else self._map().bottom()  # no line through words
        painter.fillRect(QRectF(round(self.x_of(self.decision)) - 1, 0, 3, bottom), color("panel"))
        painter.fillRect(QRectF(round(self.x_of(self.decision)), 0, 1, bottom), color("text"))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._hovered is not None:
            at = QPointF(self.x_of(self._hovered), self.height() / 2)
            painter.fillRect(QRectF(at.x(), 0, 1, self.height()), color("secondary"))
            draw_tip(painter, QRectF(self.rect()), at, self.exploration.paths[0], self._hovered)

    # The mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Jump."""
        if event.button() == Qt.MouseButton.LeftButton and self.exploration is not None:
            self._hover(None)
            self.picked.emit(self.decision_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer while it is pressed; else show what is under it."""
        if self.exploration is None:
            return
        at = event.position().x()
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.picked.emit(self.decision_at(at))
        else:
            self._hover(self.decision_at(at) if at >= NAMES else None)

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is meant any more."""
        super().leaveEvent(event)
        self._hover(None)

    def _hover(self, decision: int | None) -> None:
        if decision != self._hovered:
            self._hovered = decision
            self.update()


def heat_map(exploration: Exploration) -> np.ndarray:
    """z of the watched episode as colors uint8 (rows, D+1, 3), those that vary most on top.

    All rows have one scale: gray below a number's mean, the ground at it, teal above.
    """
    z = exploration.trace.z[:, exploration.order[:ROWS]]
    away = z - z.mean(0)
    full = float(np.percentile(np.abs(away), _FULL)) or 1.0
    colors = two_sided("secondary", "input", "vision")[steps_of(away, -full, full)]
    return np.ascontiguousarray(colors.transpose(1, 0, 2))
