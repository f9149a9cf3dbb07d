"""Episodes as paths in the plane of two main directions of z; the picture of a point beside the pointer."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QApplication

from ewm_studio import formatting as format
from ewm_studio.analysis.latent_space import Exploration, LatentPath
from ewm_studio.ui.kit.drawn import Drawn
from ewm_studio.ui.kit.ramps import ramp, steps_of
from ewm_studio.ui.kit.theme import color, ui_font

Shade = Literal["time", "reward", "surprise"]
Point = tuple[int, int]  # which path, which decision
TOKENS: dict[Shade, str] = {"time": "accent", "reward": "accent", "surprise": "memory"}
NEAR = 14.0  # pixels from the pointer within which a point is meant
_MARGIN = 28.0
_LARGE, _SMALL = 5.0, 3.0  # points of the watched episode and of others
_OTHERS = 120  # alpha of the others' points
_ZOOM = 1.2  # a notch of the wheel
_CLOSEST = 200.0  # times


class LatentPlane(Drawn):
    """A click jumps to a point; the wheel zooms, a drag moves, a double click shows all; Shift turns z by hand."""

    picked = Signal(int, int)  # path, decision
    turned = Signal(object)  # a place (2,) that a latent is wanted at

    def __init__(self) -> None:
        tip = "Click a point to jump there. Wheel zooms, drag moves, double click shows all. Shift and drag turns z"
        super().__init__("Latent plane", tip)
        self.setMinimumSize(180, 90)
        self.exploration: Exploration | None = None
        self.pair = (0, 1)
        self.shade: Shade = "time"
        self.decision = 0
        self.turned_z: np.ndarray | None = None
        self.hovered: Point | None = None
        self._placed: list[np.ndarray] | None = None
        self._zoom, self._middle = 1.0, np.zeros(2)
        self._pressed: QPointF | None = None
        self._dragging = False

    # What is shown

    def show_exploration(self, exploration: Exploration | None) -> None:
        """Show these episodes, all of them."""
        self.exploration, self.hovered, self.turned_z = exploration, None, None
        self.show_all()

    def show_axes(self, pair: tuple[int, int]) -> None:
        """Choose the two directions."""
        self.pair = pair
        self.show_all()

    def show_shade(self, shade: Shade) -> None:
        """Choose what the points are colored by."""
        self.shade = shade
        self.forget()

    def show_decision(self, decision: int) -> None:
        """Mark where the watched episode is."""
        self.decision = decision
        self.update()

    def show_turned(self, z: np.ndarray | None) -> None:
        """Mark a latent (Z,) that was turned by hand; None takes the mark away."""
        self.turned_z = z
        self.update()

    def show_all(self) -> None:
        """Zoom out."""
        self._zoom, self._middle = 1.0, np.zeros(2)
        self.forget()

    def range_of(self, shade: Shade) -> tuple[float, float]:
        """The least and the greatest value over all episodes, as they are colored; (0, 0) where there is none."""
        if self.exploration is None:
            return 0.0, 0.0
        values = np.concatenate([_values(path, shade) for path in self.exploration.paths])
        values = values[np.isfinite(values)]
        return (float(values.min()), float(np.percentile(values, 99))) if len(values) else (0.0, 0.0)

    def forget(self) -> None:
        """Draw anew, and find out anew where the points are."""
        self._placed = None
        super().forget()

    # Where things are

    @property
    def points(self) -> list[np.ndarray]:
        """Where the points of each episode are on the screen, (D+1, 2) each."""
        if self._placed is None:
            places = self.exploration.places if self.exploration is not None else ()
            self._placed = [self._to_screen(path[:, list(self.pair)]) for path in places]
        return self._placed

    def place_of(self, path: int, decision: int) -> QPointF:
        """Where a point is on the screen."""
        return QPointF(*self.points[path][decision])

    def point_at(self, at: QPointF) -> Point | None:
        """The point that is nearest to a place on the screen, if any is near; the watched episode's before others'."""
        best, near = None, NEAR**2
        for number, points in enumerate(self.points):
            apart = np.square(points - [at.x(), at.y()]).sum(1)
            nearest = int(apart.argmin())
            if apart[nearest] < near:
                best, near = (number, nearest), float(apart[nearest])
        return best

    def _frame(self) -> tuple[np.ndarray, float]:
        """What is in the middle of the screen (2,), and pixels a unit; both directions to one scale."""
        assert self.exploration is not None
        places = np.concatenate(self.exploration.places)[:, list(self.pair)]
        low, high = places.min(0), places.max(0)
        room = np.array([self.width(), self.height()]) - 2 * _MARGIN
        scale = float((np.maximum(room, 1) / np.maximum(high - low, 1e-9)).min())
        return (low + high) / 2 + self._middle, scale * self._zoom

    def _to_screen(self, places: np.ndarray) -> np.ndarray:
        middle, scale = self._frame()
        screen: np.ndarray = (places - middle) * [scale, -scale] + [self.width() / 2, self.height() / 2]
        return screen

    def _to_plane(self, at: QPointF) -> np.ndarray:
        middle, scale = self._frame()
        away = np.array([at.x() - self.width() / 2, at.y() - self.height() / 2])
        place: np.ndarray = away / [scale, -scale] + middle
        return place

    # Drawing

    def sizeHint(self) -> QSize:
        """Roomy."""
        return QSize(420, 360)

    def draw(self, painter: QPainter) -> None:
        """The paths, their points and the names of the directions."""
        if self.exploration is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, sum(map(len, self.points)) < 4000)
        painter.setPen(QPen(color("line"), 1))
        for points in self.points:
            painter.drawPolyline(_polygon(points))
        count = len(self.points)
        if count > 1:
            self._draw_points(painter, range(1, count), _SMALL, _OTHERS)
        self._draw_points(painter, range(1), _LARGE, 255)  # the watched one is on top
        self._draw_names(painter)

    def _draw_points(self, painter: QPainter, which: range, width: float, alpha: int) -> None:
        """The points of some episodes. One call a shade is ten times as fast as one a point."""
        assert self.exploration is not None
        points = np.concatenate([self.points[number] for number in which])
        values = np.concatenate([_values(self.exploration.paths[number], self.shade) for number in which])
        steps = steps_of(values, *self.range_of(self.shade))
        for step, (red, green, blue) in enumerate(ramp(TOKENS[self.shade]).tolist()):
            shade = QColor(red, green, blue, alpha)
            painter.setPen(QPen(shade, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawPoints(_polygon(points[steps == step]))

    def _draw_names(self, painter: QPainter) -> None:
        assert self.exploration is not None
        painter.setFont(ui_font(12))
        painter.setPen(color("secondary"))
        across, up = (f"direction {n + 1} · {self.exploration.space.share[n]:.0%} of variance" for n in self.pair)
        area = QRectF(8, 6, self.width() - 16, self.height() - 12)
        painter.drawText(area, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom), f"{across} →")
        painter.drawText(area, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), f"↑ {up}")

    def draw_over(self, painter: QPainter) -> None:
        """Where the episode is, where z was turned to, and the picture of the point under the pointer."""
        if self.exploration is None:
            return
        ring(painter, self.place_of(0, self.decision), 7, "text")
        if self.turned_z is not None:
            place = self.exploration.space.project(self.turned_z)[list(self.pair)]
            ring(painter, QPointF(*self._to_screen(place)), 7, "vision")
        if self.hovered is not None:
            path, decision = self.hovered
            at = self.place_of(path, decision)
            ring(painter, at, 5, "accent")
            draw_tip(painter, QRectF(self.rect()), at, self.exploration.paths[path], decision)

    # The mouse

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the plane, turn z, or find the point that is meant."""
        if self.exploration is None:
            return
        at = event.position()
        if self._pressed is None:
            self._hover(self.point_at(at))
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.turned.emit(self._to_plane(at))
        elif self._dragging or (at - self._pressed).manhattanLength() >= QApplication.startDragDistance():
            self._dragging = True
            self._middle = self._middle + self._to_plane(self._pressed) - self._to_plane(at)
            self._pressed = at
            self.hovered = None
            self.forget()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin; Shift turns z to here."""
        if event.button() != Qt.MouseButton.LeftButton or self.exploration is None:
            return
        self._pressed, self._dragging = event.position(), False
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._dragging = True
            self.turned.emit(self._to_plane(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Jump to the point, unless the plane was moved."""
        pressed, self._pressed = self._pressed, None
        if pressed is None or self._dragging:
            return
        found = self.point_at(event.position())
        if found is not None:
            self.picked.emit(*found)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show all."""
        self.show_all()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the pointer."""
        if self.exploration is None or not event.angleDelta().y():
            event.ignore()
            return
        before = self._to_plane(event.position())
        self._zoom = float(np.clip(self._zoom * _ZOOM ** (event.angleDelta().y() / 120), 1.0, _CLOSEST))
        self._middle = self._middle + before - self._to_plane(event.position())
        if self._zoom == 1.0:
            self._middle = np.zeros(2)
        self.forget()

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is meant any more."""
        super().leaveEvent(event)
        self._hover(None)

    def _hover(self, point: Point | None) -> None:
        if point != self.hovered:
            self.hovered = point
            self.setCursor(Qt.CursorShape.PointingHandCursor if point is not None else Qt.CursorShape.ArrowCursor)
            self.update()


def _values(path: LatentPath, shade: Shade) -> np.ndarray:
    """What a path is colored by, (D+1,)."""
    if shade == "time":
        return np.linspace(0, 1, len(path.z))
    return path.reward if shade == "reward" else path.surprise


def _polygon(points: np.ndarray) -> QPolygonF:
    return QPolygonF([QPointF(x, y) for x, y in points.tolist()])


def ring(painter: QPainter, at: QPointF, radius: float, token: str) -> None:
    """A ring that is seen on any ground."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for shade, width in (("panel", 4.0), (token, 2.0)):
        painter.setPen(QPen(color(shade), width))
        painter.drawEllipse(at, radius, radius)


