"""A widget that paints one numpy picture, as large as it fits."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.ui.kit.theme import color


class Picture(QWidget):
    """Shows an array uint8 (H, W, 3), (H, W, 1) or (H, W); keeps its shape and stays crisp when enlarged."""

    clicked = Signal()

    def __init__(self, name: str, side: int = 0, square: bool = True) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._array: np.ndarray | None = None  # kept: the image only points into it
        self._image: QImage | None = None
        self._square = square
        self.selected = False
        if side:
            self.setFixedSize(side, side)
        else:
            self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
            self.setMinimumSize(48, 48)

    def show_array(self, array: np.ndarray | None) -> None:
        """Show another picture; None clears."""
        if array is None:
            self._array = self._image = None
        else:
            self._array = as_rgb(array)
            height, width = self._array.shape[:2]
            self._image = QImage(self._array.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self.update()

    @property
    def array(self) -> np.ndarray | None:
        """What is shown."""
        return self._array

    def sizeHint(self) -> QSize:
        """Square."""
        return QSize(160, 160)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture in a rounded frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect())
        if self._image is not None:
            area = fitted(self._image.size(), area)
        elif self._square:
            side = min(self.width(), self.height())
            area = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        path = QPainterPath()
        path.addRoundedRect(area, 4, 4)
        painter.setClipPath(path)
        if self._image is None:
            painter.fillPath(path, color("input"))
        else:
            large = area.width() > 3 * self._image.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not large)
            painter.drawImage(area, self._image)
        painter.setClipping(False)
        painter.setPen(QPen(color("line"), 1))  # a white picture on a white card has an edge
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if self.selected:
            painter.setPen(QPen(color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area.adjusted(1, 1, -1, -1), 4, 4)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tell of a click."""
        self.clicked.emit()


def fitted(size: QSize, within: QRectF) -> QRectF:
    """The place of a picture of a size within another: as large as it fits, in the middle."""
    large = size.scaled(within.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
    left = within.left() + (within.width() - large.width()) / 2
    return QRectF(left, within.top() + (within.height() - large.height()) / 2, large.width(), large.height())


def as_rgb(array: np.ndarray) -> np.ndarray:
    """A picture as contiguous uint8 (H, W, 3); one channel becomes gray."""
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[-1] == 1:
        array = np.repeat(array, 3, axis=-1)
    return np.ascontiguousarray(array[..., :3], dtype=np.uint8)


def difference(original: np.ndarray, reconstruction: np.ndarray, gain: int = 4) -> np.ndarray:
    """How far two pictures are apart, brightened `gain` times: uint8, of their shape."""
    apart = np.abs(original.astype(np.int16) - reconstruction.astype(np.int16)) * gain
    return np.minimum(apart, 255).astype(np.uint8)
