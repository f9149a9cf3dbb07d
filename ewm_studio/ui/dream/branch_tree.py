"""The tree of a dream: every branch a line, its return at the end, and the place where one stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.dreams.branches import BranchInfo, Place
from ewm_studio.ui.kit.theme import color, theme, ui_font

ROW = 24
LABELS = 190  # pixels for the words at a branch's end, at least; at most half the width
_STEM = 76  # pixels of what was real before
_REACH = 8.0  # pixels from a line that still are on it
_WHO = {"person": "you", "controller": "controller", "planner": "planner", "recorded": "recorded keys"}
_AROUND = 14  # pixels beside the words
_KEYS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_End)


@dataclass(frozen=True)
class _Line:
    """A branch as it is drawn."""

    info: BranchInfo
    row: int
    begin: float  # x of where it leaves
    end: float


def words_of(info: BranchInfo) -> str:
    """A branch in few words: its name, or who drove and what made it another, and what it came to."""
    who = info.name or _WHO.get(info.driver, info.driver) or info.how
    made = "" if info.name or info.number == 0 or not info.driver or info.how.startswith("you") else info.how
    parts = [who, made, f"dreamt {signed(info.dreamt)}" if info.tip else ""]
    if not math.isnan(info.real) and info.tip:
        parts.append(f"real {signed(info.real)}")
    if info.ended:
        parts.append("ended")
    return ", ".join(part for part in parts if part)


def _label(info: BranchInfo) -> str:
    """What stands at a branch's end."""
    return ("★ " if info.kept else "") + words_of(info)


def signed(value: float) -> str:
    """A return with its sign: +41.2."""
    if not math.isfinite(value):
        return "–"
    return f"{value:+,.1f}".replace("-", "−")


