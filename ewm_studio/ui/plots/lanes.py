"""Quantities along the time of an episode: one lane each, drawn once, and a cursor over them that can be dragged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio import formatting as format
from ewm_studio.analysis.replay_loader import Lane
from ewm_studio.ui.kit.theme import color, theme, ui_font

NAMES = 96  # pixels of the column of names
VALUES = 76  # pixels of the column of values
GAP = 4
LEAST = 16  # height of a lane: of its words
MOST = 64
_INSET = 3.0  # above and below a curve


@dataclass(frozen=True)
class Mark:
    """A frame at which something is so: the token of its color, and words for those who do not see it."""

    frame: int
    token: str
    words: str


class Lanes(QWidget):
    """Lanes under each other over one time axis. A click or a drag in them jumps to a frame."""

    jumped = Signal(int)
    laid_out = Signal()  # the time axis lies elsewhere

    def __init__(self, names: int = NAMES) -> None:
        """Leave so many pixels for the names."""
        super().__init__()
        self._names = names
        self.setAccessibleName("Timeline")
        self.setToolTip("Click or drag to jump to a frame")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.lanes: list[Lane] = []
        self.frames = 0
        self.frame = 0
        self.marks: tuple[Mark, ...] = ()
        self._drawn: QPixmap | None = None
        theme().changed.connect(self._forget)

    def show_lanes(self, lanes: Sequence[Lane], frames: int = 0) -> None:
        """Show these; the longest sets the time axis, where `frames` is not more."""
        self.lanes = list(lanes)
        self.frames = max((len(lane.values) - 1 for lane in lanes), default=0)
        self.frames = max(self.frames, frames)
        self.setMinimumHeight(max(1, len(self.lanes)) * (LEAST + GAP))
        self.setMaximumHeight(max(1, len(self.lanes)) * (MOST + GAP))
        self._forget()

    def show_frame(self, frame: int) -> None:
        """Put the cursor on a frame."""
        self.frame = frame
        self.update()

    def show_marks(self, marks: Sequence[Mark]) -> None:
        """Mark these frames with a line through all lanes."""
        self.marks = tuple(marks)
        self.setAccessibleDescription("; ".join(mark.words for mark in marks))
        self.update()

    def value_of(self, lane: Lane) -> float:
        """A lane's value at the cursor; its last one after its end."""
        return float(lane.values[min(self.frame, len(lane.values) - 1)])

    def x_of(self, frame: int) -> float:
        """Where a frame is."""
        return self._names + self._width * frame / max(self.frames, 1)

    def frame_at(self, x: float) -> int:
        """The frame at a place."""
        return min(max(round((x - self._names) / self._width * self.frames), 0), self.frames)

    @property
    def _width(self) -> int:
        return max(self.width() - self._names - VALUES, 1)

    def sizeHint(self) -> QSize:
        """As much as there is."""
        return QSize(480, max(1, len(self.lanes)) * (LEAST + GAP + 8))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw anew."""
        super().resizeEvent(event)
        self._forget()
        self.laid_out.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Jump."""
        if event.button() == Qt.MouseButton.LeftButton and self.lanes:
            self.jumped.emit(self.frame_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer while it is pressed."""
        if event.buttons() & Qt.MouseButton.LeftButton and self.lanes:
            self.jumped.emit(self.frame_at(event.position().x()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The lanes as they were drawn, the cursor and the values at it over them."""
        if not self.lanes:
            return
        if self._drawn is None:
            self._drawn = self._draw_lanes()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._drawn)
        for mark in self.marks:
            if 0 <= mark.frame <= self.frames:
                painter.setPen(QPen(color(mark.token), 1.5, Qt.PenStyle.DashLine))
                at = round(self.x_of(mark.frame))
                painter.drawLine(QPointF(at, 0), QPointF(at, self.height()))
        x = round(self.x_of(self.frame))
        painter.setFont(ui_font(13, 600))
        for number, lane in enumerate(self.lanes):
            top, height = self._place(number)
            painter.fillRect(QRectF(x - 0.5, top, 1, height), color("text"))
            painter.setPen(color("text"))
            area = QRectF(self.width() - VALUES, top, VALUES - 2, height)
            side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(area, int(side), format.significant(self.value_of(lane)).replace("-", "−"))
        painter.end()

    def _place(self, number: int) -> tuple[float, float]:
        """Top and height of a lane."""
        step = self.height() / len(self.lanes)
        return number * step + GAP / 2, step - GAP

    def _forget(self) -> None:
        self._drawn = None
        self.update()

    def _draw_lanes(self) -> QPixmap:
        scale = self.devicePixelRatioF()
        picture = QPixmap(round(self.width() * scale), round(self.height() * scale))
        picture.setDevicePixelRatio(scale)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, lane in enumerate(self.lanes):
            self._draw_lane(painter, lane, *self._place(number))
        painter.end()
        return picture

    def _draw_lane(self, painter: QPainter, lane: Lane, top: float, height: float) -> None:
        shade = color(lane.token)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawEllipse(QPointF(4, top + height / 2), 3.5, 3.5)
        painter.setFont(ui_font(12))
        painter.setPen(color("secondary"))
        words = painter.fontMetrics().elidedText(lane.name, Qt.TextElideMode.ElideRight, self._names - 22)
        painter.drawText(QRectF(14, top, self._names - 20, height), int(Qt.AlignmentFlag.AlignVCenter), words)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("input"))
        painter.drawRoundedRect(QRectF(self._names, top, self._width, height), 4, 4)
        finite = lane.values[np.isfinite(lane.values)]
        if not len(finite):
            return
        low, high = lane.bounds or (float(finite.min()), float(finite.max()))
        span = high - low
        inside, base = height - 2 * _INSET, top + height - _INSET
        if low < 0 < high:  # where zero is
            zero = base - inside * -low / span
            painter.fillRect(QRectF(self._names, zero, self._width, 1), color("line"))
        painter.setPen(QPen(shade, 1.25))
        for part in curve(lane.values, self._width):
            x = self._names + self._width * part[:, 0] / max(self.frames, 1)
            y = base - inside * ((part[:, 1] - low) / span if span > 0 else np.full(len(part), 0.5))
            painter.drawPolyline(QPolygonF([QPointF(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]))


def curve(values: np.ndarray, columns: int) -> list[np.ndarray]:
    """Values (N,) as lines (M, 2) of place and value, parted where values are missing.

    Where more values than columns of pixels are there, the least and the most of each column stand for it.
    """
    places = np.arange(len(values), dtype=np.float64)
    if len(values) > 2 * columns:
        edges = np.linspace(0, len(values), columns + 1).astype(int)[:-1]
        filled = np.where(np.isfinite(values), values, np.nan)
        with np.errstate(invalid="ignore"):
            low, high = np.fmin.reduceat(filled, edges), np.fmax.reduceat(filled, edges)
        values = np.stack([low, high], 1).reshape(-1)
        places = np.repeat(edges.astype(np.float64), 2)
    there = np.isfinite(values)
    cuts = np.flatnonzero(np.diff(there)) + 1
    points = np.stack([places, values], 1)
    return [part for part, keep in zip(np.split(points, cuts), np.split(there, cuts), strict=True) if keep[0]]
