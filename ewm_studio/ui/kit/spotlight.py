"""A frame around one widget, to point at it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from ewm_studio.ui.kit.theme import color

ROOM = 4  # pixels between the widget and the frame


class Spotlight(QWidget):
    """Lies over the window, takes no event, and frames the widget that is pointed at, wherever it moves."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._target: QWidget | None = None
        self.hide()

    @property
    def target(self) -> QWidget | None:
        """What is pointed at."""
        return self._target

    def point_at(self, target: QWidget | None) -> None:
        """Frame a widget; None frames nothing."""
        if self._target is not None:
            self._target.removeEventFilter(self)
        self._target = target
        if target is not None:
            target.installEventFilter(self)
        self._follow()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The widget moved, or is no longer seen."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.Hide):
            self._follow()
        return False

    def frame(self) -> QRect:
        """Where the frame is, in the window."""
        if self._target is None or not self._target.isVisible():
            return QRect()
        corner = self._target.mapTo(self.window(), self._target.rect().topLeft())
        around = QRect(corner, self._target.size()).adjusted(-ROOM, -ROOM, ROOM, ROOM)
        return around.intersected(self.window().rect())

    def _follow(self) -> None:
        frame = self.frame()
        self.setVisible(not frame.isEmpty())
        self.setGeometry(frame)
        self.raise_()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(color("accent"), 2))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 8, 8)
        painter.end()
