"""Several parts of one kind to tick, beside controls that reviewers ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPalette
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ewm_studio.settings.layers import Values
from ewm_studio.settings.study_draft import Options
from ewm_studio.ui.kit.texts import plain_tip
from ewm_studio.ui.kit.theme import color
from ewm_studio.ui.kit.widgets import Elided, column, label, row

TITLES = {"vision": "Vision", "memory": "Memory", "controller": "Controller"}
LOADING = "Loading components…"
LEAST_HEIGHT = 176
_LEAST_WIDTH = 190
_OPTION = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Choice:
    """Something that can be ticked.

    Attributes:
        name: of the option.
        values: the settings that make it so.
        tip: what it is, or why it does not fit.
        fits: whether it can be chosen.
        control: whether it is there to be compared with, and no part of its own.
    """

    name: str
    values: Values
    tip: str = ""
    fits: bool = True
    control: bool = False


class _Toggling(QStyledItemDelegate):
    """A click anywhere on a row ticks it, and so does Space. What only says something is readable all the same."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        if index.data(_OPTION) is None:
            option.state |= QStyle.StateFlag.State_Enabled
            option.palette.setColor(QPalette.ColorRole.Text, color("secondary"))

    def editorEvent(
        self,
        event: QEvent,
        model: QAbstractItemModel,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> bool:
        wanted = (Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled).value
        if model.flags(index).value & wanted != wanted:
            return False
        clicked = (
            isinstance(event, QMouseEvent)
            and event.type() == QEvent.Type.MouseButtonRelease
            and event.button() == Qt.MouseButton.LeftButton
        )
        pressed = isinstance(event, QKeyEvent) and event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Select)
        if not (clicked or pressed):
            return False
        on = Qt.CheckState(index.data(Qt.ItemDataRole.CheckStateRole)) == Qt.CheckState.Checked
        state = Qt.CheckState.Unchecked if on else Qt.CheckState.Checked
        return model.setData(index, state.value, Qt.ItemDataRole.CheckStateRole)


class PartPicker(QFrame):
    """A card of one kind of part."""

    changed = Signal()

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.setProperty("role", "card")
        self.setProperty("kind", kind)
        self.setMinimumSize(_LEAST_WIDTH, LEAST_HEIGHT)
        self._base = ""
        self._words = Elided("", "secondary")
        self._words.shorter = "as base"
        self._words.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.list = QListWidget()
        self.list.setProperty("role", "ticks")
        self.list.setAccessibleName(f"{TITLES[kind]} parts to compare")
        self.list.setItemDelegate(_Toggling(self.list))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTabKeyNavigation(False)
        self.list.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.list.itemChanged.connect(lambda _: self._on_changed())
        head = row(label(TITLES[kind], kind=kind), spacing=8)
        head.addWidget(self._words, 1)
        body = column(spacing=4, margins=(10, 8, 6, 6))
        body.addLayout(head)
        body.addWidget(self.list, 1)
        self.setLayout(body)
        self._say()

    @property
    def picked(self) -> Options:
        """What is ticked, in the order of the list."""
        return {choice.name: choice.values for choice, item in self._entries() if _is_on(item) and choice.fits}

    def show_choices(self, choices: Sequence[Choice], base: str) -> None:
        """Offer these; what was ticked stays so.

        Args:
            choices: the parts, then the controls.
            base: the part that holds where nothing is ticked.
        """
        ticked = self.picked
        self._base = base
        known = {choice.name for choice in choices}
        kept = [Choice(name, values) for name, values in ticked.items() if name not in known]
        self._fill([*choices, *kept], ticked)

    def tick(self, options: Mapping[str, Any]) -> None:
        """Tick these and nothing else; one that is not in the list comes into it."""
        there = [choice for choice, _ in self._entries()]
        known = {choice.name: choice for choice in there}
        others = [Choice(name, values) for name, values in options.items() if name not in known]
        renewed = [Choice(c.name, options.get(c.name, c.values), c.tip, c.fits, c.control) for c in there]
        self._fill([*renewed, *others], options)

    def _entries(self) -> list[tuple[Choice, QListWidgetItem]]:
        items = [self.list.item(line) for line in range(self.list.count())]
        return [(item.data(_OPTION), item) for item in items if item.data(_OPTION) is not None]

    def _fill(self, choices: Sequence[Choice], ticked: Mapping[str, Any]) -> None:
        self.list.blockSignals(True)
        line = self.list.currentRow()
        self.list.clear()
        for control in (False, True):
            group = [choice for choice in choices if choice.control == control]
            if control and group:
                self.list.addItem(_words("To compare with"))
            for choice in sorted(group, key=lambda choice: not choice.fits):
                self.list.addItem(_item(choice, choice.name in ticked))
        if not choices:  # there always are some, once they are known
            self.list.addItem(_words(LOADING))
        self.list.setCurrentRow(min(max(line, 0), self.list.count() - 1))
        self.list.blockSignals(False)
        self._say()

    def _on_changed(self) -> None:
        self._say()
        self.changed.emit()

    def _say(self) -> None:
        count = len(self.picked)
        base = f"{self._base}, as base" if self._base else "as base"
        self._words.setText(f"{count} compared" if count > 1 else f"{next(iter(self.picked))}" if count else base)


def _item(choice: Choice, on: bool) -> QListWidgetItem:
    item = QListWidgetItem(choice.name)
    item.setData(_OPTION, choice)
    item.setToolTip(plain_tip(choice.tip))
    item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
    if not choice.fits:
        item.setFlags(Qt.ItemFlag.NoItemFlags)
    item.setCheckState(Qt.CheckState.Checked if on and choice.fits else Qt.CheckState.Unchecked)
    return item


def _words(text: str) -> QListWidgetItem:
    """A line that is no choice."""
    item = QListWidgetItem(text)
    item.setFlags(Qt.ItemFlag.NoItemFlags)
    return item


def _is_on(item: QListWidgetItem) -> bool:
    return item.checkState() == Qt.CheckState.Checked
