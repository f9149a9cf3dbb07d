"""A lap from above: the road, and the line that was driven, green where it earned and red where it did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio import formatting as format
from ewm_studio.ui.kit.theme import color, ui_font

if TYPE_CHECKING:
    from ewm_studio.analysis.track_map import TrackMap

ROAD = 13.0  # width of the road, in the environment's units
STRETCH = 20  # frames whose reward is told together
AIR = 18.0  # units around the track


def stretches(reward: np.ndarray, length: int = STRETCH) -> np.ndarray:
    """Mean reward around every frame (F,), over stretches of `length` frames."""
    count = -(-len(reward) // length)
    means = np.array([part.mean() for part in np.array_split(reward, max(count, 1))])
    return np.repeat(means, [len(part) for part in np.array_split(reward, max(count, 1))])


class TrackView(QWidget):
    """One lap; a click chooses it."""

    chosen = Signal(int)  # its seed

    def __init__(self, lap: TrackMap, small: bool = False) -> None:
        super().__init__()
        self._lap, self._small = lap, small
        self._levels = stretches(lap.reward)
        size = 128 if small else 280
        self.setMinimumSize(size, size)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(f"Track of seed {lap.seed}, reward {format.significant(lap.total)}")
        self.setToolTip("" if not small else "Show this lap large")

    def sizeHint(self) -> QSize:
        """Square."""
        return QSize(150, 150) if self._small else QSize(420, 420)

    def shade(self, frame: int) -> QColor:
        """The line's color at a frame."""
        level = self._levels[frame]
        return color("good") if level > 0 else color("bad")

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw road, line, where the car began and where it was last."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        lap, foot = self._lap, 18 if self._small else 0
        points = np.concatenate([lap.track, lap.path])
        low, high = points.min(0) - AIR, points.max(0) + AIR
        scale = min(self.width() / (high[0] - low[0]), (self.height() - foot) / (high[1] - low[1]))
        offset = (np.array([self.width(), self.height() - foot]) - (high - low) * scale) / 2

        def place(at: np.ndarray) -> QPointF:
            x, y = (at - low) * scale + offset
            return QPointF(x, self.height() - foot - y)

        road = QPen(color("line"), max(ROAD * scale, 2.0))
        road.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(road)
        painter.drawPolygon(QPolygonF([place(at) for at in lap.track]))
        self._draw_line(painter, [place(at) for at in lap.path])
        if self._small:
            painter.setFont(ui_font(11))
            painter.setPen(color("secondary"))
            words = f"seed {lap.seed}: {format.significant(lap.total)}"
            painter.drawText(self.rect().adjusted(0, self.height() - 18, 0, 0), Qt.AlignmentFlag.AlignCenter, words)
        painter.end()

    def _draw_line(self, painter: QPainter, places: list[QPointF]) -> None:
        width = 1.5 if self._small else 2.5
        last = len(places) - 1
        for good in (True, False):
            painter.setPen(QPen(color("good" if good else "bad"), width))
            lines = [QLineF(places[n], places[n + 1]) for n in range(last) if (self._levels[n] > 0) == good]
            painter.drawLines(lines)
        painter.setPen(Qt.PenStyle.NoPen)
        for at, token in ((places[0], "accent"), (places[last], "text")):
            painter.setBrush(color(token))
            painter.drawEllipse(at, 2 * width, 2 * width)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose it."""
        self.chosen.emit(self._lap.seed)
