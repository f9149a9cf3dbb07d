"""What the colours of a study's cells are, in as many lines as they take."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.analysis.svg import Series, color_of, is_dashed
from ewm_studio.ui.kit.theme import color, ui_font

_LINE, _MARK, _GAP = 18, 14, 16


class ColorKey(QWidget):
    """A mark and a name each."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Colours of the cells")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._names: list[tuple[str, int]] = []
        self._fit()

    def show_series(self, series: Sequence[Series]) -> None:
        """Explain these."""
        self._names = [(f"{one.name}{', dashed' if is_dashed(one.place) else ''}", one.place) for one in series]
        self.setAccessibleDescription(", ".join(name for name, _ in self._names))
        self._fit()
        self.update()

    def minimumSizeHint(self) -> QSize:
        """It wraps."""
        return QSize(80, self.minimumHeight())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the marks and the names."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(ui_font(12))
        for name, place, x, y in self._placed():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(color_of(place)))
            painter.drawRoundedRect(QRectF(x, y + _LINE / 2 - 2, _MARK, 4), 2, 2)
            painter.setPen(color("secondary"))
            area = QRectF(x + _MARK + 6, y, self.width() - x - _MARK - 6, _LINE)
            text = QFontMetrics(painter.font()).elidedText(name, Qt.TextElideMode.ElideMiddle, int(area.width()))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), text)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Wrap anew."""
        super().resizeEvent(event)
        self._fit()

    def _placed(self) -> list[tuple[str, int, int, int]]:
        """Names and colours, and where they stand."""
        metrics, x, y = QFontMetrics(ui_font(12)), 0, 0
        placed = []
        for name, place in self._names:
            wide = _MARK + 6 + metrics.horizontalAdvance(name)
            if x and x + wide > self.width():
                x, y = 0, y + _LINE
            placed.append((name, place, x, y))
            x += wide + _GAP
        return placed

    def _fit(self) -> None:
        placed = self._placed()
        high = (placed[-1][3] if placed else 0) + _LINE
        if self.minimumHeight() != high or self.maximumHeight() != high:
            self.setFixedHeight(high)
