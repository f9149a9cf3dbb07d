"""The right column of the Drive page: what is learned while driving, and the recordings with their episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QMenu, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.data.library import RecordingInfo
from ewm_studio.data.recordings import EpisodeInfo
from ewm_studio.ui.kit.widgets import Elided, IconButton, Select, button, column, hairline, label, row, stacked
from ewm_studio.ui.live.panel import LivePanel
from ewm_studio.ui.recordings.episode_list import EpisodeList

# what -> (text, tip); of the chosen episode
EPISODE = {
    "replay": ("Replay", "Play the episode (Enter)"),
    "cut": ("Cut…", "Keep a part of the episode; the whole goes to the bin"),
    "delete": ("Delete", "Move the episode to the bin (Del)"),
    "trim": ("Trim idle ends", "Cut the steps before anything is done and after; the whole goes to the bin"),
}
BUTTONS = ("replay", "cut", "delete")
# Of the chosen recording, and of all.
RECORDING = {
    "rename": ("Rename…", "Give the recording another name"),
    "trim_all": ("Trim idle ends", "Cut what is idle at the ends of its episodes; what is cut goes to the bin"),
    "merge": ("Merge…", "Copy the episodes of several recordings into a new one"),
    "export": ("Export to Minari…", "Write the recording as a Minari dataset, without loss"),
    "import": ("Import from Minari…", "Read a Minari dataset of this machine into a new recording"),
    "delete_recording": ("Delete recording", "Move the recording to the bin"),
}
ALWAYS = ("import",)
EMPTY = (
    "Record while you drive: every episode is kept here as soon as it ends, to replay, to cut, and to pretrain vision "
    "and memory on."
)


class RecordingsPanel(QFrame):
    """Shows recordings and emits what is asked of them."""

    recording_chosen = Signal(str)
    episode_asked = Signal(str, object)  # what of `EPISODE`, the episode's `EpisodeInfo`
    asked = Signal(str)  # what of `RECORDING`; it is about the chosen one
    pretrain_asked = Signal()
    undo_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("recordingsPanel")
        self.setMinimumWidth(268)
        self.live = LivePanel()
        self.choice = Select()
        self.choice.setProperty("role", "picker")
        self.choice.elide = Qt.TextElideMode.ElideMiddle  # names differ at their ends
        self.choice.setAccessibleName("Recording")
        self.choice.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.choice.activated.connect(lambda _: self.recording_chosen.emit(self.chosen))
        self._about = Elided("", "secondary")
        self.list = EpisodeList()
        self.list.replay_asked.connect(partial(self._ask, "replay"))
        self.list.delete_asked.connect(partial(self._ask, "delete"))
        self.list.selectionModel().selectionChanged.connect(self._on_selected)
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.menu = self._make_menu(EPISODE, self._ask)
        self.more = IconButton("menu", "Recording menu")
        self.recording_menu = self._make_menu(RECORDING, self.asked.emit)
        self.more.setMenu(self.recording_menu)
        self.more.setPopupMode(IconButton.ToolButtonPopupMode.InstantPopup)
        self.buttons: dict[str, QPushButton] = {
            what: button(EPISODE[what][0], "", EPISODE[what][1], partial(self._ask, what)) for what in BUTTONS
        }
        self.pretrain = button("Pretrain on recordings…", "", "Train vision and memory on what was driven")
        self.pretrain.clicked.connect(self.pretrain_asked)
        self._note = Elided("", "secondary")
        self.undo = button("Undo", "link", "Take it out of the bin again", self.undo_asked.emit)
        self._note_line = QWidget()
        note = row(spacing=8)
        note.addWidget(self._note, 1)
        note.addWidget(self.undo)
        self._note_line.setLayout(note)
        self._note_line.hide()
        self._recordings: list[RecordingInfo] = []
        self._lay_out()
        self.show_recordings([])

    def _lay_out(self) -> None:
        self.bring = button("Import from Minari…", "", RECORDING["import"][1], partial(self.asked.emit, "import"))
        empty = QWidget()
        empty.setLayout(column(label(EMPTY, "secondary", wrap=True), self.bring, None, spacing=12))
        full = QWidget()
        tools = row(spacing=8)
        for made in self.buttons.values():
            tools.addWidget(made, 1)
        inside = column(spacing=8)
        inside.addWidget(self._about)
        inside.addWidget(self.list, 1)
        inside.addLayout(tools)
        inside.addWidget(self.pretrain)
        full.setLayout(inside)
        self._stack = stacked(empty, full)
        head = row(label("Episodes", "heading"), spacing=4)
        head.addWidget(self.choice, 1)
        head.addWidget(self.more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 14)
        layout.setSpacing(12)
        layout.addWidget(self.live)
        layout.addWidget(hairline())
        layout.addLayout(head)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self._note_line)

    @property
    def chosen(self) -> str:
        """The name of the recording that is shown; empty where there is none."""
        return str(self.choice.currentData() or "")

    @property
    def recordings(self) -> Sequence[RecordingInfo]:
        """Those that can be chosen."""
        return self._recordings

    def show_recordings(self, recordings: list[RecordingInfo], chosen: str = "") -> None:
        """Offer these recordings; `chosen`, or else the present one, or else the first is shown."""
        wanted = chosen or self.chosen
        self._recordings = recordings
        self.choice.clear()
        for info in recordings:
            self.choice.addItem(info.name, info.name)
        self.choice.setCurrentIndex(max(0, self.choice.findData(wanted)) if recordings else -1)
        self.choice.setVisible(bool(recordings))
        self._stack.setCurrentIndex(1 if recordings else 0)
        if not recordings:
            self.show_episodes([])
        self._say_what_it_is()
        for what, action in zip(RECORDING, self.recording_menu.actions(), strict=True):
            action.setEnabled(bool(recordings) or what in ALWAYS)

    def show_episodes(self, episodes: list[EpisodeInfo], choose: EpisodeInfo | None = None) -> None:
        """Show the chosen recording's episodes."""
        before = choose or self.list.chosen
        self.list.episodes.show_episodes(episodes)
        self.list.choose(before.path if before is not None else None)
        self._on_selected()

    def show_note(self, text: str, undo: bool = False) -> None:
        """Say what was done, below all; nothing where the text is empty."""
        self._note.setText(text)
        self.undo.setVisible(undo)
        self._note_line.setVisible(bool(text))

    def _say_what_it_is(self) -> None:
        info = next((r for r in self._recordings if r.name == self.chosen), None)
        if info is None:
            self._about.setText("")
            return
        words = [f"{format.count(info.episodes)} {'episode' if info.episodes == 1 else 'episodes'}"]
        words += [f"{format.count(info.frames)} frames", format.size(info.bytes), info.env]
        if info.damaged:
            words.append(f"{info.damaged} damaged")
        self._about.setText(" · ".join(words))

    def _make_menu(self, offers: dict[str, tuple[str, str]], ask: Callable[[str], object]) -> QMenu:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for what, (text, tip) in offers.items():
            action = QAction(text, menu)
            action.setToolTip(tip)
            action.triggered.connect(lambda _=False, what=what: ask(what))
            menu.addAction(action)
        return menu

    def _open_menu(self, at: QPoint) -> None:
        if self.list.indexAt(at).isValid():
            self.menu.popup(self.list.viewport().mapToGlobal(at))

    def _ask(self, what: str) -> None:
        info = self.list.chosen
        if info is not None:
            self.episode_asked.emit(what, info)

    def _on_selected(self, *_: object) -> None:
        for made in self.buttons.values():
            made.setEnabled(self.list.chosen is not None)
