"""A small histogram: bars on a hairline, their edges in words, the count of one under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QToolTip, QWidget

from ewm_studio import formatting as format
from ewm_studio.ui.kit.theme import color, ui_font
from ewm_studio.ui.kit.widgets import column, label

if TYPE_CHECKING:
    from ewm_studio.analysis.evaluated import Histogram

FOOT = 16  # pixels below the bars, for words


class HistogramView(QWidget):
    """The bars; `mark` is a value to be seen among them, such as the mean."""

    def __init__(self, shown: Histogram, token: str = "accent", mark: float | None = None) -> None:
        super().__init__()
        self._shown, self._token, self._mark = shown, token, mark
        self.setMouseTracking(True)
        self.setMinimumSize(140, 76)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(f"{shown.title}, histogram")

    def sizeHint(self) -> QSize:
        """Low and wide."""
        return QSize(240, 110)

    def bar_at(self, x: float) -> int:
        """The bar at a horizontal place."""
        count = len(self._shown.counts)
        return min(max(int(x / max(self.width(), 1) * count), 0), count - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars, the mark and the words below."""
        painter = QPainter(self)
        counts, base = self._shown.counts, self.height() - FOOT - 1.0
        painter.fillRect(QRectF(0, base, self.width(), 1), color("line"))
        step, top = self.width() / len(counts), max(float(counts.max()), 1.0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color(self._token))
        gap = min(6.0, step * 0.15)
        for number, count in enumerate(counts.tolist()):
            height = base * count / top
            painter.drawRect(QRectF(number * step + gap / 2, base - height, step - gap, height))
        self._draw_mark(painter, base)
        painter.setFont(ui_font(11))
        painter.setPen(color("secondary"))
        self._write(painter)
        painter.end()

    def _draw_mark(self, painter: QPainter, base: float) -> None:
        edges = self._shown.edges
        if self._mark is not None and edges[-1] > edges[0]:
            x = (self._mark - edges[0]) / (edges[-1] - edges[0]) * self.width()
            painter.fillRect(QRectF(x - 0.5, 0, 1, base), color("text"))

    def _write(self, painter: QPainter) -> None:
        area = QRectF(0, self.height() - FOOT + 1, self.width(), FOOT - 1)
        names, edges, metrics = self._shown.names, self._shown.edges, painter.fontMetrics()
        if names:
            step = self.width() / len(names)
            for number, name in enumerate(names):
                text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(step) - 2)
                box = QRectF(number * step, area.top(), step, area.height())
                painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)
            return
        if len(self._shown.counts) == 1:  # all are the same
            value = format.significant(float(edges.mean()))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter), f"always {value}")
            return
        painter.drawText(area, int(Qt.AlignmentFlag.AlignLeft), format.significant(float(edges[0])))
        painter.drawText(area, int(Qt.AlignmentFlag.AlignRight), format.significant(float(edges[-1])))

    def describe(self, x: float) -> str:
        """The bar at a horizontal place, in words."""
        number = self.bar_at(x)
        counts = self._shown.counts
        share = counts[number] / max(int(counts.sum()), 1)
        return f"{self._shown.describe(number)}: {format.count(float(counts[number]))} ({share:.0%})"

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Name the bar under the pointer."""
        QToolTip.showText(event.globalPosition().toPoint(), self.describe(event.position().x()), self)

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer is gone."""
        QToolTip.hideText()


class HistogramCard(QFrame):
    """A histogram under its title."""

    def __init__(self, shown: Histogram, token: str = "accent", mark: float | None = None) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self.view = HistogramView(shown, token, mark)
        layout = column(label(shown.title, "heading"), spacing=6, margins=(12, 8, 12, 8))
        layout.addWidget(self.view, 1)
        self.setLayout(layout)