class BranchTree(QWidget):
    """Draws the tree; a click goes to a step. With the focus, arrows do: Up and Down to other branches."""

    went = Signal(object)  # a Place
    menu_asked = Signal(int, object)  # a branch, and where on the screen

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Branches")
        self.setToolTip("Click to go back to a step; right click for more")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.branches: tuple[BranchInfo, ...] = ()
        self.place = Place(0, 0)
        self.stem = ""  # what the dream begins with
        self._labels = LABELS  # pixels that the longest words need
        theme().changed.connect(self.update)

    def show_tree(self, branches: Sequence[BranchInfo], place: Place, stem: str) -> None:
        """Show these branches, and where one stands; `stem` says what was before."""
        rows = len(branches) != len(self.branches)
        self.branches, self.place, self.stem = tuple(branches), place, stem
        if rows:
            self.setMinimumHeight(max(1, len(branches)) * ROW + 8)
            self.updateGeometry()
        metrics = QFontMetrics(ui_font(11, 600))
        self._labels = max([LABELS, *(metrics.horizontalAdvance(_label(info)) + _AROUND for info in branches)])
        self.setAccessibleDescription("; ".join(words_of(info) for info in branches))
        self.update()

    def sizeHint(self) -> QSize:
        """As high as there are branches."""
        return QSize(360, max(2, len(self.branches)) * ROW + 8)

    # Where things are

    @property
    def _steps(self) -> int:
        return max((info.tip for info in self.branches), default=0)

    def x_of(self, step: int) -> float:
        """Where a step is."""
        width = max(self.width() - _STEM - min(self._labels, self.width() // 2), 40)
        return _STEM + width * step / max(self._steps, 1)

    def y_of(self, number: int) -> float:
        """Where a branch is."""
        row = next((row for row, info in enumerate(self.branches) if info.number == number), 0)
        top = max((self.height() - len(self.branches) * ROW) / 2, 4)
        return top + row * ROW + ROW / 2

    def _line(self, info: BranchInfo, row: int) -> _Line:
        return _Line(info, row, self.x_of(info.at), self.x_of(info.tip))

    def place_at(self, point: QPointF) -> Place | None:
        """The step of a branch under a point; the last one over its words."""
        for info in self.branches:
            if abs(point.y() - self.y_of(info.number)) > ROW / 2:
                continue
            begin, end = self.x_of(info.at), self.x_of(info.tip)
            if point.x() < begin - _REACH:
                return None
            if point.x() >= end or end <= begin:
                return Place(info.number, info.tip)
            share = (point.x() - begin) / (end - begin)
            return Place(info.number, info.at + round(max(share, 0) * (info.tip - info.at)))
        return None

    # Events

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go there."""
        place = self.place_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and place is not None:
            self.went.emit(place)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask what to do with a branch."""
        place = self.place_at(QPointF(event.pos()))
        if place is not None:
            self.menu_asked.emit(place.branch, event.globalPos())

    def event(self, event: QEvent) -> bool:
        """Take the arrow keys before a page's shortcuts do."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and event.key() in _KEYS:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Step along a branch, or to another."""
        place = self._beside(Qt.Key(event.key()))
        if place is None:
            super().keyPressEvent(event)
        elif place != self.place:
            self.went.emit(place)

    def _beside(self, key: Qt.Key) -> Place | None:
        here = next((row for row, info in enumerate(self.branches) if info.number == self.place.branch), None)
        if here is None or key not in _KEYS:
            return None
        info, step = self.branches[here], self.place.step
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            row = min(max(here + (1 if key == Qt.Key.Key_Down else -1), 0), len(self.branches) - 1)
            return Place(self.branches[row].number, self.branches[row].tip) if row != here else self.place
        steps = {
            Qt.Key.Key_Left: step - 1,
            Qt.Key.Key_Right: step + 1,
            Qt.Key.Key_Home: info.at,
            Qt.Key.Key_End: info.tip,
        }
        return Place(info.number, min(max(steps[key], info.at), info.tip))

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the stem, the branches, the words at their ends, and where one stands."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.branches:
            painter.setFont(ui_font(12))
            painter.setPen(color("secondary"))
            words = "Every other turn that you take is a branch here: go back to any step, and drive on."
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()).adjusted(12, 0, -12, 0), int(flags), words)
            painter.end()
            return
        y = self.y_of(self.branches[0].number)
        painter.setPen(QPen(color("accent"), 2))
        painter.drawLine(QPointF(4, y), QPointF(_STEM, y))
        painter.setFont(ui_font(11))
        painter.setPen(color("secondary"))
        painter.drawText(QRectF(4, y - 18, _STEM - 8, 14), Qt.AlignmentFlag.AlignVCenter, "reality")
        for row, info in enumerate(self.branches):
            self._draw_branch(painter, self._line(info, row))
        self._draw_here(painter)
        if self.hasFocus():
            painter.setPen(QPen(color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.end()

    def _draw_branch(self, painter: QPainter, line: _Line) -> None:
        info, y = line.info, self.y_of(line.info.number)
        shade = color("memory") if info.here else color("memory", 150)
        painter.setPen(QPen(shade, 2 if info.here else 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        path = QPainterPath(QPointF(line.begin, y if info.parent is None else self.y_of(info.parent)))
        if info.parent is not None:
            from_y, bend = self.y_of(info.parent), min(18.0, max(line.end - line.begin, 12.0))
            path.cubicTo(line.begin + bend / 2, from_y, line.begin + bend / 2, y, line.begin + bend, y)
        path.lineTo(max(line.end, path.currentPosition().x()), y)
        painter.drawPath(path)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("accent") if info.parent is None else shade)
        painter.drawEllipse(QPointF(line.begin, y if info.parent is None else self.y_of(info.parent)), 3.5, 3.5)
        end = path.currentPosition().x()
        painter.setBrush(color("bad") if info.ended else shade)
        painter.drawEllipse(QPointF(end, y), 4, 4)
        painter.setFont(ui_font(11, 600 if info.here else 400))
        painter.setPen(color("text" if info.here else "secondary"))
        room = int(self.width() - end - _AROUND)
        shown = painter.fontMetrics().elidedText(_label(info), Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(end + 10, y - ROW / 2, room, ROW), Qt.AlignmentFlag.AlignVCenter, shown)

    def _draw_here(self, painter: QPainter) -> None:
        painter.setPen(QPen(color("memory"), 2))
        painter.setBrush(color("text"))
        painter.drawEllipse(QPointF(self.x_of(self.place.step), self.y_of(self.place.branch)), 5, 5)
