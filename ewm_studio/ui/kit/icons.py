"""Line icons from `resources/icons`, drawn in whatever color they are asked for."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from ewm_studio.resources import resource
from ewm_studio.ui.kit.theme import tokens


@cache
def _source(name: str) -> str:
    return resource("icons", f"{name}.svg").read_text("utf-8")


def pixmap(name: str, color: str, size: int = 16, scale: float = 2.0) -> QPixmap:
    """An icon of `size` device-independent pixels in a color, sharp up to `scale`."""
    picture = QPixmap(round(size * scale), round(size * scale))
    picture.fill(Qt.GlobalColor.transparent)
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", color).encode()))
    painter = QPainter(picture)
    renderer.render(painter, QRectF(picture.rect()))
    painter.end()
    picture.setDevicePixelRatio(scale)
    return picture


def icon(name: str, role: str = "text", checked: str | None = None, size: int = 16) -> QIcon:
    """An icon in a token's color; `checked` names the token used while its button is on."""
    look = tokens()
    made = QIcon(pixmap(name, getattr(look, role), size))
    made.addPixmap(pixmap(name, look.disabled, size), QIcon.Mode.Disabled)
    if checked is not None:
        made.addPixmap(pixmap(name, getattr(look, checked), size), QIcon.Mode.Normal, QIcon.State.On)
    return made
