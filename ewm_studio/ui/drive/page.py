"""The Drive page: the picture of what is driven, what is held and applied, and the buttons of whoever drives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.driving.snapshot import Snapshot
from ewm_studio.ui.drive.gauges import Gauges
from ewm_studio.ui.drive.view import DriveView
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.key_caps import KeyCaps
from ewm_studio.ui.kit.wheel import Notice
from ewm_studio.ui.kit.widgets import (
    Elided,
    IconButton,
    Segments,
    Select,
    button,
    column,
    keep_width,
    label,
    restyle,
    row,
    stacked,
)

if TYPE_CHECKING:
    from ewm_studio.driving.controls import Scheme

EMPTY, REFUSED, DRIVING = range(3)  # pages of the stack
SPEEDS = (("0.25", "¼"), ("0.5", "½"), ("1", "1"))
WITHOUT_MODEL = "No model"
_HELP = "Space pauses, R restarts, M hands over, Esc leaves"
_MARGIN = 16
_SIDE_WIDTH = 312  # of the column on the right
_DRIVING_WIDTH, _IDLE_WIDTH = 640, 400  # that the page needs beside the column on the right


class DrivePage(QWidget):
    """Shows and tells; `SessionController` joins it to the session."""

    drive_asked = Signal()
    environment_asked = Signal()
    record_toggled = Signal()
    pause_toggled = Signal()
    restart_asked = Signal()
    keep_asked = Signal()
    dream_asked = Signal()  # dream on from here
    discard_asked = Signal()
    keys_asked = Signal()
    speed_chosen = Signal(float)
    model_chosen = Signal(str)  # a run's name; empty for none
    model_toggled = Signal()  # hand over, or take over
    recording_named = Signal(str)
    leave_asked = Signal()
    episode_kept = Signal(str, str)  # recording, file: an episode is safe on disk
    episode_taken_back = Signal(str, str)  # recording, file: it is gone again

    def __init__(self) -> None:
        super().__init__()
        self.view, self.caps, self.gauges = DriveView(), KeyCaps(), Gauges()
        self.empty = EmptyState("drive", "Drive it yourself", "", "Drive")
        self.refused = EmptyState("warning", "This cannot be driven", "", "Choose another environment")
        self.empty.action.setAccessibleName("Drive this environment")
        self.empty.action.clicked.connect(self.drive_asked)
        self.refused.action.clicked.connect(self.environment_asked)
        self._stack = stacked(self.empty, self.refused, self._make_content())
        beside = QWidget()
        layout = QVBoxLayout(beside)
        layout.setContentsMargins(_MARGIN, 12, _MARGIN, 12)
        layout.addWidget(self._stack)
        self._outer = QHBoxLayout(self)
        self._outer.setContentsMargins(0, 0, 0, 0)
        self._outer.setSpacing(0)
        self._outer.addWidget(beside, 1)
        self._side: QWidget | None = None
        self.view.commanded.connect(self._on_command)

    def set_side(self, side: QWidget) -> None:
        """Put a widget into the column on the right, where it is shown as long as there is room."""
        self._side = side
        side.setFixedWidth(_SIDE_WIDTH)
        self._outer.addWidget(side)
        self._make_room()

    def minimumSizeHint(self) -> QSize:
        """What is shown now, without the column on the right, which folds."""
        shown = self._stack.currentWidget()
        width = shown.minimumSizeHint().width() if shown is not None else 0
        return QSize(width + 2 * _MARGIN, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show the column on the right where there is room for it."""
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        if self._side is not None:
            needed = _DRIVING_WIDTH if self.driving else _IDLE_WIDTH
            self._side.setVisible(self.width() - _SIDE_WIDTH >= needed)

    def _turn(self, page: int) -> None:
        self.view.driving = page == DRIVING
        self._stack.setCurrentIndex(page)
        self._make_room()

    # Building

    def _make_content(self) -> QWidget:
        content = QWidget()
        body = QVBoxLayout(content)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(12)
        body.addLayout(self._make_strip())
        body.addWidget(self.view, 1)
        body.addLayout(self._make_foot())
        return content

    def _make_strip(self) -> QHBoxLayout:
        self.record = button("● Record", "", "Record this episode and those after it")
        self.record.setAccessibleName("Record")
        keep_width(self.record, ("● Record", "● Recording"))
        self.pause = button("Pause", "", "Rest (Space)")
        keep_width(self.pause, ("Pause", "Next", "Go on"))
        self.restart = button("Restart", "", "Begin this episode again, on the same seed (R)")
        self.keep = button("Keep", "", "End the episode here and keep what was recorded of it")
        self.discard = button(
            "Discard", "", "Put this episode, or one that has just ended, into the bin and begin another"
        )
        self.dream = button("Dream on", "", "Keep what was recorded of this episode, and dream on from here")
        self.dream.setAccessibleName("Dream on from here")
        for made, asked in (
            (self.dream, self.dream_asked),
            (self.record, self.record_toggled),
            (self.pause, self.pause_toggled),
            (self.restart, self.restart_asked),
            (self.keep, self.keep_asked),
            (self.discard, self.discard_asked),
        ):
            made.clicked.connect(asked)
        self.speed = Segments(SPEEDS, "Pace")
        self.speed.set_value("1")
        self.speed.setToolTip("Slow motion: a quarter or half of the true pace")
        self.speed.chosen.connect(lambda key: self.speed_chosen.emit(float(key)))
        self.keys = IconButton("keyboard", "Choose the keys", size=20)
        self.keys.clicked.connect(self.keys_asked)
        self.leave = IconButton("close", "Leave (Esc)", size=20)
        self.leave.clicked.connect(self.leave_asked)
        buttons = (self.record, self.pause, self.restart, self.keep, self.discard, self.dream)
        # A click must not take the keyboard away from whoever drives.
        for clicked in (*buttons, self.keys, self.leave, *self.speed.findChildren(QPushButton)):
            clicked.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        pace = label("Pace", "secondary")
        return row(*buttons, None, pace, self.speed, self.keys, self.leave, spacing=8)

    def _make_foot(self) -> QHBoxLayout:
        self.model = Select()
        self.model.setAccessibleName("Model")
        self.model.setToolTip("A trained model that may drive; any key takes over from it")
        self.model.setMinimumWidth(120)
        self.model.addItem(WITHOUT_MODEL, "")
        self.model.activated.connect(lambda _: self._on_model())
        self.hand_over = button("Let it drive", "", "The model drives, until a key is pressed (M)")
        self.hand_over.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.hand_over.clicked.connect(self.model_toggled)
        self.hand_over.setEnabled(False)
        keep_width(self.hand_over, ("Take over", "Let it drive"))
        self.name = QLineEdit()
        self.name.setAccessibleName("Recording")
        self.name.setToolTip("The recording that episodes go to; Enter goes back to driving")
        self.name.setMaxLength(80)
        self.name.editingFinished.connect(lambda: self.recording_named.emit(self.name.text()))
        self.name.returnPressed.connect(self.view.setFocus)
        words = [label(text, "secondary") for text in ("Recording", "Model")]
        for made in words:
            made.setFixedWidth(64)
        recorded, drives = row(words[0], spacing=8), row(words[1], spacing=8)
        recorded.addWidget(self.name, 1)
        drives.addWidget(self.model, 1)
        drives.addWidget(self.hand_over)
        self._note = Elided(_HELP, "secondary")
        inside = column(spacing=8)
        inside.addLayout(recorded)
        inside.addLayout(drives)
        inside.addWidget(self._note)
        choices = QWidget()
        choices.setLayout(inside)
        choices.setMaximumWidth(520)
        foot = row(spacing=32)
        foot.addStretch(1)
        foot.addWidget(self.caps, 0, Qt.AlignmentFlag.AlignVCenter)
        foot.addWidget(self.gauges, 6)
        foot.addWidget(choices, 8)
        foot.addStretch(1)
        return foot

    # What is shown

    @property
    def driving(self) -> bool:
        """Whether the page is on a drive."""
        return self._stack.currentIndex() == DRIVING

    def show_idle(self, env: str, busy: bool) -> None:
        """Nothing is driven: say what could be."""
        words = (
            f"Drives {env}, the environment of the experiment, by the keyboard or a gamepad. What you drive can be "
            "recorded, and vision and memory pretrained on it."
        )
        if busy:
            words += " A job is running: both will be slower."
        self.empty.set_words(words)
        self._turn(EMPTY)

    def show_refused(self, reason: str) -> None:
        """Say why this environment cannot be driven."""
        self.refused.set_words(reason)
        self._turn(REFUSED)

    def show_starting(self, env: str) -> None:
        """The environment is being made."""
        self._turn(DRIVING)
        self.view.show_snapshot(Snapshot("starting"), Notice(f"Making {env}", _first_time(env)))
        self.say("")
        self.view.setFocus()

    def show_scheme(self, scheme: Scheme) -> None:
        """Show the moves and their keys."""
        self.caps.show_scheme(scheme)
        self.gauges.show_scheme(scheme)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show how things stand."""
        notice = notice_of(snapshot)
        self.view.show_snapshot(snapshot, notice)
        self.view.setAccessibleDescription(f"{notice.title}. {notice.words}" if notice else "")
        self.caps.show_held(snapshot.held)
        self.gauges.show_snapshot(snapshot)
        _name(self.pause, {"driving": "Pause", "ended": "Next"}.get(snapshot.state, "Go on"))
        recording = bool(snapshot.recording)
        if _name(self.record, "● Recording" if recording else "● Record"):
            restyle(self.record, role="recording" if recording else "")
        self.keep.setEnabled(snapshot.episode_recorded > 0)
        self.hand_over.setEnabled(bool(snapshot.copilot))
        _name(self.hand_over, "Take over" if snapshot.driver == "model" else "Let it drive")

    def show_models(self, names: Sequence[str], chosen: str) -> None:
        """Offer these runs' models."""
        with QSignalBlocker(self.model):
            self.model.clear()
            self.model.addItem(WITHOUT_MODEL, "")
            for name in names:
                self.model.addItem(name, name)
            self.model.setCurrentIndex(max(self.model.findData(chosen), 0))

    def show_recording(self, name: str) -> None:
        """Name the recording that episodes go to."""
        self.name.setText(name)

    def say(self, words: str) -> None:
        """One line in the place of the help; empty brings the help back."""
        self._note.setText(words or _HELP)

    @property
    def said(self) -> str:
        """What was said last, or the help."""
        return self._note.text()

    def showEvent(self, event: QShowEvent) -> None:
        """Keys go to the wheel."""
        super().showEvent(event)
        if self.driving:
            self.view.setFocus()

    def _on_command(self, command: str) -> None:
        {
            "pause": self.pause_toggled,
            "restart": self.restart_asked,
            "model": self.model_toggled,
            "leave": self.leave_asked,
        }[command].emit()

    def _on_model(self) -> None:
        self.model_chosen.emit(str(self.model.currentData()))
        self.view.setFocus()


def _first_time(env: str) -> str:
    """What takes long the first time that an environment is made on a computer."""
    return "The first time, its drawing is compiled: up to a minute" if "CarRacing" in env else ""


def notice_of(snapshot: Snapshot) -> Notice | None:
    """What to say over the picture while nothing moves."""
    if snapshot.state == "starting":
        return Notice("Making the environment")
    if snapshot.state == "paused" and snapshot.steps == 0:
        return Notice(f"Episode {snapshot.episode}", "A driving key, or Space, begins")
    if snapshot.state == "paused":
        return Notice("Paused", "Space goes on")
    if snapshot.state != "ended":
        return None
    kept = "It is kept; Discard takes it away. " if snapshot.recording else "It was not recorded. "
    return Notice(
        f"Reward {format.significant(snapshot.reward)} in {format.count(snapshot.steps)} steps",
        f"{kept}A driving key, or Space, begins the next",
    )


def _name(made: QPushButton, text: str) -> bool:
    """Name a button anew; whether it had another name."""
    if made.text() == text:
        return False
    made.setText(text)
    made.setAccessibleName(text.removeprefix("● "))
    return True
