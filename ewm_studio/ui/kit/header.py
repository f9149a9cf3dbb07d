"""A table's heading that says how it is sorted without writing over its words."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, Qt
from PySide6.QtGui import QPainter, QPolygonF
from PySide6.QtWidgets import QHeaderView, QWidget

from ewm_studio.ui.kit.theme import color

_PLACE = 5.0  # pixels from the edge, where the heading leaves room beside its words
_HALF, _HIGH = 3.0, 4.0  # half the width of the triangle, and its height


class SortedHeader(QHeaderView):
    """Draws a small triangle at the end that its words do not begin from."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)

    def paintSection(self, painter: QPainter, rect: QRect, index: int) -> None:
        """Draw the section, then the triangle."""
        painter.save()
        super().paintSection(painter, rect, index)
        painter.restore()
        if not self.isSortIndicatorShown() or index != self.sortIndicatorSection():
            return
        side = self.model().headerData(index, self.orientation(), Qt.ItemDataRole.TextAlignmentRole)
        right = side is not None and bool(int(side) & Qt.AlignmentFlag.AlignRight.value)
        x = rect.left() + _PLACE if right else rect.right() - _PLACE
        middle, up = rect.center().y() + 0.5, self.sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
        tip, base = (middle - _HIGH / 2, middle + _HIGH / 2) if up else (middle + _HIGH / 2, middle - _HIGH / 2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("secondary"))
        painter.drawPolygon(QPolygonF([QPointF(x - _HALF, base), QPointF(x + _HALF, base), QPointF(x, tip)]))
        painter.restore()
