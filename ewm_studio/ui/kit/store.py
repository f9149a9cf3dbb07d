"""What the window remembers between two starts."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSettings
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

RECENT = 6


def store() -> QSettings:
    """The program's settings file."""
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "ewm-studio", "studio")


def text(key: str, default: str = "") -> str:
    """A remembered text."""
    value = store().value(key, default)
    return str(value) if value is not None else default


def texts(key: str) -> list[str]:
    """A remembered list; one entry comes back as a plain text."""
    value = store().value(key, [])
    if isinstance(value, str):
        return [value] if value else []
    return [str(item) for item in value] if isinstance(value, list) else []


def remember_recent(key: str, entry: str) -> None:
    """Put an entry first in a list of recent ones."""
    others = [item for item in texts(key) if item != entry]
    store().setValue(key, [entry, *others][:RECENT])


def place(window: QWidget, geometry: object) -> None:
    """Give a window its old place, moved and shrunk so that all of it is on a screen that is there now."""
    area = (window.screen() or QGuiApplication.primaryScreen()).availableGeometry()
    wanted = QRect(0, 0, min(1440, round(area.width() * 0.95)), min(900, round(area.height() * 0.92)))
    wanted.moveCenter(area.center())
    if isinstance(geometry, QRect) and geometry.isValid():
        screen = QGuiApplication.screenAt(geometry.center())
        area = screen.availableGeometry() if screen is not None else area
        wanted = geometry
    wanted.setSize(wanted.size().boundedTo(area.size()).expandedTo(window.minimumSize().boundedTo(area.size())))
    wanted.moveLeft(max(area.left(), min(wanted.left(), area.right() + 1 - wanted.width())))
    wanted.moveTop(max(area.top(), min(wanted.top(), area.bottom() + 1 - wanted.height())))
    window.setGeometry(wanted)
