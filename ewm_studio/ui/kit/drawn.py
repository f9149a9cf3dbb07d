"""A surface that is drawn once, with something over it that moves: a cursor, a hover."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.ui.kit.theme import theme

_ARROWS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}


class Drawn(QWidget):
    """Keeps a picture of itself, so that a moved cursor costs no more than copying it. Left and Right step."""

    stepped = Signal(int)  # by so many decisions

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setAccessibleDescription(tip)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._drawn: QPixmap | None = None
        theme().changed.connect(self.forget)

    def draw(self, painter: QPainter) -> None:
        """Draw what stays."""
        raise NotImplementedError

    def draw_over(self, painter: QPainter) -> None:
        """Draw what moves."""
        raise NotImplementedError

    def forget(self) -> None:
        """Draw anew what stays."""
        self._drawn = None
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """What stays, as it was drawn, and what moves over it."""
        if self._drawn is None:
            scale = self.devicePixelRatioF()
            self._drawn = QPixmap(round(self.width() * scale), round(self.height() * scale))
            self._drawn.setDevicePixelRatio(scale)
            self._drawn.fill(Qt.GlobalColor.transparent)
            painter = QPainter(self._drawn)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self.draw(painter)
            painter.end()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawPixmap(0, 0, self._drawn)
        self.draw_over(painter)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw anew."""
        super().resizeEvent(event)
        self.forget()

    def event(self, event: QEvent) -> bool:
        """Take the arrow keys before a page's shortcuts do."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and event.key() in _ARROWS:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Step with the arrows."""
        step = _ARROWS.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self.stepped.emit(step)
