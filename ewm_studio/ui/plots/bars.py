"""A card of sorted bars: how much each latent number tells, how often each code is taken."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QToolTip, QWidget

from ewm_studio import formatting as format
from ewm_studio.ui.kit.theme import color
from ewm_studio.ui.kit.widgets import Elided, column, label, row

_LEAST = 2.0  # pixels a bar and its gap take; more values than fit share a bar


class Bars(QWidget):
    """Values from the largest to the smallest, as bars in a token's color; those not in use are faint."""

    def __init__(self, name: str, token: str = "vision") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._token = token
        self._values, self._order = np.zeros(0), np.zeros(0, np.int64)
        self._threshold, self._what, self._unit = 0.0, "", ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(96, 48)
        self.setMouseTracking(True)

    def sizeHint(self) -> QSize:
        """Low and wide."""
        return QSize(320, 96)

    def show_values(self, values: np.ndarray, threshold: float, what: str, unit: str) -> None:
        """Show values (N,), at least zero.

        Args:
            values: the heights, in any order.
            threshold: what is not above it is faint.
            what: names one of them, as in "z 7".
            unit: of the values.
        """
        self._order = np.argsort(-values, kind="stable")
        self._values = values[self._order].astype(np.float64)
        self._threshold, self._what, self._unit = threshold, what, unit
        self.update()

    @property
    def drawn(self) -> int:
        """How many bars there are: fewer than values where there is no room for all."""
        return min(len(self._values), max(1, int(self.width() / _LEAST)))

    def _first(self, bar: int) -> int:
        """The first of the values that a bar stands for."""
        return bar * len(self._values) // self.drawn

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars on a hairline."""
        painter = QPainter(self)
        base = self.height() - 1.0
        painter.fillRect(QRectF(0, base, self.width(), 1), color("line"))
        if len(self._values):
            self._draw(painter, base)
        painter.end()

    def _draw(self, painter: QPainter, base: float) -> None:
        count = self.drawn
        step = self.width() / count
        gap = min(4.0, step * 0.2) if step >= 4 else step * 0.25
        top = max(float(self._values[0]), 1e-12)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        clear, faint = color(self._token), color(self._token, 90)
        for bar in range(count):
            value = self._values[self._first(bar)]
            height = max(base * value / top, 1.0)
            painter.setBrush(clear if value > self._threshold else faint)
            corner = min(2.0, (step - gap) / 3)
            painter.drawRoundedRect(QRectF(bar * step, base - height, step - gap, height), corner, corner)

    def describe(self, x: float) -> str:
        """The bar at a horizontal place, in words."""
        if not len(self._values):
            return ""
        bar = min(max(int(x / self.width() * self.drawn), 0), self.drawn - 1)
        index = self._first(bar)
        return f"{self._what} {int(self._order[index])}: {format.significant(self._values[index])} {self._unit}"

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Name the bar under the pointer."""
        QToolTip.showText(event.globalPosition().toPoint(), self.describe(event.position().x()), self)

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer is gone."""
        QToolTip.hideText()


class BarCard(QFrame):
    """Bars with a title and one line of words."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self.title = label("", "heading")
        self.words = Elided("", "secondary")
        self.bars = Bars("Bars")
        head = row(self.title, spacing=10)
        head.addWidget(self.words, 1)
        layout = column(spacing=8, margins=(12, 10, 12, 12))
        layout.addLayout(head)
        layout.addWidget(self.bars, 1)
        self.setLayout(layout)

    def say(self, title: str, words: str) -> None:
        """Name what is shown."""
        self.title.setText(title)
        self.words.setText(words)
        self.words.shorter = words.split(" · ")[0]
        self.bars.setAccessibleName(f"{title}: {words}")
