"""Choosing the keys of each move."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.key_names import COMMANDS, key_name, shown_key
from ewm_studio.ui.kit.widgets import button, label, row
from ewm_studio.workspace.workspace import safe_name

if TYPE_CHECKING:
    from ewm_studio.driving.controls import KeyMap

MOST_KEYS = 3  # of one move
_ERASE = ("backspace", "del")
_CLOSES = {"return", "enter"}


class KeyField(QLineEdit):
    """The keys of one move. A key pressed here is added; Backspace takes the last away."""

    offered = Signal(str)

    def __init__(self, move: str, keys: tuple[str, ...]) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setAccessibleName(f"Keys for {move}")
        self.setPlaceholderText("Press a key")
        self.setToolTip("Press a key to add it; Backspace takes the last one away")
        self.keys = keys

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys chosen."""
        return self._keys

    @keys.setter
    def keys(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self.setText("   ".join(map(shown_key, keys)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take a key; those that move the focus or close the dialog do what they always do."""
        name = key_name(event)
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.ignore()
        elif name in _ERASE:
            self.keys = self._keys[:-1]
        elif name and not event.isAutoRepeat():
            self.offered.emit(name)


class KeysDialog(QDialog):
    """A field for each move; `then` gets the keys that were chosen."""

    def __init__(
        self,
        keys: KeyMap,
        usual: KeyMap,
        parent: QWidget,
        then: Callable[[KeyMap], None],
        commands: Mapping[str, str] = COMMANDS,
    ) -> None:
        """Choose from `keys`, of which `usual` are those before any choice; those of `commands` do not drive."""
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Keys")
        self._usual, self._kept = usual, {*commands, *_CLOSES}
        self.fields = {move: KeyField(move, tuple(own)) for move, own in keys.items()}
        form = QFormLayout()
        form.setHorizontalSpacing(24)
        form.setVerticalSpacing(8)
        for move, field in self.fields.items():
            field.setMinimumWidth(220)
            field.offered.connect(lambda key, move=move: self._add(move, key))
            form.addRow(label(move.capitalize()), field)
        self._words = label(_kept_words(commands), "secondary", wrap=True)
        self.usual_button = button("Usual keys", "", "Back to the keys that are usual here", self._reset)
        done = button("Done", "primary", clicked=self.accept)
        done.setDefault(True)
        self.accepted.connect(lambda: then({move: field.keys for move, field in self.fields.items()}))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(label("Keys", "title"))
        layout.addWidget(label("Choose a move, then press its key.", "secondary"))
        layout.addLayout(form)
        layout.addWidget(self._words)
        layout.addLayout(row(self.usual_button, None, button("Cancel", clicked=self.reject), done))

    def _add(self, move: str, key: str) -> None:
        owner = next((other for other, field in self.fields.items() if key in field.keys), None)
        if key in self._kept:
            self._words.setText(f"{shown_key(key)} keeps its own meaning while driving; choose another key.")
            return
        if owner is not None and owner != move:
            taken = self.fields[owner]
            taken.keys = tuple(own for own in taken.keys if own != key)
            self._words.setText(f"{shown_key(key)} was taken from {owner}.")
        field = self.fields[move]
        field.keys = (*(own for own in field.keys if own != key), key)[-MOST_KEYS:]

    def _reset(self) -> None:
        for move, field in self.fields.items():
            field.keys = tuple(self._usual[move])
        self._words.setText("These are the usual keys.")


def _kept_words(commands: Mapping[str, str]) -> str:
    *first, last = (shown_key(key) for key, asked in commands.items() if asked)
    return f"{', '.join(first)} and {last} keep their meaning."


def chosen_keys(env: str) -> KeyMap:
    """The keys that were chosen for an environment; none where what is remembered is no key map."""
    try:
        known = json.loads(store.text(_place(env)) or "{}")
        return {str(move): tuple(map(str, keys)) for move, keys in known.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def remember_keys(env: str, keys: KeyMap) -> None:
    """Keep the keys that were chosen for an environment."""
    store.store().setValue(_place(env), json.dumps(keys))


def _place(env: str) -> str:
    return f"keys/{safe_name(env)}"
