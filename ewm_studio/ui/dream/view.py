"""The dream that is driven and reality beside it, large: pictures in cards, of which the dream's tells by its border
how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.dreams.limits import graded
from ewm_studio.ui.kit.images import as_rgb, fitted
from ewm_studio.ui.kit.key_names import COMMANDS
from ewm_studio.ui.kit.theme import color, theme, ui_font
from ewm_studio.ui.kit.wheel import CHIP, WHITE, Wheel, draw_chips

KEYS = {**COMMANDS, "backspace": "rewind", ".": "step"}
CAPTION = 26  # pixels under a picture
_PAD = 10
_BANNER = 30  # pixels of a line over the lower edge of a picture
_PLANNED = 6  # pictures of a plan


class DreamView(Wheel):
    """The wheel of a dream; keys beside those of a drive go back and take single steps."""

    def __init__(self) -> None:
        super().__init__("The dream", KEYS)
        self.trust = math.nan
        self.parted = False  # from reality
        self.banner = ""  # a line over the picture
        self.chips: tuple[tuple[str, str], ...] = ()
        self.caption = "the dream: what you drive"
        self._plan: list[QImage] = []
        self._plan_of: np.ndarray | None = None
        self._kept: list[np.ndarray] = []  # what the plan's images point into
        theme().changed.connect(self.update)

    def show_plan(self, plan: np.ndarray | None) -> None:
        """Lay pictures of a plan (S, H, W, 3) over the frame, a few of them; None takes them away."""
        if plan is self._plan_of:
            return
        self._plan_of, self._kept, self._plan = plan, [], []
        if plan is not None and len(plan):
            at = np.linspace(0, len(plan) - 1, min(_PLANNED, len(plan))).round().astype(int)
            self._kept = [as_rgb(plan[number]) for number in at]
            self._plan = [_image(picture) for picture in self._kept]

    @property
    def plan(self) -> np.ndarray | None:
        """The plan that is shown."""
        return self._plan_of

    def clear(self) -> None:
        """Show no picture any more."""
        self.image = self._array = self._pixels = None
        self.show_plan(None)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The card, the picture, and what is laid over it."""
        painter = QPainter(self)
        area = draw_card(painter, self, self.image, graded(self.trust, self.parted), self.caption, "memory")
        if self.image is not None:
            draw_chips(painter, area, self.chips)
            self._draw_plan(painter, area)
            _draw_banner(painter, area, self.banner)
        else:
            _draw_words(painter, area, self.banner)
        if self.hasFocus() and self.driving:
            painter.setPen(QPen(color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), 4, 4)
        painter.end()

    def _draw_plan(self, painter: QPainter, area: QRectF) -> None:
        if not self._plan:
            return
        side = min(area.width() / (len(self._plan) + 0.5) - 4, 72.0)
        top = area.bottom() - side - 12 - (_BANNER if self.banner else 0)
        left = area.center().x() - len(self._plan) * (side + 4) / 2
        painter.setPen(QPen(color("memory"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for number, image in enumerate(self._plan):
            place = QRectF(left + number * (side + 4), top, side, side)
            painter.drawImage(place, image)
            painter.drawRect(place)


class RealView(QWidget):
    """Reality under the same actions; or why there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.caption = "reality under the same keys"
        self.words = ""
        self.chips: tuple[tuple[str, str], ...] = ()
        self._array: np.ndarray | None = None
        self._pixels: np.ndarray | None = None
        self._image: QImage | None = None
        self.setAccessibleName("Reality")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 160)
        theme().changed.connect(self.update)

    @property
    def array(self) -> np.ndarray | None:
        """What is shown."""
        return self._array

    def show_array(self, array: np.ndarray | None, words: str = "") -> None:
        """Show a picture uint8 (H, W, 3), or say why there is none."""
        self.words = words
        self.setAccessibleDescription(words)
        if array is None:
            self._array = self._pixels = self._image = None
        elif array is not self._array:
            self._array, self._pixels = array, as_rgb(array)
            self._image = _image(self._pixels)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The card and the picture."""
        painter = QPainter(self)
        area = draw_card(painter, self, self._image, "line", self.caption, "secondary")
        if self._image is not None:
            draw_chips(painter, area, self.chips)
            _draw_banner(painter, area, self.words)
        else:
            _draw_words(painter, area, self.words)
        painter.end()


def draw_card(painter: QPainter, widget: QWidget, image: QImage | None, border: str, caption: str, role: str) -> QRectF:
    """Draw a card over a widget, a picture in it and words under that; gives the picture's place."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    width = 1.0 if border == "line" else 2.0
    painter.setPen(QPen(color(border), width))
    painter.setBrush(color("panel"))
    painter.drawRoundedRect(QRectF(widget.rect()).adjusted(width / 2, width / 2, -width / 2, -width / 2), 8, 8)
    within = QRectF(widget.rect()).adjusted(_PAD, _PAD, -_PAD, -CAPTION - 4)
    area = within
    if image is not None:
        area = fitted(image.size(), within)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(area, image)
        painter.setPen(QPen(color("line"), 1))  # a white picture on a white card has an edge
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area.adjusted(0.5, 0.5, -0.5, -0.5))
    painter.setFont(ui_font(12))
    painter.setPen(color(role))
    place = QRectF(_PAD, widget.height() - CAPTION - 2, widget.width() - 2 * _PAD, CAPTION - 4)
    words = painter.fontMetrics().elidedText(caption, Qt.TextElideMode.ElideRight, int(place.width()))
    painter.drawText(place, Qt.AlignmentFlag.AlignCenter, words)
    return area


def chips_of(*figures: str) -> tuple[tuple[str, str], ...]:
    """Figures as chips; empty ones are left out."""
    return tuple((text, "") for text in figures if text)


def _draw_banner(painter: QPainter, area: QRectF, words: str) -> None:
    if not words:
        return
    place = QRectF(area.left(), area.bottom() - _BANNER, area.width(), _BANNER)
    painter.fillRect(place, CHIP)
    painter.setFont(ui_font(12, 600))
    painter.setPen(WHITE)
    shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(place.width()) - 16)
    painter.drawText(place, Qt.AlignmentFlag.AlignCenter, shown)


def _draw_words(painter: QPainter, area: QRectF, words: str) -> None:
    painter.setFont(ui_font(13))
    painter.setPen(color("secondary"))
    flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
    painter.drawText(area.adjusted(12, 0, -12, 0), int(flags), words)


def _image(pixels: np.ndarray) -> QImage:
    height, width = pixels.shape[:2]
    return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)


def join(parts: Sequence[str]) -> str:
    """Words set apart by points; empty ones are left out."""
    return " · ".join(part for part in parts if part)
