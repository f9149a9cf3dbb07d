"""An evaluation looked into: how returns and actions are spread, and the worst laps from above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.ui.kit.widgets import button, column, label, row
from ewm_studio.ui.plots.histogram import HistogramCard
from ewm_studio.ui.train.track_view import TrackView

if TYPE_CHECKING:
    from ewm_studio.analysis.evaluated import Evaluated
    from ewm_studio.analysis.track_map import TrackMap

COLUMNS = 4  # histograms of actions side by side
LAP_WORDS = (
    "Green: the stretch earned; red: it cost more than it earned. Blue: the start; the other dot: where the lap ended."
)


class EvaluationDialog(QDialog):
    """Shows what is known at once, and laps as they are driven again."""

    def __init__(self, name: str, found: Evaluated, laps: int, parent: QWidget) -> None:
        """Show an evaluation.

        Args:
            name: of the run whose model played.
            found: what its episodes say.
            laps: how many of the worst will come as maps; none where the environment has no track.
            parent: the window.
        """
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"Evaluation of {name}")
        self._wanted = laps
        self.laps: dict[int, TrackMap] = {}
        count = len(found.rewards)
        mean = float(found.rewards.mean())
        words = f"{format.count(count)} episode{'s' * (count > 1)} on {found.env}"
        returns = HistogramCard(found.returns, "accent", mean)
        actions = [HistogramCard(each, "controller") for each in found.actions]
        self.histograms = [returns, *actions]
        above = QGridLayout()
        above.setSpacing(10)
        columns = min(COLUMNS, max(len(actions), 1))
        above.addWidget(returns, 0, 0, 1, columns)
        for number, card in enumerate(actions):
            above.addWidget(card, 1 + number // columns, number % columns)
        self._small = QHBoxLayout()
        self._small.setSpacing(10)
        self._large = column(spacing=4)
        self._said = label("", "secondary", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(label(f"Evaluation of {name}", "title"))
        layout.addWidget(label(words, "secondary"))
        layout.addLayout(above)
        if laps:
            layout.addWidget(label("Worst laps", "heading"))
            layout.addWidget(self._said)
            layout.addLayout(self._small)
            layout.addLayout(self._large, 1)
            self._say()
        close = button("Close", "primary", clicked=self.accept)
        close.setDefault(True)
        layout.addLayout(row(None, close))
        self.setMaximumHeight(int(parent.screen().availableGeometry().height() * 0.95))
        self.resize(max(720, 160 * laps), 420)

    def add_lap(self, lap: TrackMap) -> None:
        """One of the worst laps was driven again."""
        self.laps[lap.seed] = lap
        view = TrackView(lap, small=True)
        view.chosen.connect(self.show_large)
        self._small.addWidget(view)
        self._say()

    def say_problem(self, words: str) -> None:
        """A lap could not be driven again."""
        self._wanted -= 1
        self._said.setText(words)

    def show_large(self, seed: int) -> None:
        """Show one lap large."""
        while (item := self._large.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self._large.addWidget(TrackView(self.laps[seed]), 1)

    def _say(self) -> None:
        missing = self._wanted - len(self.laps)
        self._said.setText(f"Driving {missing} of them again …" if missing > 0 else LAP_WORDS)
