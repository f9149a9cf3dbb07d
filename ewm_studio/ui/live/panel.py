"""What vision and memory make of the frame that is being driven, while they learn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from ewm_studio.analysis.history import RunHistory
from ewm_studio.events import Metrics
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.widgets import Elided, Switch, column, label, row
from ewm_studio.ui.plots.quantities import PlotOptions

if TYPE_CHECKING:
    from ewm_studio.ui.plots.card import PlotCard

PICTURES = (("reconstruction", "reconstruction", "vision"), ("prediction", "next, predicted", "memory"))
PLOT_HEIGHT = 132
OFF = "Switch on to have vision and memory learn from your frames as you drive, and to see here what they make of them."
READY = "Vision and memory begin to learn with your first frames."


class LivePanel(QWidget):
    """A switch, the two pictures, and the vision loss."""

    switched = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.switch = Switch()
        self.switch.setAccessibleName("Learn while you drive")
        self.switch.setToolTip("Train vision and memory on your frames as you drive; saved as a run when you end")
        self.switch.toggled.connect(self._on_switched)
        self.switch.toggled.connect(self.switched)
        self._about = Elided("", "secondary")
        self._words = label(OFF, "secondary", wrap=True)
        self.pictures = {key: Picture(f"{caption.capitalize()} of the present frame") for key, caption, _ in PICTURES}
        self._pictures = QWidget()
        sides = row(spacing=8)
        for key, caption, kind in PICTURES:
            self.pictures[key].setMinimumSize(84, 84)
            self.pictures[key].setFixedHeight(132)
            sides.addLayout(column(self.pictures[key], label(caption, kind=kind), spacing=4))
        self._pictures.setLayout(sides)
        self._pictures.hide()
        self._history = RunHistory()
        self.plot: PlotCard | None = None
        self._layout = column(spacing=8)
        head = row(label("While you drive", "heading"), spacing=8)
        head.addWidget(self._about, 1)
        head.addWidget(self.switch)
        self._layout.addLayout(head)
        self._layout.addWidget(self._words)
        self._layout.addWidget(self._pictures)
        self.setLayout(self._layout)

    def begin(self) -> None:
        """Learning begins: nothing of an earlier drive is shown."""
        self._history = RunHistory("live", "pretrain")
        for picture in self.pictures.values():
            picture.show_array(None)
        self._about.setText("learning")
        if self.plot is not None:
            self.plot.show_history(self._history)
        self._redraw()

    def show_pictures(self, pictures: dict[str, np.ndarray]) -> None:
        """Show the latest pictures (1, H, W, C) by name."""
        self._words.hide()
        self._pictures.show()
        for key, picture in self.pictures.items():
            shown = pictures.get(key)
            picture.show_array(None if shown is None else shown[0])

    def add_metrics(self, metrics: Metrics) -> None:
        """Put a row on the plot."""
        self._history.add_metrics(metrics)
        self._redraw()

    def show_ended(self, words: str) -> None:
        """Learning ended; what was shown last stays."""
        self._about.setText(words)

    def show_saved(self, run: str) -> None:
        """Learning ended, and what was learned is a run."""
        self.show_ended("saved")
        self._words.setText(f"Saved as {run}.")
        self._words.show()

    def _on_switched(self, on: bool) -> None:
        self._words.setText(READY if on else OFF)

    def make_plot(self) -> None:
        """Make the plot, if it is missing; what draws it is imported already."""
        if self.plot is None:
            from ewm_studio.ui.plots.card import PlotCard

            self.plot = PlotCard("vision/total", PlotOptions(axis="seconds"))
            self.plot.setFixedHeight(PLOT_HEIGHT)
            self.plot.show_history(self._history)
            self._layout.addWidget(self.plot)
            self._redraw()

    def _redraw(self) -> None:
        if self.plot is not None:
            self.plot.redraw()
