"""The Dream page: the dream that is driven, reality beside it, its branches, and where it begins."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.driving.dream_snapshot import DreamSnapshot
from ewm_studio.ui.dream.branch_tree import signed
from ewm_studio.ui.dream.branches_card import BranchesCard
from ewm_studio.ui.dream.edit_panel import EditPanel
from ewm_studio.ui.dream.futures import FuturesCard, NextFrames
from ewm_studio.ui.dream.start_panel import StartPanel
from ewm_studio.ui.dream.strip import DreamStrip
from ewm_studio.ui.dream.timeline import Timeline
from ewm_studio.ui.dream.trust_panel import TrustPanel
from ewm_studio.ui.dream.view import DreamView, RealView, chips_of
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.widgets import IconButton, Segments, button, column, hairline, row, scrolled, stacked

EMPTY, CONTENT = range(2)
SPEEDS = (("0.25", "¼×"), ("0.5", "½×"), ("1", "1×"))
REWOUND = 10  # steps that Rewind goes back
NO_MODEL = (
    "A memory that predicts, such as MDNRNN or RSSM, can be driven in: it draws what comes after every key. No model "
    "of this workspace has one yet. Choose such a memory in the experiment, and pretrain it on the Vision page."
)
_SIDE = 320
_ROOM = 660  # that the dream needs beside the column on the right
_LOW = 620  # of the page, up to which pictures get all the room there is
_LEAST = 120  # height of the cards below them then
_TALL = 760  # of the page, from which on branches and lanes stand below each other


class DreamPage(QWidget):
    """Shows and tells; controllers join it to a session and to what dreams can begin with."""

    dream_asked = Signal()  # begin, or drive on
    pause_asked = Signal()
    pause_toggled = Signal()
    step_asked = Signal()
    rewind_asked = Signal()
    back_asked = Signal()  # to the start
    leave_asked = Signal()
    keys_asked = Signal()
    hand_over_asked = Signal()
    speed_chosen = Signal(float)
    memory_asked = Signal()  # from the empty page: where a memory is made
    dream_kept = Signal(str, str)  # recording, file

    def __init__(self) -> None:
        super().__init__()
        self.view, self.real, self.strip = DreamView(), RealView(), DreamStrip()
        self.branches, self.timeline, self.futures = BranchesCard(), Timeline(), FuturesCard()
        self._futures_shown = False
        self.start, self.next, self.trust, self.edit = StartPanel(), NextFrames(), TrustPanel(), EditPanel()
        self.empty = EmptyState("dream", "Drive inside what a model believes", NO_MODEL, "Pretrain a memory")
        self.empty.action.clicked.connect(self.memory_asked)
        self._stack = stacked(self.empty, self._make_content())
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)
        self.view.commanded.connect(self._on_command)
        self.edit.done.clicked.connect(lambda: self.strip.edit.setChecked(False))
        self.futures.closed.connect(lambda: self._show_futures(False))
        self.show_idle()

    # Building

    def _make_content(self) -> QWidget:
        content = QWidget()
        body = QVBoxLayout()
        body.setContentsMargins(14, 12, 14, 12)
        body.setSpacing(10)
        body.addLayout(self._make_head())
        pictures = row(spacing=10)
        pictures.addWidget(self.view, 1)
        pictures.addWidget(self.real, 1)
        body.addLayout(pictures, 3)
        self._body, self._pictures = body, pictures
        body.addWidget(self.strip)
        self._below = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._below.setSpacing(10)
        self._below.addWidget(self.branches, 1)
        self._below.addWidget(self.timeline, 1)
        self._below.addWidget(self.futures, 1)
        body.addLayout(self._below, 2)
        beside = QHBoxLayout(content)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(0)
        beside.addLayout(body, 1)
        beside.addWidget(self._make_side())
        return content

    def _make_head(self) -> QHBoxLayout:
        self.dream = button("Dream", "primary", "Begin here; the first driving key sets off")
        self.pause = button("Pause", "", "Rest (Space)")
        self.step = button("Step", "", "One decision, then rest (.)")
        self.rewind = button("Rewind", "", f"{REWOUND} decisions back (Backspace)")
        self.back = button("Back to start", "", "To where the dream began (R)")
        for made, asked in (
            (self.dream, self.dream_asked),
            (self.pause, self.pause_asked),
            (self.step, self.step_asked),
            (self.rewind, self.rewind_asked),
            (self.back, self.back_asked),
        ):
            made.clicked.connect(asked)
        self.speed = Segments(SPEEDS, "Pace of the dream", tight=True)
        self.speed.set_value("1")
        self.speed.setToolTip("Slow motion: a quarter or half of the true pace")
        self.speed.chosen.connect(lambda key: self.speed_chosen.emit(float(key)))
        self.keys = IconButton("keyboard", "Choose the keys of the dream", size=20)
        self.keys.clicked.connect(self.keys_asked)
        self.leave = IconButton("close", "Leave the dream (Esc)", size=20)
        self.leave.clicked.connect(self.leave_asked)
        self._while_on = (self.pause, self.step, self.rewind, self.back, self.keys, self.leave)
        for clicked in (self.dream, *self._while_on, *self.speed.findChildren(QPushButton)):
            clicked.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click takes no key away from whoever drives
        head = row(self.dream, self.pause, self.step, self.rewind, self.back, spacing=8)
        head.addSpacing(8)
        head.addWidget(self.strip.model, 1)
        head.addSpacing(8)
        for last in (self.speed, self.keys, self.leave):
            head.addWidget(last)
        return head

    def _make_side(self) -> QWidget:
        inside = QWidget()
        inside.setObjectName("scrolled")
        body = column(spacing=14, margins=(14, 12, 14, 12))
        for part in (self.start, hairline(), self.next, hairline(), self.trust):
            body.addWidget(part)
        body.addStretch(1)
        inside.setLayout(body)
        scroll = scrolled(inside, focus=False)
        side = QFrame()
        side.setObjectName("sidePanel")
        side.setFixedWidth(_SIDE)
        self._sides = stacked(scroll, self.edit)
        side.setLayout(column(self._sides, spacing=0))
        self._side = side
        return side

    # What is shown

    @property
    def dreaming(self) -> bool:
        """Whether there is a dream."""
        return self.view.driving

    @property
    def empty_shown(self) -> bool:
        """Whether there is no model to dream in."""
        return self._stack.currentIndex() == EMPTY

    def show_models_there(self, there: bool) -> None:
        """Say what to do where no model can dream."""
        self._stack.setCurrentIndex(CONTENT if there or self.dreaming else EMPTY)

    def show_idle(self, words: str = "") -> None:
        """Nothing is dreamt: the pictures show where a dream would begin."""
        self.view.driving, self.view.trust, self.view.chips, self.real.chips = False, math.nan, (), ()
        self.view.parted = False
        self.view.show_plan(None)
        self.real.caption = "the real frame"
        self.show_preview(words)
        self.strip.show_snapshot(None)
        self.branches.show_snapshot(None)
        self.timeline.show_snapshot(None)
        self.trust.show_snapshot(None)
        self.next.show_fan(None)
        self._show_futures(False)
        self.strip.edit.setChecked(False)
        self.strip.rival.setChecked(False)
        self._enable(None)
        self._make_room()

    def show_preview(self, words: str = "") -> None:
        """While nothing is dreamt, show large where a dream would begin."""
        if self.dreaming:
            return
        seen, real = self.start.seen.array, self.start.real.array
        shown = seen if seen is not None else real  # the numbers that vision hands on are those of the real frame
        if shown is None:
            self.view.clear()
        self.view.show_picture(shown)
        drawn = seen is not None or real is None
        self.view.caption = "the start, as the model sees it" if drawn else "the start; V draws no picture"
        self.view.banner = words or ("Press Dream, then drive" if self.start.previewed else "")
        self.view.setAccessibleDescription(self.view.banner)
        nothing = "Nothing real is to be seen there." if self.start.previewed else "What is really there."
        self.real.show_array(real, "" if real is not None else nothing)
        self.view.update()

    def show_starting(self, model: str) -> None:
        """A dream is being made."""
        self.view.driving = True
        self.view.banner = f"Waking {model} at this frame"
        self.view.caption, self.real.caption = "the dream: what you drive", "reality under the same keys"
        self._enable(None)
        self.dream.setEnabled(False)
        self.leave.setEnabled(True)
        self._make_room()
        self.view.update()
        self.view.setFocus()

    def show_frame(self, snapshot: DreamSnapshot) -> None:
        """Show the pictures, and what changes with each of them."""
        view, real = self.view, self.real
        view.show_picture(snapshot.dream)
        view.show_plan(snapshot.plan)
        view.trust, view.banner = snapshot.trust, banner_of(snapshot)
        view.parted = snapshot.parted is not None and snapshot.steps >= snapshot.parted
        who = {"person": "you drive", "controller": "controller drives", "planner": "planner drives"}
        driver = who.get(snapshot.driver, "recorded keys")
        view.chips = chips_of(f"dreamt {signed(snapshot.dreamt_return)}", f"{snapshot.seconds:.1f} s", driver)
        self.strip.caps.show_held(snapshot.held)
        view.update()
        if snapshot.rival is not None:
            real.chips = chips_of(f"dreamt {signed(snapshot.rival_return)}", "controller")
            real.show_array(snapshot.rival)
            return
        there = snapshot.real is not None
        real.chips = chips_of(f"real {signed(snapshot.real_return)}") if there and snapshot.steps else ()
        over = "It is over here" if snapshot.real_over else ""
        real.show_array(snapshot.real, over if there else f"No reality beside it: {snapshot.no_reality}.")

    def show_snapshot(self, snapshot: DreamSnapshot) -> None:
        """Show how a dream stands."""
        self.show_frame(snapshot)
        self.view.setAccessibleDescription(self.view.banner)
        since = f", {snapshot.seconds:.1f} s after the start"
        self.real.caption = "reality under the same keys" + (since if snapshot.steps else "")
        if snapshot.rival is not None:
            self.real.caption = "the same start, driven by the controller"
        self.strip.show_snapshot(snapshot)
        self.branches.show_snapshot(snapshot)
        self.timeline.show_snapshot(snapshot)
        self.trust.show_snapshot(snapshot)
        self._enable(snapshot)

    def show_futures(self) -> None:
        """Show the fans in the place of the lanes."""
        self._show_futures(True)

    def show_edit(self, shown: bool) -> None:
        """Show the latents in the column on the right, or what is there else."""
        self._sides.setCurrentIndex(int(shown))
        self._make_room()

    def say(self, words: str) -> None:
        """One line in the place of the help; empty brings the help back."""
        self.strip.say(words)

    def _show_futures(self, shown: bool) -> None:
        self._futures_shown = shown
        self._make_room()

    def _enable(self, snapshot: DreamSnapshot | None) -> None:
        state = snapshot.state if snapshot is not None else ""
        on = state in ("driving", "paused", "ended")
        for made in self._while_on:
            made.setEnabled(on)
        self.pause.setEnabled(state == "driving")
        self.dream.setEnabled(state != "driving")
        text = "Dream on" if on else "Dream"
        if self.dream.text() != text:
            self.dream.setText(text)
            self.dream.setAccessibleName(text)
        moved = snapshot is not None and snapshot.steps > 0
        self.rewind.setEnabled(moved)
        self.back.setEnabled(moved)
        self.start.begin.setVisible(self.dreaming)

    # Room

    def _make_room(self) -> None:
        wide = self.width() - _SIDE >= _ROOM
        self._side.setVisible(wide or not self.dreaming or self._sides.currentIndex() == 1)
        tall = self.height() >= _TALL
        direction = QBoxLayout.Direction.TopToBottom if tall else QBoxLayout.Direction.LeftToRight
        if self._below.direction() != direction:
            self._below.setDirection(direction)
        for place, share in enumerate((2, 3, 3) if tall else (1, 1, 1)):  # five lanes need more height than branches
            self._below.setStretch(place, share)
        low = self.height() < _LOW  # then pictures get all that is left
        self._body.setStretchFactor(self._below, 0 if low else 2)
        for card in (self.branches, self.timeline, self.futures):
            card.setMaximumHeight(_LEAST if low else 16777215)
        choosing = not wide and not self._side.isHidden()  # there is room for the pictures beside it, and no more
        for made in (self.strip, self.branches, self.step, self.rewind, self.back, self.keys):
            made.setVisible(not choosing)
        for made in (self.pause, self.leave):
            made.setVisible(not choosing or self.dreaming)
        self.timeline.setVisible(not choosing and not self._futures_shown)
        self.futures.setVisible(not choosing and self._futures_shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Make room anew."""
        super().resizeEvent(event)
        self._make_room()

    def showEvent(self, event: QShowEvent) -> None:
        """Keys go to the wheel."""
        super().showEvent(event)
        if self.dreaming:
            self.view.setFocus()

    def _on_command(self, command: str) -> None:
        {
            "pause": self.pause_toggled,
            "restart": self.back_asked,
            "model": self.hand_over_asked,
            "leave": self.leave_asked,
            "rewind": self.rewind_asked,
            "step": self.step_asked,
        }[command].emit()


def banner_of(snapshot: DreamSnapshot) -> str:
    """What is said over the dream while nothing moves."""
    if snapshot.state == "paused" and not snapshot.steps and len(snapshot.branches) < 2:
        return "A driving key begins"
    if snapshot.state == "paused":
        return f"Resting at step {format.count(snapshot.steps)}"
    if snapshot.state == "ended":
        return "Memory drew the end"
    if snapshot.looking_ahead:
        return "The planner is looking ahead"
    return ""
