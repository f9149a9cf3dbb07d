"""A picture at the wheel of which somebody sits: it takes the keys that drive, and shows large what is driven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QFontMetricsF, QImage, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.ui.kit.images import as_rgb, fitted
from ewm_studio.ui.kit.key_names import COMMANDS, key_name
from ewm_studio.ui.kit.theme import ui_font

# Over pictures of any color: the same in both themes.
CHIP, VEIL, WHITE, RED = QColor(12, 16, 22, 190), QColor(12, 16, 22, 170), QColor("#ffffff"), QColor("#dc2f35")
_MODIFIERS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


@dataclass(frozen=True)
class Notice:
    """Words over the picture while nothing moves."""

    title: str
    words: str = ""


class Wheel(QWidget):
    """Shows frames and takes keys. While `driving`, every key is its own: Tab and arrows move no focus."""

    key_pressed = Signal(str)
    key_released = Signal(str)
    commanded = Signal(str)  # what a key of `commands` stands for
    focus_lost = Signal()

    def __init__(self, name: str, commands: Mapping[str, str] = COMMANDS) -> None:
        """Call it `name`; `commands` are keys that do not drive, and what they ask for, empty for nothing."""
        super().__init__()
        self.driving = False
        self.notice: Notice | None = None
        self.image: QImage | None = None
        self._commands = commands
        self._array: np.ndarray | None = None
        self._pixels: np.ndarray | None = None  # kept: the image only points into it
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 160)

    def sizeHint(self) -> QSize:
        """Wide."""
        return QSize(960, 640)

    def show_picture(self, array: np.ndarray | None) -> None:
        """Show another picture, uint8 (H, W, 3); None leaves the present one."""
        if array is not None and array is not self._array:
            self._array, self._pixels = array, as_rgb(array)
            height, width = self._pixels.shape[:2]
            self.image = QImage(self._pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)

    # Keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Hold a key, or give a command; what the keyboard repeats of itself is nothing new."""
        if not self._takes(event):
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            name = key_name(event)
            if name not in self._commands:
                self.key_pressed.emit(name)
            elif self._commands[name]:
                self.commanded.emit(self._commands[name])

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Let a key go; some systems repeat releases as well."""
        if not self._takes(event):
            super().keyReleaseEvent(event)
        elif not event.isAutoRepeat():
            self.key_released.emit(key_name(event))

    def event(self, event: QEvent) -> bool:
        """Before shortcuts see them, keys without Ctrl or Alt are claimed while driving."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._takes(event):
            event.accept()
            return True
        return super().event(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab stays here while driving."""
        return False if self.driving else super().focusNextPrevChild(forward)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Releases will not be seen any more."""
        super().focusOutEvent(event)
        self.focus_lost.emit()
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show that keys work."""
        super().focusInEvent(event)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click takes the wheel."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)

    def _takes(self, event: QKeyEvent) -> bool:
        return self.driving and not event.modifiers() & _MODIFIERS and bool(key_name(event))

    # Painting

    def area(self, within: QRectF) -> QRectF:
        """Where in a place the picture is: as large as it fits."""
        return within if self.image is None else fitted(self.image.size(), within)

    def draw_notice(self, painter: QPainter, area: QRectF, notice: Notice) -> None:
        """Darken the picture, and say something over it."""
        painter.fillRect(area, VEIL)
        painter.setPen(WHITE)
        painter.setFont(ui_font(22, 600))
        middle = area.center().y()
        title = QRectF(area.left() + 16, middle - 40, area.width() - 32, 36)
        painter.drawText(title, Qt.AlignmentFlag.AlignCenter, notice.title)
        painter.setFont(ui_font(14))
        words = QRectF(area.left() + 16, middle + 4, area.width() - 32, 64)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(words, int(flags), notice.words)


def draw_chips(painter: QPainter, area: QRectF, chips: Sequence[tuple[str, str]]) -> None:
    """Draw figures (text, color) at the upper edge of a picture, as many as there is room for; REC has a dot."""
    painter.setFont(ui_font(13, 600))
    metrics = QFontMetricsF(painter.font())
    x, y, height = area.left() + 12, area.top() + 12, 26.0
    for text, fill in chips:
        dot = 14.0 if text == "REC" else 0.0
        # Digits take the room of zeros, so that chips do not tremble.
        wide = "".join("0" if letter.isdigit() else letter for letter in text)
        width = metrics.horizontalAdvance(wide) + 20 + dot
        if x + width > area.right() - 12:
            break
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(RED if fill == "red" else CHIP)
        painter.drawRoundedRect(QRectF(x, y, width, height), 6, 6)
        painter.setPen(WHITE)
        painter.setBrush(WHITE)
        if dot:
            painter.drawEllipse(QPointF(x + 14, y + height / 2), 3.5, 3.5)
        painter.drawText(QRectF(x + 10 + dot, y, width - 20, height), Qt.AlignmentFlag.AlignVCenter, text)
        x += width + 8
