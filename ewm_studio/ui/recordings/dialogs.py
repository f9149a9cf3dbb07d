"""Dialogs that choose among recordings: to pretrain on some, to merge some."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QSlider, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.data.library import RecordingInfo
from ewm_studio.ui.kit.widgets import button, label, row

MOST_SHARE = 90  # percent of random frames that can be set here


class Ticks(QListWidget):
    """Recordings to tick."""

    changed = Signal()

    def __init__(self, recordings: Sequence[RecordingInfo], ticked: str) -> None:
        super().__init__()
        self.setAccessibleName("Recordings")
        for info in recordings:
            item = QListWidgetItem(f"{info.name}    {format.count(info.frames)} frames, {info.env}")
            item.setData(Qt.ItemDataRole.UserRole, info)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if info.name == ticked else Qt.CheckState.Unchecked)
            self.addItem(item)
        self.setCurrentRow(0)
        self.itemChanged.connect(lambda _: self.changed.emit())
        self.setMinimumSize(420, min(280, 48 + 32 * len(recordings)))

    @property
    def ticked(self) -> list[RecordingInfo]:
        """Those that are ticked, in order."""
        items = [self.item(number) for number in range(self.count())]
        role = Qt.ItemDataRole.UserRole
        return [item.data(role) for item in items if item.checkState() == Qt.CheckState.Checked]


class Choice(QDialog):
    """A title, something to choose, and two buttons."""

    def __init__(self, title: str, text: str, yes: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(20, 18, 20, 16)
        self.body.setSpacing(12)
        self.body.addWidget(label(title, "title"))
        self.body.addWidget(label(text, "secondary", wrap=True))
        self.yes = button(yes, "primary", clicked=self.accept)
        self.yes.setDefault(True)
        self.problem = label("", "secondary", wrap=True)

    def end_with_buttons(self) -> None:
        """The last line of the dialog."""
        self.body.addWidget(self.problem)
        self.body.addLayout(row(None, button("Cancel", clicked=self.reject), self.yes))


class PretrainDialog(Choice):
    """Which recordings to pretrain on, and how many random frames among theirs."""

    chosen = Signal(list, float)  # names, share of random frames

    def __init__(self, recordings: Sequence[RecordingInfo], ticked: str, parent: QWidget) -> None:
        words = "Vision and memory of the experiment are trained on the episodes of these recordings."
        super().__init__("Pretrain on recordings", words, "Pretrain", parent)
        self.ticks = Ticks(recordings, ticked)
        self.ticks.changed.connect(self._on_changed)
        self.share = QSlider(Qt.Orientation.Horizontal)
        self.share.setRange(0, MOST_SHARE)
        self.share.setPageStep(10)
        self.share.setAccessibleName("Share of random frames, in percent")
        self.share.setToolTip("Random driving shows what skilled driving never does: the grass, a spin, a dead end")
        self.share.valueChanged.connect(self._on_changed)
        self._share_words = label("", "value")
        self._share_words.setMinimumWidth(44)
        self.body.addWidget(self.ticks, 1)
        share = row(label("Random frames"), spacing=12)
        share.addWidget(self.share, 1)
        share.addWidget(self._share_words)
        self.body.addLayout(share)
        self.end_with_buttons()
        self.accepted.connect(lambda: self.chosen.emit([r.name for r in self.ticks.ticked], self.share.value() / 100))
        self._on_changed()

    def _on_changed(self, *_: object) -> None:
        ticked, share = self.ticks.ticked, self.share.value() / 100
        self._share_words.setText(f"{self.share.value()} %")
        driven = sum(info.frames for info in ticked)
        same = len({info.env for info in ticked}) == 1
        self.yes.setEnabled(same)
        if not ticked:
            self.problem.setText("Tick at least one recording.")
        elif not same:
            self.problem.setText("These are of different environments.")
        else:
            made = round(driven * share / (1 - share))
            beside = f" and {format.count(made)} at random" if made else ""
            self.problem.setText(f"{format.count(driven)} frames of {ticked[0].env}{beside}")


class MergeDialog(Choice):
    """Which recordings to merge, and into what."""

    chosen = Signal(list, str)  # names, the new one

    def __init__(
        self,
        recordings: Sequence[RecordingInfo],
        ticked: str,
        parent: QWidget,
        name_problem: Callable[[str], str] = lambda _: "",
    ) -> None:
        words = "The episodes are copied into a new recording; the old ones stay."
        super().__init__("Merge recordings", words, "Merge", parent)
        self.ticks = Ticks(recordings, ticked)
        self.ticks.changed.connect(self._on_changed)
        self._name_problem = name_problem
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the new recording")
        self.name.setPlaceholderText("name of the new recording")
        self.name.textChanged.connect(self._on_changed)
        self.body.addWidget(self.ticks, 1)
        self.body.addWidget(self.name)
        self.end_with_buttons()
        self.accepted.connect(lambda: self.chosen.emit([r.name for r in self.ticks.ticked], self.name.text().strip()))
        self._on_changed()

    def _on_changed(self, *_: object) -> None:
        ticked, name = self.ticks.ticked, self.name.text().strip()
        same = len({info.env for info in ticked}) == 1
        wrong = self._name_problem(name) if name else ""
        self.yes.setEnabled(len(ticked) > 1 and same and bool(name) and not wrong)
        if len(ticked) < 2:
            self.problem.setText("Tick at least two recordings.")
        elif wrong:
            self.problem.setText(wrong)
        else:
            count = sum(info.episodes for info in ticked)
            self.problem.setText(f"{format.count(count)} episodes" if same else "These are of different environments.")
