"""The Vision page: original, reconstruction and difference, a strip of held-out frames, and vision's loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QStackedWidget, QVBoxLayout, QWidget

from ewm_studio.ui import format
from ewm_studio.ui.images import Picture, difference
from ewm_studio.ui.models.history import RunHistory
from ewm_studio.ui.models.quantities import PlotOptions
from ewm_studio.ui.widgets import Elided, EmptyState, column, label, row

if TYPE_CHECKING:
    from ewm_studio.ui.plots import PlotCard

GAIN = 4
STRIP = 8


class VisionPage(QWidget):
    """Shows what vision keeps of a picture, as the events bring it."""

    pretrain_asked = Signal()

    def __init__(self, options: PlotOptions) -> None:
        super().__init__()
        self._pictures: dict[str, np.ndarray] = {}
        self._chosen = 0
        self.large = {
            "original": Picture("Original"),
            "reconstruction": Picture("Reconstruction"),
            "difference": Picture("Difference"),
        }
        captions = (("original", ""), ("reconstruction", "vision"), (f"difference × {GAIN}", ""))
        top = row(spacing=10)
        for picture, (text, kind) in zip(self.large.values(), captions, strict=True):
            top.addWidget(_plate(picture, label(text, "secondary", kind)), 1)
        self._words = Elided("", "secondary")
        self._thumbs: list[tuple[Picture, Picture]] = []
        self._strip = QFrame()
        self._strip.setProperty("role", "plate")
        self._fill_strip()
        self._options = options
        self._plots: list[PlotCard] = []
        self._plot_row = row(spacing=10)
        content = QWidget()
        body = QVBoxLayout(content)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(10)
        head = row(label("Held-out frames", "heading"), spacing=10)
        head.addWidget(self._words, 1)
        body.addLayout(head)
        body.addLayout(top, 5)
        body.addWidget(self._strip, 3)
        body.addLayout(self._plot_row, 3)
        self.empty = EmptyState(
            "vision",
            "Nothing to see yet",
            "While a vision model such as ConvVAE trains on pictures, this page shows held-out frames, what the model "
            "keeps of them, and what is lost. Choose an environment with pictures, then pretrain.",
            "Pretrain vision",
        )
        assert self.empty.action is not None
        self.empty.action.clicked.connect(self.pretrain_asked)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self._stack)

    def _fill_strip(self) -> None:
        grid = QGridLayout(self._strip)
        grid.setContentsMargins(12, 8, 12, 10)
        grid.setSpacing(6)
        grid.addLayout(
            row(label("Frames", "heading"), label("original above, reconstruction below", "secondary"), None),
            0,
            0,
            1,
            STRIP,
        )
        for index in range(STRIP):
            pair = (Picture(f"Frame {index + 1}"), Picture(f"Reconstruction {index + 1}"))
            for line, picture in enumerate(pair):
                picture.clicked.connect(lambda index=index: self.choose(index))
                picture.setMinimumSize(32, 32)
                grid.addWidget(picture, line + 1, index)
            grid.setColumnStretch(index, 1)
            self._thumbs.append(pair)

    @property
    def plots(self) -> list[PlotCard]:
        """Vision's losses, made when they are first needed."""
        if not self._plots:
            from ewm_studio.ui.plots import PlotCard

            self._plots = [PlotCard(tag, self._options) for tag in ("vision/total", "vision/held_out_mse")]
            for card in self._plots:
                self._plot_row.addWidget(card)
        return self._plots

    @property
    def empty_shown(self) -> bool:
        """Whether there is nothing to see."""
        return self._stack.currentIndex() == 0

    def show_pictures(self, pictures: dict[str, np.ndarray], step: int) -> None:
        """Show new pictures (N, H, W, C) by name."""
        self._pictures = pictures
        original, made = pictures.get("original"), pictures.get("reconstruction")
        if original is None or not len(original):
            return
        self._stack.setCurrentIndex(1)
        for index, (above, below) in enumerate(self._thumbs):
            above.show_array(original[index] if index < len(original) else None)
            below.show_array(made[index] if made is not None and index < len(made) else None)
        words = f"after {format.count(step)} frames"
        if made is not None:
            error = float(np.mean(((original.astype(np.float32) - made.astype(np.float32)) / 255) ** 2))
            words = f"error {format.significant(error)} a pixel, {words}"
        self._words.setText(words)
        self.choose(min(self._chosen, len(original) - 1))

    def choose(self, index: int) -> None:
        """Show one of the frames large."""
        original, made = self._pictures.get("original"), self._pictures.get("reconstruction")
        if original is None or index >= len(original):
            return
        self._chosen = index
        self.large["original"].show_array(original[index])
        self.large["reconstruction"].show_array(made[index] if made is not None else None)
        self.large["difference"].show_array(
            difference(original[index], made[index], GAIN) if made is not None else None
        )
        for place, (above, below) in enumerate(self._thumbs):
            above.selected = place == index
            above.update()
            below.update()

    def show_history(self, history: RunHistory) -> None:
        """Plot another run."""
        for card in self.plots:
            card.show_history(history)

    def mark(self, tags: tuple[str, ...]) -> None:
        """Tell that rows were added under these tags."""
        for card in self.plots:
            card.dirty = card.dirty or card.quantity.tag in tags

    def redraw_one(self) -> bool:
        """Redraw a plot that changed."""
        for card in self.plots:
            if card.dirty and card.isVisible():
                card.redraw()
                return True
        return False

    def clear(self) -> None:
        """Forget the pictures."""
        self._pictures = {}
        self._stack.setCurrentIndex(0)


def _plate(picture: Picture, caption: QWidget) -> QFrame:
    frame = QFrame()
    frame.setProperty("role", "plate")
    picture.setMinimumSize(96, 96)
    layout = column(spacing=6, margins=(10, 10, 10, 8))
    layout.addWidget(picture, 1)
    layout.addWidget(caption)
    frame.setLayout(layout)
    return frame
