"""A few short words in chips."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from ewm_studio.ui.kit.widgets import label


class Tags(QWidget):
    """A few short words in chips, in as many lines as their place is wide."""

    GAP = 4

    def __init__(self) -> None:
        super().__init__()
        self._chips: list[QLabel] = []
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_words(self, words: Sequence[str]) -> None:
        """Show these."""
        if [chip.text() for chip in self._chips] == list(words):
            return
        for chip in self._chips:
            chip.hide()
            chip.deleteLater()
        self._chips = [label(word, "tag") for word in words]
        for chip in self._chips:
            chip.setParent(self)
            chip.show()
        self._place(self.width())
        self.updateGeometry()

    def heightForWidth(self, width: int) -> int:
        """As many lines as the words need."""
        return self._place(width, move=False)

    def sizeHint(self) -> QSize:
        """As it is now."""
        return QSize(0, self._place(self.width(), move=False))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Break lines anew."""
        super().resizeEvent(event)
        self._place(self.width())
        self.updateGeometry()

    def _place(self, width: int, move: bool = True) -> int:
        x = y = bottom = 0
        for chip in self._chips:
            chip.ensurePolished()
            size = chip.sizeHint()
            if x and x + size.width() > width:
                x, y = 0, bottom + self.GAP
            if move:
                chip.setGeometry(x, y, min(size.width(), width), size.height())
            x, bottom = x + size.width() + self.GAP, y + size.height()
        return bottom