def draw_tip(painter: QPainter, within: QRectF, at: QPointF, path: LatentPath, decision: int) -> None:
    """The picture of a decision beside a place, with what it is in words."""
    words = tip_of(path, decision)
    painter.setFont(ui_font(12))
    metrics = painter.fontMetrics()
    picture = None if path.pictures is None else path.pictures[decision]
    height, width = picture.shape[:2] if picture is not None else (0, 0)
    wide = max(width, *(metrics.horizontalAdvance(line) for line in words)) + 16
    tall = height + metrics.height() * len(words) + 16 + (6 if picture is not None else 0)
    x = at.x() + 14 if at.x() + 14 + wide <= within.right() else at.x() - 14 - wide
    y = min(max(at.y() - tall / 2, within.top() + 2), max(within.bottom() - tall - 2, within.top() + 2))
    area = QRectF(max(x, within.left() + 2), y, wide, tall)
    painter.setPen(QPen(color("line"), 1))
    painter.setBrush(color("card"))
    painter.drawRoundedRect(area, 6, 6)
    top = area.top() + 8
    if picture is not None:
        image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        painter.drawImage(QPointF(area.left() + (wide - width) / 2, top), image)
        top += height + 6
    for number, line in enumerate(words):
        painter.setPen(color("text" if number == 0 else "secondary"))
        place = QRectF(area.left() + 8, top + number * metrics.height(), wide - 16, metrics.height())
        painter.drawText(place, int(Qt.AlignmentFlag.AlignVCenter), line)


def tip_of(path: LatentPath, decision: int) -> list[str]:
    """What a decision is, in a few short lines."""
    lines = [f"seed {path.seed} · decision {format.count(decision)}"]
    lines.append(f"reward {format.significant(float(path.reward[decision]))}".replace("-", "−"))
    if np.isfinite(path.surprise[decision]):
        lines.append(f"surprise {format.significant(float(path.surprise[decision]))}")
    return lines
