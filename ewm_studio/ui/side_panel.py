"""What stands right of the plots: pictures the agent sees, and the run's key figures."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from ewm_studio.ui import format
from ewm_studio.ui.images import Picture
from ewm_studio.ui.models.history import LENGTH, REWARD, RunHistory
from ewm_studio.ui.widgets import column, hairline, label, row

FIGURES = (
    ("Mean reward", "reward/mean_100", ""),
    ("Best episode", "best", ""),
    ("Episodes", "episodes", ""),
    ("Last episode", LENGTH, "steps"),
    ("Entropy", "ppo/entropy", "nats"),
    ("KL divergence", "ppo/approx_kl", "nats"),
    ("Clip fraction", "ppo/clip_fraction", ""),
    ("Explained variance", "ppo/explained_variance", ""),
    ("Learning rate", "ppo/lr", ""),
    ("Speed", "speed/steps_per_second", "steps/s"),
)


class SidePanel(QFrame):
    """Pictures where there are some, figures always."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("sidePanel")
        self.setMinimumWidth(236)
        self._live = label("", "secondary")
        self._observation = Picture("Observation")
        self._reconstruction = Picture("Reconstruction")
        self._difference = Picture("Difference")
        for picture in (self._observation, self._reconstruction, self._difference):
            picture.setMinimumSize(84, 84)
        self._pictures = QWidget()
        self._observation.setMinimumHeight(200)
        below = row(
            _captioned(self._reconstruction, "reconstruction", "vision"),
            _captioned(self._difference, "difference × 4", ""),
        )
        pictures = column(self._observation, label("observation", "secondary"), spacing=4)
        pictures.addSpacing(6)
        pictures.addLayout(below)
        self._pictures.setLayout(pictures)
        self._pictures.hide()
        self._values: dict[str, QLabel] = {}
        self._result = label("", "heading", wrap=True)
        self._result_words = label("", "secondary", wrap=True)
        self._result_box = QWidget()
        self._result_box.setLayout(
            column(hairline(), self._result, self._result_words, spacing=6, margins=(0, 8, 0, 0))
        )
        self._result_box.hide()
        inside = QWidget()
        inside.setObjectName("scrolled")
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(14, 10, 14, 14)
        layout.setSpacing(8)
        self._heading = label("This run", "heading")
        layout.addLayout(row(self._heading, self._live, None))
        layout.addWidget(self._pictures)
        layout.addLayout(self._make_figures())
        layout.addWidget(self._result_box)
        layout.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def _make_figures(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(0, 1)
        for index, (name, key, _) in enumerate(FIGURES):
            grid.addWidget(label(name, "secondary"), index, 0)
            value = label("–", "value")
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            value.setAccessibleName(name)
            grid.addWidget(value, index, 1)
            self._values[key] = value
        return grid

    def show_history(self, history: RunHistory) -> None:
        """Bring the figures up to date."""
        rewards = history[REWARD].value
        known = {
            "best": float(rewards.max()) if len(rewards) else None,
            "episodes": float(len(rewards)) if len(rewards) else None,
        }
        if len(rewards) and history.latest("reward/mean_100") is None:
            known["reward/mean_100"] = float(np.mean(rewards[-100:]))
        for _, key, unit in FIGURES:
            value = known.get(key, history.latest(key))
            text = (
                format.count(value) if key in ("episodes", LENGTH) and value is not None else format.significant(value)
            )
            self._values[key].setText(f"{text} {unit}" if unit and value is not None else text)

    def show_pictures(self, pictures: dict[str, np.ndarray], apart: np.ndarray | None) -> None:
        """Show the first picture of each kind."""
        original, made = pictures.get("original"), pictures.get("reconstruction")
        self._heading.setText("What it sees")
        self._live.setText("live")
        self._observation.show_array(original[0] if original is not None else None)
        self._reconstruction.show_array(made[0] if made is not None else None)
        self._difference.show_array(apart)
        self._pictures.setVisible(original is not None)

    def show_result(self, title: str, words: str) -> None:
        """Say what an evaluation came to."""
        self._result.setText(title)
        self._result_words.setText(words)
        self._result_box.setVisible(bool(title))

    def clear(self) -> None:
        """A new run begins."""
        self._heading.setText("This run")
        self._live.setText("")
        self._pictures.hide()
        self.show_result("", "")


def _captioned(picture: Picture, text: str, kind: str) -> QWidget:
    box = QWidget()
    caption = label(text, "secondary", kind)
    box.setLayout(column(picture, caption, spacing=4))
    return box
