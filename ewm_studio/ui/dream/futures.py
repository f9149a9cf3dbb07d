"""Futures that were drawn: the next frame seven times, and fans of many steps with what they spread over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QWidget

from ewm_studio import formatting as format
from ewm_studio.analysis.replay_loader import Lane
from ewm_studio.ui.kit.images import as_rgb
from ewm_studio.ui.kit.slider import Slider
from ewm_studio.ui.kit.theme import color, theme, ui_font
from ewm_studio.ui.kit.widgets import Elided, IconButton, column, label, row
from ewm_studio.ui.plots.lanes import Lanes

if TYPE_CHECKING:
    from ewm_studio.dreams.fan import Fan  # brings torch, for which a window does not wait

_GAP = 6


class Thumbnails(QWidget):
    """Rows of small pictures, as large as there is room, with a word before each row."""

    NAME = 76

    def __init__(self, name: str, named: bool = True) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._name_width = self.NAME if named else 0
        self._rows: list[tuple[str, list[QImage]]] = []
        self._kept: list[np.ndarray] = []  # what the images point into
        self._empty = ""
        theme().changed.connect(self.update)

    def show_rows(self, rows: Sequence[tuple[str, np.ndarray]], empty: str = "") -> None:
        """Show (word, pictures (K, H, W, 3)) each; `empty` is said where there are none."""
        self._kept, self._rows, self._empty = [], [], empty
        for word, pictures in rows:
            images = []
            for picture in pictures:
                pixels = as_rgb(picture)
                self._kept.append(pixels)
                height, width = pixels.shape[:2]
                images.append(QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888))
            self._rows.append((word, images))
        self.update()

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return sum(len(images) for _, images in self._rows)

    def sizeHint(self) -> QSize:
        """A row or a few."""
        return QSize(280, 40)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(ui_font(12))
        painter.setPen(color("secondary"))
        if not self.count:
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap), self._empty)
            painter.end()
            return
        most = max(len(images) for _, images in self._rows)
        across = (self.width() - self._name_width + _GAP) / most - _GAP
        down = (self.height() + _GAP) / len(self._rows) - _GAP
        side = max(min(across, down), 8.0)
        for number, (word, images) in enumerate(self._rows):
            top = number * (side + _GAP)
            if self._name_width:
                painter.drawText(QRectF(0, top, self._name_width - 8, side), Qt.AlignmentFlag.AlignVCenter, word)
            for place, image in enumerate(images):
                painter.drawImage(QRectF(self._name_width + place * (side + _GAP), top, side, side), image)
        painter.end()


class NextFrames(QWidget):
    """Draws of the frame that may come next."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = Thumbnails("Draws of the next frame", named=False)
        self.pictures.setFixedHeight(36)
        self._about = Elided("", "secondary")
        head = row(label("Next frame", "heading"), spacing=8)
        head.addWidget(self._about, 1)
        body = column(spacing=6)
        body.addLayout(head)
        body.addWidget(self.pictures)
        self.setLayout(body)
        self.show_fan(None)

    def show_fan(self, fan: Fan | None, step: int = 0) -> None:
        """Show the first step of a fan; None where none was drawn."""
        if fan is None or fan.pictures is None:
            self._about.setText("")
            self.pictures.show_rows([], "What may come next is drawn here whenever the dream rests.")
            return
        self._about.setText(f"{len(fan.pictures[0])} draws at step {format.count(step)}")
        self.pictures.show_rows([("", fan.pictures[0])])


class FuturesCard(QFrame):
    """Fans of futures, a row each, at a step that a slider chooses; and what they spread over."""

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self.fans: tuple[Fan, ...] = ()
        self.pictures = Thumbnails("Futures")
        self.pictures.setMinimumHeight(72)
        self.spread = Lanes(names=118)
        self.spread.setAccessibleName("What the futures spread over")
        self.spread.setToolTip("Variance over the draws, at every step; click to look at one")
        self.step = Slider(Qt.Orientation.Horizontal)
        self.step.setAccessibleName("Step of the futures")
        self.step.setMaximumWidth(220)
        self.step.valueChanged.connect(self._on_step)
        self.spread.jumped.connect(lambda frame: self.step.setValue(max(frame, 1)))
        self._where = label("", "secondary")
        self._about = Elided("", "secondary")
        close = IconButton("close", "Close the futures")
        close.clicked.connect(self.closed)
        close.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        head = row(label("Futures", "heading"), spacing=8)
        head.addWidget(self._about, 1)
        for made in (self._where, self.step, close):
            head.addWidget(made)
        body = column(spacing=6, margins=(12, 8, 12, 8))
        body.addLayout(head)
        body.addWidget(self.pictures, 3)
        body.addWidget(self.spread, 1)
        self.setLayout(body)

    def show_fans(self, fans: Sequence[Fan], step: int) -> None:
        """Show these, drawn at a step of the dream, at their last one."""
        self.fans = tuple(fans)
        steps = max(len(fan.spread) for fan in fans)
        self.step.setRange(1, steps)
        draws = fans[0].z.shape[1]
        words = ", ".join(fan.words for fan in fans)
        self._about.setText(f"{draws} draws of {steps} steps from step {format.count(step)}: {words}")
        nothing = np.full(1, np.nan)
        lanes = [Lane(f"spread, {fan.words}", "memory", np.concatenate([nothing, fan.spread])) for fan in fans]
        self.spread.show_lanes(lanes)
        self.step.setValue(steps)
        self._on_step(steps)

    def _on_step(self, step: int) -> None:
        rows = [
            (fan.words, fan.pictures[min(step, len(fan.pictures)) - 1]) for fan in self.fans if fan.pictures is not None
        ]
        self.pictures.show_rows(rows, "This model makes no pictures; the spread of its latents is below.")
        self._where.setText(f"{step} ahead" if self.fans else "")
        self.spread.show_frame(step)
