"""A slider that does not turn by accident."""

from __future__ import annotations

from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider


class Slider(QSlider):
    """A slider that leaves the wheel to the page."""

    @property
    def handle_width(self) -> int:
        """Of the handle, whose middle stands on the value."""
        self.ensurePolished()
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        part = QStyle.SubControl.SC_SliderHandle
        return self.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, self).width()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass it on."""
        event.ignore()
