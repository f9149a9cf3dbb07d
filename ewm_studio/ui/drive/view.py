"""The large picture of what is driven, with figures over it; the place where keys are held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio import formatting as format
from ewm_studio.driving.snapshot import Snapshot
from ewm_studio.ui.drive.key_names import COMMANDS, key_name
from ewm_studio.ui.kit.images import as_rgb
from ewm_studio.ui.kit.theme import color, ui_font

# Over pictures of any color: the same in both themes.
_CHIP, _VEIL, _WHITE, _RED = QColor(12, 16, 22, 190), QColor(12, 16, 22, 170), QColor("#ffffff"), QColor("#dc2f35")
_MODIFIERS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


@dataclass(frozen=True)
class Notice:
    """Words over the picture while nothing moves."""

    title: str
    words: str = ""


class DriveView(QWidget):
    """Shows frames and takes keys. While `driving`, every key is its own: Tab and arrows move no focus."""

    key_pressed = Signal(str)
    key_released = Signal(str)
    commanded = Signal(str)  # pause, restart, model or leave
    focus_lost = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.driving = False
        self._snapshot: Snapshot | None = None
        self._notice: Notice | None = None
        self._frame: np.ndarray | None = None
        self._pixels: np.ndarray | None = None  # kept: the image only points into it
        self._image: QImage | None = None
        self.setAccessibleName("What is driven")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 160)

    def sizeHint(self) -> QSize:
        """Wide."""
        return QSize(960, 640)

    def show_snapshot(self, snapshot: Snapshot, notice: Notice | None) -> None:
        """Show how things stand, and a notice over it."""
        self._snapshot, self._notice = snapshot, notice
        if snapshot.frame is not None and snapshot.frame is not self._frame:
            self._frame, self._pixels = snapshot.frame, as_rgb(snapshot.frame)
            height, width = self._pixels.shape[:2]
            self._image = QImage(self._pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self.update()

    @property
    def shown(self) -> Snapshot | None:
        """What is shown."""
        return self._snapshot

    # Keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Hold a key, or give a command; what the keyboard repeats of itself is nothing new."""
        if not self._takes(event):
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            name = key_name(event)
            if name not in COMMANDS:
                self.key_pressed.emit(name)
            elif COMMANDS[name]:
                self.commanded.emit(COMMANDS[name])

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

    @property
    def _area(self) -> QRectF:
        """Where the picture is: as large as it fits."""
        if self._image is None:
            return QRectF(self.rect())
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        return QRectF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2, *size.toTuple())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture, the figures over it, and a notice where there is one."""
        painter = QPainter(self)
        area = self._area
        if self._image is None:
            painter.fillRect(area, color("panel"))
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, area.width() < 3 * self._image.width())
            painter.drawImage(area, self._image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._notice is not None:
            self._draw_notice(painter, area, self._notice)
        if self._snapshot is not None and self._snapshot.state not in ("starting", "over"):
            self._draw_figures(painter, area, self._snapshot)
        if self.hasFocus() and self.driving:
            painter.setPen(QPen(color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(area.adjusted(1, 1, -1, -1))
        painter.end()

    def _draw_figures(self, painter: QPainter, area: QRectF, snapshot: Snapshot) -> None:
        painter.setFont(ui_font(13, 600))
        metrics = QFontMetricsF(painter.font())
        x, y, height = area.left() + 12, area.top() + 12, 26.0
        for text, fill in figures(snapshot):
            dot = 14.0 if text == "REC" else 0.0
            # Digits take the room of zeros, so that chips do not tremble.
            wide = "".join("0" if letter.isdigit() else letter for letter in text)
            width = metrics.horizontalAdvance(wide) + 20 + dot
            if x + width > area.right() - 12:
                break
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(_RED if fill == "red" else _CHIP)
            painter.drawRoundedRect(QRectF(x, y, width, height), 6, 6)
            painter.setPen(_WHITE)
            painter.setBrush(_WHITE)
            if dot:
                painter.drawEllipse(QPointF(x + 14, y + height / 2), 3.5, 3.5)
            painter.drawText(QRectF(x + 10 + dot, y, width - 20, height), Qt.AlignmentFlag.AlignVCenter, text)
            x += width + 8

    def _draw_notice(self, painter: QPainter, area: QRectF, notice: Notice) -> None:
        painter.fillRect(area, _VEIL)
        painter.setPen(_WHITE)
        painter.setFont(ui_font(22, 600))
        middle = area.center().y()
        title = QRectF(area.left() + 16, middle - 40, area.width() - 32, 36)
        painter.drawText(title, Qt.AlignmentFlag.AlignCenter, notice.title)
        painter.setFont(ui_font(14))
        words = QRectF(area.left() + 16, middle + 4, area.width() - 32, 64)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(words, int(flags), notice.words)


def figures(snapshot: Snapshot) -> list[tuple[str, str]]:
    """What stands over the picture, as (text, color): recording, reward, speed, time, pace, driver."""
    shown = [("REC", "red")] if snapshot.recording and snapshot.state == "driving" else []
    shown.append((f"reward {snapshot.reward:.1f}", ""))
    if snapshot.speed is not None:
        shown.append((f"{snapshot.speed:.0f} km/h", ""))
    shown.append((clock(snapshot.seconds), ""))
    if snapshot.state == "driving":
        shown.append((f"{format.rate(snapshot.steps_per_second)} steps/s", ""))
    if snapshot.copilot:
        shown.append(("model drives" if snapshot.driver == "model" else "you drive", ""))
    return shown


def clock(seconds: float) -> str:
    """A time as 0:06.4."""
    tenths = int(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
