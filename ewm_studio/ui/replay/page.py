"""The Replay page: an episode again, frame by frame, beside what the agent saw of it and what it expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QKeySequence, QResizeEvent, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QStackedWidget,
    QWidget,
)

from ewm_studio import formatting as format
from ewm_studio.analysis.replay_loader import Watched, lanes_beside, name_of
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.widgets import Elided, Segments, Select, button, column, label, restyle, row, scrolled, stacked
from ewm_studio.ui.latents.explorer import LatentExplorer
from ewm_studio.ui.plots.lanes import VALUES, Lanes
from ewm_studio.ui.replay.episode_table import LAP, EpisodeTable
from ewm_studio.ui.replay.playback_controls import PlaybackControls
from ewm_studio.workspace.replays import Evaluation, ReplayInfo

if TYPE_CHECKING:
    from ewm_studio.analysis.film import Pane

PANES = 3
SIDE = 264
EMPTY, CONTENT = range(2)
PICTURES, WORDS = range(2)
_PLATE = 48  # pixels of a plate beyond its picture
_GAP = 10
_LOW = 560  # pixels of a page in which the lanes need as much room as the pictures
_PARTS = 1000  # of the bar of progress
EXPORTS = {
    "mp4": ("Export MP4", "Save the whole replay as a film, at the speed it was played"),
    "gif": ("GIF", "Save the whole replay as a moving picture"),
    "png": ("PNG", "Save this frame as a picture"),
}


class ReplayPage(QWidget):
    """Shows one episode of one evaluation; asks for others."""

    evaluate_asked = Signal()
    evaluation_chosen = Signal(object)  # an Evaluation
    episode_picked = Signal(object)  # a ReplayInfo
    compare_wanted = Signal()  # the compare menu is about to open: fill it
    export_asked = Signal(str)  # mp4, gif or png
    dream_asked = Signal()  # dream on from the frame that is seen
    latents_wanted = Signal()  # the episode that is watched is to be seen in latent space

    def __init__(self) -> None:
        super().__init__()
        self._evaluations: list[Evaluation] = []
        self.watched: Watched | None = None
        self.rival: Watched | None = None
        self._exported = ""  # what is exported, or where it is
        self.player = PlaybackControls()
        self.lanes = Lanes()
        self.player.turned.connect(self._show_frame)
        self.lanes.jumped.connect(self.player.go)
        self.lanes.laid_out.connect(self._align)
        self.empty = EmptyState(
            "replay",
            "No replays yet",
            "Evaluate plays a trained model and keeps every episode. Here it can be watched again, frame by frame: "
            "what happened, what vision saw of it, what memory expected, and how sure the controller was.",
            "Evaluate",
        )
        self.empty.action.clicked.connect(self.evaluate_asked)
        self._stack = stacked(self.empty, self._make_content())
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)
        for keys, slot in {
            "Left": lambda: self.player.step(-1),
            "Right": lambda: self.player.step(1),
            "Home": lambda: self.player.go(0),
            "End": lambda: self.player.go(self.player.frames),
        }.items():
            shortcut = QShortcut(QKeySequence(keys), self)
            # While the page is seen, as on Runs: whoever came by the rail has the focus there.
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(slot)

    # What it is made of

    def _make_content(self) -> QWidget:
        content = QWidget()
        self.views = Segments((("player", "Player"), ("latents", "Latents")), "View")
        self.views.setToolTip("The episode frame by frame, or its path through latent space")
        self.views.chosen.connect(self._on_view)
        self.status = Elided("", "secondary")
        head = row(self.views, spacing=12)
        head.addWidget(self.status, 1)
        player = QWidget()
        watching = self._watching = column(spacing=_GAP)
        watching.addWidget(self._make_pictures(), 3)
        watching.addWidget(self._make_time(), 2)
        watching.addLayout(self._make_buttons())
        player.setLayout(watching)
        self.explorer = LatentExplorer()
        self.explorer.jumped.connect(self.player.go)
        self.explorer.evaluate_asked.connect(self.evaluate_asked)
        self._views = stacked(player, self.explorer)
        body = column(spacing=_GAP, margins=(12, 12, 12, 12))
        body.addLayout(head)
        body.addWidget(self._views, 1)
        beside = QHBoxLayout(content)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(0)
        beside.addLayout(body, 1)
        beside.addWidget(self._make_side())
        return content

    def _make_pictures(self) -> QWidget:
        self._pictures = QStackedWidget()
        line = QWidget()
        layout = row(spacing=_GAP)
        self.plates: list[tuple[QFrame, Picture, QLabel]] = []
        for _ in range(PANES):
            picture, caption = Picture(""), label("", "secondary")
            picture.setMinimumSize(72, 72)
            plate = QFrame()
            plate.setProperty("role", "plate")
            inside = column(spacing=6, margins=(10, 10, 10, 8))
            inside.addWidget(picture, 1)
            inside.addWidget(caption)
            plate.setLayout(inside)
            layout.addWidget(plate, 1)
            self.plates.append((plate, picture, caption))
        line.setLayout(layout)
        self.words = label("", "secondary", wrap=True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pictures.addWidget(line)
        self._pictures.addWidget(self.words)
        return self._pictures

    def _make_time(self) -> QFrame:
        plate = QFrame()
        plate.setProperty("role", "plate")
        self._progress = QProgressBar()
        self._progress.setRange(0, _PARTS)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("How far the replay is made")
        keeps_room = self._progress.sizePolicy()
        keeps_room.setRetainSizeWhenHidden(True)
        self._progress.setSizePolicy(keeps_room)
        self._progress.hide()
        inside = QWidget()
        inside.setObjectName("scrolled")
        inside.setLayout(column(self.lanes, spacing=0))
        self._lanes_room = scroll = scrolled(inside, focus=False)
        layout = column(self.player, self._progress, spacing=4, margins=(12, 8, 12, 8))
        layout.addWidget(scroll, 1)
        plate.setLayout(layout)
        return plate

    def _make_buttons(self) -> QHBoxLayout:
        self.compare = button("Compare…", "", "Have another run's model play the same seed beside this one")
        self.compare_menu = QMenu(self)
        self.compare_menu.aboutToShow.connect(self.compare_wanted)
        self.compare.setMenu(self.compare_menu)
        self.exports = {
            kind: button(text, "", tip, partial(self.export_asked.emit, kind)) for kind, (text, tip) in EXPORTS.items()
        }
        self.exports["gif"].setAccessibleName("Export GIF")
        self.exports["png"].setAccessibleName("Export PNG")
        self.dream = button(
            "Dream on from here", "", "Drive on from this frame in a model's dream", self.dream_asked.emit
        )
        return row(self.compare, *self.exports.values(), None, self.dream, spacing=8)

    def _make_side(self) -> QFrame:
        side = QFrame()
        side.setObjectName("sidePanel")
        side.setFixedWidth(SIDE)
        self.choice = Select()
        self.choice.setAccessibleName("Evaluation")
        self.choice.setToolTip("Which evaluation is watched")
        self.choice.activated.connect(lambda at: self.evaluation_chosen.emit(self._evaluations[at]))
        self.choice.view().setMinimumWidth(400)
        self._spread = label("", "value")
        self._facts, self._laps, self._when, self._parts, self._last_part = (Elided("", "secondary") for _ in range(5))
        self.table = EpisodeTable()
        self.table.picked.connect(self.episode_picked)
        layout = column(spacing=8, margins=(14, 12, 14, 12))
        layout.addWidget(label("Evaluation", "heading"))
        layout.addWidget(self.choice)
        layout.addLayout(
            column(self._spread, self._facts, self._laps, self._when, self._parts, self._last_part, spacing=4)
        )
        layout.addWidget(self.table, 1)
        side.setLayout(layout)
        return side

    # What is shown

    @property
    def empty_shown(self) -> bool:
        """Whether there is nothing to watch."""
        return self._stack.currentIndex() == EMPTY

    def show_evaluations(self, evaluations: Sequence[Evaluation], chosen: Evaluation | None) -> None:
        """Offer these."""
        self._evaluations = list(evaluations)
        self.choice.clear()
        for evaluation in evaluations:
            self.choice.addItem(f"{name_of(evaluation)} · {format.date(evaluation.created)}")
        if chosen is not None:
            self.choice.setCurrentIndex([e.folder for e in evaluations].index(chosen.folder))
        self._stack.setCurrentIndex(CONTENT if evaluations else EMPTY)

    def show_episodes(self, evaluation: Evaluation, episodes: list[ReplayInfo]) -> None:
        """Show what an evaluation came to, and pick its first episode."""
        rewards = np.array([episode.reward for episode in episodes])
        count = f"{len(episodes)} episodes" if len(episodes) != 1 else "1 episode"
        self._spread.setText(f"{format.significant(rewards.mean())} ± {format.significant(rewards.std())}")
        laps = [episode.lap_finished for episode in episodes]
        self._facts.setText(f"median {format.significant(float(np.median(rewards)))} · {count}, {evaluation.manner}")
        self._laps.setVisible(None not in laps)
        done = laps.count(True)
        self._laps.setText(f"{LAP}{done / len(laps):.0%} of laps finished" if done else "no lap finished")
        self._when.setText(f"{evaluation.env_id}, played {format.date(evaluation.created)}")
        self._when.shorter = f"{evaluation.env_id}, {format.date(evaluation.created)}"
        first, _, last = evaluation.model.parts.rpartition(" + ")  # three names have no room in one line
        self._parts.setText(f"{first} +" if first else "")
        self._parts.setVisible(bool(first))
        self._last_part.setText(last)
        self.explorer.overlay.setEnabled(len(episodes) > 1)
        self.explorer.show_loading()  # what it shows is of the evaluation before
        self.table.show_episodes(episodes)

    def show_watched(self, watched: Watched | None, rival: Watched | None = None) -> None:
        """Show an episode from its beginning, or from where it stood when only its rival is another; None clears."""
        same = watched is not None and watched is self.watched
        frame = self.player.frame if same else 0
        self.watched, self.rival = watched, rival
        self._fill_plates()
        for made in (self.compare, self.dream, *self.exports.values()):
            made.setEnabled(watched is not None)
        if watched is None:
            self.lanes.show_lanes([])
            self.player.load(0, 1.0)
            self.explorer.show_exploration(None)
            return
        for made in self.exports.values():
            made.setEnabled(bool(watched.panes))
        self._pictures.setCurrentIndex(PICTURES if watched.panes else WORDS)
        if not watched.panes:
            self.words.setText(f"{watched.replay.env.id} draws no pictures; its numbers are below.")
        self.lanes.show_lanes(watched.lanes if rival is None else lanes_beside(watched, rival))
        self.player.load(self.lanes.frames, watched.trace.fps)
        self.player.go(frame)
        self._make_room()
        self._want_latents()

    def _fill_plates(self) -> None:
        panes = self.panes
        for (plate, picture, caption), pane in zip(self.plates, [*panes, *[None] * PANES], strict=False):
            plate.setVisible(pane is not None)
            if pane is not None:
                picture.setAccessibleName(pane.caption)
                caption.setText(pane.caption)
                restyle(caption, kind=pane.kind)
            else:
                picture.show_array(None)

    @property
    def panes(self) -> list[Pane]:
        """The pictures side by side as they are shown."""
        if self.watched is None:
            return []
        if self.rival is None:
            return self.watched.panes
        return [replace(w.panes[0], caption=w.name) for w in (self.watched, self.rival) if w.panes]

    def show_progress(self, share: float | None, words: str = "") -> None:
        """How far something is made, and what; None when it is done."""
        self._progress.setVisible(share is not None)
        self._progress.setValue(round((share or 0.0) * _PARTS))
        self.status.setText(words or self._exported)

    def show_export(self, words: str) -> None:
        """What is exported and how far it is, or where the file is; said while nothing else is made."""
        self._exported = words
        if self._progress.isHidden():
            self.status.setText(words)

    def say(self, words: str) -> None:
        """One line on why there is nothing to watch."""
        self.show_watched(None)
        self.words.setText(words)
        self._pictures.setCurrentIndex(WORDS)

    def _show_frame(self, frame: int) -> None:
        for (_, picture, _), pane in zip(self.plates, self.panes, strict=False):
            picture.show_array(pane.at(frame))
        self.lanes.show_frame(frame)
        if self.latents_shown and self._laid_out:
            self.explorer.show_frame(frame)

    # Latents

    @property
    def latents_shown(self) -> bool:
        """Whether the explorer is in view."""
        return self._views.currentWidget() is self.explorer

    @property
    def _laid_out(self) -> bool:
        """Whether the explorer has the episode that is watched."""
        shown = self.explorer.exploration
        return shown is not None and self.watched is not None and shown.trace is self.watched.trace

    def show_view(self, view: str) -> None:
        """Turn to the player or to the latents."""
        self.views.set_value(view)
        self._on_view(view)

    def _on_view(self, view: str) -> None:
        self._views.setCurrentIndex(("player", "latents").index(view))
        self._want_latents()

    def _want_latents(self) -> None:
        if self.latents_shown and self.watched is not None:
            self.latents_wanted.emit()

    def _make_room(self) -> None:
        """Plates are no higher than their pictures need: the rest is room for the lanes."""
        panes = self.panes
        if not panes:
            self._pictures.setMaximumHeight(16777215)
            return
        width = (self._pictures.width() - _GAP * (len(panes) - 1)) / len(panes) - 22
        tall = max(pane.pictures.shape[1] / pane.pictures.shape[2] for pane in panes)
        self._pictures.setMaximumHeight(max(round(width * tall) + _PLATE, 140))

    def _align(self) -> None:
        """Slider and lanes have one time axis; a scroll bar beside the lanes takes of its room."""
        bar = self._lanes_room.width() - self.lanes.width()
        self.player.align(round(self.lanes.x_of(0)), VALUES + bar)

    # Events

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Make room anew."""
        super().resizeEvent(event)
        self._watching.setStretch(0, 2 if self.height() < _LOW else 3)  # against 2 of the lanes
        self._make_room()

    def showEvent(self, event: QShowEvent) -> None:
        """Make room for what is shown."""
        super().showEvent(event)
        self._make_room()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody watches."""
        super().hideEvent(event)
        self.player.pause()
