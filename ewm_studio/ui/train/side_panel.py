"""What stands right of the plots: pictures the agent sees, and the run's key figures."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.analysis.figures import BEST, EPISODES, LAST_FEW, MEAN_REWARD, STEPS, figure, taken_over
from ewm_studio.analysis.history import LENGTH, REWARD, RunHistory
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.widgets import button, column, hairline, label, row, scrolled

Figures = tuple[tuple[str, str, str], ...]  # title, tag and unit of each; {} is what it is taken over

EARNED: Figures = (
    ("Reward, {}", REWARD, ""),
    ("Reward, {}", MEAN_REWARD, ""),
    ("Best episode", BEST, ""),
    ("Length, {}", LENGTH, "steps"),
    ("Episodes", EPISODES, ""),
    ("Steps", STEPS, ""),
)
PPO: Figures = (
    ("Entropy", "ppo/entropy", "nats"),
    ("KL divergence", "ppo/approx_kl", "nats"),
    ("Clip fraction", "ppo/clip_fraction", ""),
    ("Explained variance", "ppo/explained_variance", ""),
    ("Learning rate", "ppo/lr", ""),
)
# Of another learner, by a figure that it alone gives.
LEARNERS: dict[str, Figures] = {
    "dream/reward": (
        ("Judged, greedy", "real/greedy", ""),
        ("Judged, sampled", "real/sampled", ""),
        ("Dreamt reward", "dream/reward", "a decision"),
        ("Real reward", "dream/real_reward", "a decision"),
        ("Entropy", "dream/entropy", "nats"),
    ),
    "evolution/best": (
        ("Best candidate", "evolution/best", ""),
        ("Mean candidate", "evolution/mean", ""),
        ("Step size", "evolution/sigma", ""),
    ),
}
SPEED: Figures = (("Average speed", "speed/steps_per_second", "steps/s"),)

PRETRAINING_FIGURES: Figures = (
    ("Vision loss", "vision/total", ""),
    ("Pixel error, held out", "vision/held_out_mse", ""),
    ("KL divergence", "vision/kl", "nats"),
    ("Effective rank", "vision/effective_rank", ""),
    ("Codes in use", "vision/codes_used", ""),
    ("Memory loss", "memory/total", ""),
    ("Prediction error", "memory/held_out_prediction_error", ""),
    ("if nothing changed", "memory/held_out_persistence_error", ""),
    ("before training", "memory/held_out_untrained_error", ""),
    ("Frames trained on", STEPS, ""),
)
MARGIN = 14
COUNTED = (EPISODES, STEPS)


class SidePanel(QFrame):
    """Pictures where there are some, figures always."""

    watch_asked = Signal()
    play_asked = Signal()
    look_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("sidePanel")
        self.setMinimumWidth(264)  # the longest name and value, side by side
        self._live = label("", "secondary")
        self._observation = Picture("Observation")
        self._reconstruction = Picture("Reconstruction")
        self._difference = Picture("Difference")
        for picture in (self._observation, self._reconstruction, self._difference):
            picture.setMinimumSize(84, 84)
        self._pictures = QWidget()
        below = row(
            _captioned(self._reconstruction, "reconstruction", "vision"),
            _captioned(self._difference, "difference × 4", ""),
        )
        pictures = column(self._observation, label("observation", "secondary"), spacing=4)
        pictures.addSpacing(6)
        pictures.addLayout(below)
        self._pictures.setLayout(pictures)
        self._pictures.hide()
        self._lines: list[tuple[QLabel, QLabel]] = []
        self._result = label("", "heading", wrap=True)
        self._result_words = label("", "secondary", wrap=True)
        self.watch = button("Watch", "", "See its episodes again on the Replay page", self.watch_asked.emit)
        self.look = button("Look closer", "", "How returns and actions are spread, and the worst laps from above")
        self.look.clicked.connect(self.look_asked)
        self._result_box = QWidget()
        result = column(hairline(), self._result, self._result_words, spacing=6, margins=(0, 8, 0, 0))
        result.addLayout(row(self.watch, self.look, None, spacing=8))
        self._result_box.setLayout(result)
        self._result_box.hide()
        self.play = button("See it play", "", "Its newest model plays on the Drive page; any key takes over (Ctrl+W)")
        self.play.clicked.connect(self.play_asked)
        self.play.hide()
        inside = QWidget()
        inside.setObjectName("scrolled")
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(MARGIN, 10, MARGIN, 14)
        layout.setSpacing(8)
        self._heading = label("This run", "heading")
        self._nothing = label("Its figures stand here as soon as there is one.", "secondary", wrap=True)
        layout.addLayout(row(self._heading, self._live, None))
        layout.addWidget(self._nothing)
        layout.addWidget(self._pictures)
        layout.addLayout(self._make_figures())
        layout.addLayout(row(self.play, None))
        layout.addWidget(self._result_box)
        layout.addStretch(1)
        scroll = scrolled(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def _make_figures(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(0, 1)
        for index in range(max(len(EARNED + PPO + SPEED), len(PRETRAINING_FIGURES))):
            name, value = label("", "secondary"), label("", "value")
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            grid.addWidget(name, index, 0)
            grid.addWidget(value, index, 1)
            self._lines.append((name, value))
        return grid

    def show_history(self, history: RunHistory) -> None:
        """Bring the figures up to date."""
        self._nothing.setVisible(not history.name)
        learner = next((own for tag, own in LEARNERS.items() if history.latest(tag) is not None), PPO)
        figures = EARNED + learner + SPEED
        if len(history[REWARD]) <= LAST_FEW:  # the last few are all there are
            figures = tuple(f for f in figures if f[1] != MEAN_REWARD or not len(history[REWARD]))
        if history.job == "pretrain":  # codes only where there is a codebook
            known_codes = history.latest("vision/codes_used") is not None
            figures = tuple(f for f in PRETRAINING_FIGURES if known_codes or f[1] != "vision/codes_used")
        for index, (title, line) in enumerate(self._lines):
            name, key, unit = figures[index] if index < len(figures) else ("", "", "")
            value = figure(history, key)
            text = format.count(value) if key in COUNTED and value is not None else format.significant(value)
            over = taken_over(history, key)
            title.setText(name.format(over.removesuffix(" episodes")) if over else name.removesuffix(", {}"))
            title.setToolTip(f"Mean of the {over}" if over else "")
            line.setText(f"{text} {unit}" if unit and value is not None else text if name else "")
            line.setAccessibleName(title.text())
            for part in (title, line):  # no rows of dashes while there is no run
                part.setVisible(bool(name and history.name))

    def show_pictures(self, pictures: dict[str, np.ndarray], apart: np.ndarray | None) -> None:
        """Show the first picture of each kind."""
        original, made = pictures.get("original"), pictures.get("reconstruction")
        self._heading.setText("What it sees")
        self._live.setText("live")
        self._observation.show_array(original[0] if original is not None else None)
        self._reconstruction.show_array(made[0] if made is not None else None)
        self._difference.show_array(apart)
        self._pictures.setVisible(original is not None)

    def show_model(self, there: bool) -> None:
        """Offer to see the run play once it has a model that can."""
        self.play.setVisible(there)

    def show_ended(self) -> None:
        """Nothing comes in any more."""
        self._live.setText("")

    def show_result(self, title: str, words: str, watchable: bool = False) -> None:
        """Say what an evaluation came to, and whether its episodes can be watched."""
        self.watch.setVisible(watchable)
        self.look.setVisible(watchable)
        self._result.setText(title)
        self._result_words.setText(words)
        self._result_box.setVisible(bool(title))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Pictures are square."""
        super().resizeEvent(event)
        width = self.width() - 2 * MARGIN
        self._observation.setFixedHeight(min(width, 320))
        for picture in (self._reconstruction, self._difference):
            picture.setFixedHeight(min((width - 8) // 2, 156))

    def clear(self) -> None:
        """A new run begins."""
        self._heading.setText("This run")
        self._live.setText("")
        self._pictures.hide()
        self.show_model(False)
        self.show_result("", "")


def _captioned(picture: Picture, text: str, kind: str) -> QWidget:
    box = QWidget()
    caption = label(text, "secondary", kind)
    box.setLayout(column(picture, caption, spacing=4))
    return box
