"""Where a dream begins: any frame of a replay or a recording, a fresh track, or drawn latents; with previews."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import QLineEdit, QSizePolicy, QWidget

from ewm_studio import formatting as format
from ewm_studio.driving.dream_beginning import FromNowhere, FromRecording, FromReplay, FromTrack, Source
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.slider import Slider
from ewm_studio.ui.kit.widgets import Elided, Segments, Select, button, column, label, row, stacked

KINDS = (("replay", "Replay"), ("recording", "Recording"), ("track", "Track"), ("random", "Random"))
_MOST_SEED = 2**31 - 1
_ANY = "any real frame"


class EpisodeChoice(QWidget):
    """An episode of one of several groups, and a frame of it."""

    group_chosen = Signal(object)  # what the group was offered with
    changed = Signal()

    def __init__(self, group: str, nothing: str) -> None:
        super().__init__()
        self._nothing = nothing
        self.group, self.episode = Select(), Select()
        self.group.setAccessibleName(group)
        self.group.setToolTip(group)
        self.episode.setAccessibleName(f"Episode of the {group.lower()}")
        self.episode.setToolTip("Episode")
        self.frame = Slider(Qt.Orientation.Horizontal)
        self.frame.setAccessibleName(f"Frame of the {group.lower()}")
        self.frame.setToolTip("The frame that the dream begins at")
        self.frame.setPageStep(25)
        self._where = label("", "secondary")
        self._where.setMinimumWidth(88)
        self._words = label(nothing, "secondary", wrap=True)
        for made in (self.group, self.episode):
            made.setMinimumWidth(40)
        self.group.activated.connect(lambda _: self.group_chosen.emit(self.group.currentData()))
        self.episode.activated.connect(lambda _: self._on_episode())
        self.frame.valueChanged.connect(self._on_frame)
        line = row(spacing=8)
        line.addWidget(self.frame, 1)
        line.addWidget(self._where)
        body = column(self._words, self.group, self.episode, spacing=6)
        body.addLayout(line)
        self.setLayout(body)
        self.show_groups([], None)

    def show_groups(self, groups: Sequence[tuple[str, object]], chosen: object) -> None:
        """Offer groups, (words, what) each; nothing where there are none."""
        with QSignalBlocker(self.group):
            self.group.clear()
            for words, what in groups:
                self.group.addItem(words, what)
            at = next((at for at, (_, what) in enumerate(groups) if what == chosen), 0)
            self.group.setCurrentIndex(at if groups else -1)
        for made in (self.group, self.episode, self.frame, self._where):
            made.setVisible(bool(groups))
        self._words.setVisible(not groups)
        if not groups:
            self.show_episodes([])

    def show_episodes(
        self, episodes: Sequence[tuple[str, Path, int]], chosen: Path | None = None, frame: int = -1
    ) -> None:
        """Offer episodes, (words, file, frames) each; a third into the chosen one, or at a frame of it."""
        with QSignalBlocker(self.episode):
            self.episode.clear()
            for words, path, frames in episodes:
                self.episode.addItem(words, (path, frames))
            at = next((at for at, (_, path, _) in enumerate(episodes) if path == chosen), 0)
            self.episode.setCurrentIndex(at if episodes else -1)
        self._on_episode(frame)

    @property
    def chosen(self) -> tuple[Path, int] | None:
        """The file and the frame; None where there is none."""
        data = self.episode.currentData()
        return None if data is None else (data[0], self.frame.value())

    def _on_episode(self, frame: int = -1) -> None:
        data = self.episode.currentData()
        last = max(0, data[1] - 1) if data is not None else 0
        with QSignalBlocker(self.frame):
            self.frame.setRange(0, last)
            self.frame.setValue(frame if frame >= 0 else last // 3)
        self._on_frame(self.frame.value())

    def _on_frame(self, frame: int) -> None:
        self._where.setText(f"frame {format.count(frame)}")
        self.changed.emit()


class SeedChoice(QWidget):
    """A seed, and a button for another one."""

    changed = Signal()

    def __init__(self, what: str, words: str, seed: int) -> None:
        super().__init__()
        self.line = QLineEdit(str(seed))
        self.line.setAccessibleName(f"Seed of the {what}")
        self.line.setValidator(QIntValidator(0, _MOST_SEED, self.line))
        self.line.textChanged.connect(lambda _: self.changed.emit())
        self.other = button("Another", "", f"The {what} of the next seed", self._next)
        self.other.setAccessibleName(f"Another {what}")
        line = row(label("seed", "secondary"), spacing=8)
        line.addWidget(self.line, 1)
        line.addWidget(self.other)
        body = column(label(words, "secondary", wrap=True), spacing=6)
        body.addLayout(line)
        self.setLayout(body)

    @property
    def seed(self) -> int:
        """What is written, 0 where that is nothing."""
        return int(self.line.text() or 0)

    def _next(self) -> None:
        self.line.setText(str((self.seed + 1) % _MOST_SEED))


class StartPanel(QWidget):
    """Chooses a source of a dream, and shows what is really there and what vision sees of it."""

    changed = Signal()  # another source is chosen
    begin_asked = Signal()
    evaluation_chosen = Signal(object)
    recording_chosen = Signal(str)

    def __init__(self, seed: int = 100_000) -> None:
        super().__init__()
        self.previewed = False  # a start is shown
        self.kind = Segments(KINDS, "Start from", tight=True)
        self.replay = EpisodeChoice("Evaluation", "No replays yet: Evaluate plays a model and keeps its episodes.")
        self.recording = EpisodeChoice("Recording", "No recordings yet: the Drive page records what you drive.")
        self.track = SeedChoice("track", "A fresh episode, in which the controller acts for a moment.", seed)
        self.random = SeedChoice("latents", "Latents that are drawn; nothing real stands there.", 0)
        self.begin = button("Dream from here", "", "Leave this dream, and begin another here", self.begin_asked.emit)
        self._pages = stacked(self.replay, self.recording, self.track, self.random)
        self._pages.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.real, self.seen = Picture("The real frame"), Picture("The frame as vision sees it")
        self._words = Elided(_ANY, "secondary")
        self._real_words = label("the real frame", "secondary")
        for made in (self.real, self.seen):
            made.setFixedHeight(124)
        self._note = label("", "secondary", wrap=True)
        self._note.hide()
        pictures = row(spacing=8)
        seen = label("as V sees it", "secondary", "vision")
        self._sides: list[tuple[Picture, QWidget]] = []
        for picture, words in ((self.real, self._real_words), (self.seen, seen)):
            side = QWidget()
            side.setLayout(column(picture, words, spacing=4))
            pictures.addWidget(side, 1)
            self._sides.append((picture, side))
        self.kind.set_value("track")
        self.kind.chosen.connect(self._on_kind)
        self.replay.group_chosen.connect(self.evaluation_chosen)
        self.recording.group_chosen.connect(lambda name: self.recording_chosen.emit(str(name)))
        for choice in (self.replay, self.recording, self.track, self.random):
            choice.changed.connect(self.changed)
        heading = row(label("Start from", "heading"), spacing=8)
        heading.addWidget(self._words, 1)
        body = column(spacing=8)
        body.addLayout(heading)
        body.addWidget(self.kind)
        body.addWidget(self._pages)
        body.addLayout(pictures)
        body.addWidget(self._note)
        body.addWidget(self.begin)
        self.setLayout(body)
        self._turn()

    @property
    def source(self) -> Source | None:
        """Where a dream would begin; None where nothing is there to begin from."""
        kind = self.kind.value()
        if kind == "track":
            return FromTrack(self.track.seed)
        if kind == "random":
            return FromNowhere(self.random.seed)
        chosen = (self.replay if kind == "replay" else self.recording).chosen
        if chosen is None:
            return None
        path, frame = chosen
        if kind == "recording":
            return FromRecording(path, frame)
        return FromReplay(path, frame, f"replay {path.stem}")

    def choose(self, kind: str) -> None:
        """Turn to a kind of source."""
        self.kind.set_value(kind)
        self._on_kind(kind)

    def show_preview(self, real: np.ndarray | None, seen: np.ndarray | None, words: str) -> None:
        """Show what is really there and what vision sees of it."""
        self.real.show_array(real)
        self.seen.show_array(seen)
        self._real_words.setText(f"the real frame{'' if seen is not None or real is None else '; V draws no picture'}")
        self.previewed = bool(words)
        self._words.setText(words or _ANY)
        self.say("")

    def say(self, words: str) -> None:
        """One line under the pictures: why nothing can be begun from there."""
        self._note.setText(words)
        self._note.setVisible(bool(words))
        waiting = not (self.previewed or words)  # boxes are where pictures will be
        for picture, side in self._sides:
            side.setVisible(waiting or picture.array is not None)

    @property
    def said(self) -> str:
        """What was said last."""
        return self._note.text()

    def _on_kind(self, _: str) -> None:
        self._turn()
        self.changed.emit()

    def _turn(self) -> None:
        self._pages.setCurrentIndex([key for key, _ in KINDS].index(self.kind.value()))
        page = self._pages.currentWidget()
        for choice in (self.replay, self.recording, self.track, self.random):
            choice.setVisible(choice is page)
