"""Further settings that a study varies: a row each, with its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCompleter, QFrame, QLineEdit, QWidget

from ewm_studio.errors import UserError
from ewm_studio.formatting import setting_float
from ewm_studio.settings.fields import Field
from ewm_studio.settings.paths import all_fields
from ewm_studio.settings.study_draft import values_typed
from ewm_studio.ui.kit.focus import tab_on
from ewm_studio.ui.kit.widgets import Elided, IconButton, button, column, label, restyle, row


class VariedRow(QWidget):
    """One setting and its values."""

    changed = Signal()
    removed = Signal(object)

    def __init__(self, path: str = "", values: str = "") -> None:
        super().__init__()
        self.path, self.values = QLineEdit(path), QLineEdit(values)
        self.path.setPlaceholderText("setting, such as ppo.lr")
        self.path.setAccessibleName("Setting that varies")
        completer = QCompleter(sorted(all_fields()), self.path)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.path.setCompleter(completer)
        self.values.setPlaceholderText("values, such as 0.001, 0.0003")
        self.values.setAccessibleName("Values of the setting")
        self.remove = IconButton("close", "Do not vary this setting")
        self.remove.clicked.connect(lambda: self.removed.emit(self))
        self._help = Elided("", "secondary")
        for edit in (self.path, self.values):
            edit.textChanged.connect(lambda _: self._on_typed())
        line = row(spacing=8)
        line.addWidget(self.path, 2)
        line.addWidget(self.values, 3)
        line.addWidget(self.remove)
        body = column(spacing=2)
        body.addLayout(line)
        body.addWidget(self._help)
        self.setLayout(body)
        self._on_typed()

    def read(self) -> tuple[str, list[Any]] | None:
        """The setting and its values; None while nothing is written.

        Raises:
            UserError: it is no setting, or these are none of its values.
        """
        path = self.path.text().strip()
        if not path and not self.values.text().strip():
            return None
        return path, values_typed(path, self.values.text())

    def _on_typed(self) -> None:
        field, problem = all_fields().get(self.path.text().strip()), ""
        try:
            self.read()
        except UserError as error:
            problem = str(error)
        wrong = bool(problem and self.values.text().strip())
        self._help.setText(problem if wrong else _help(field) if field is not None else "")
        for edit in (self.path, self.values):
            if (edit.property("invalid") == "true") != wrong:
                restyle(edit, invalid="true" if wrong else "false")
        self.changed.emit()


class VariedSettings(QFrame):
    """A card with a row for each."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.rows: list[VariedRow] = []
        self.add = button("Add a setting", "link", "Another setting whose values are tried in every combination")
        self.add.clicked.connect(lambda: self._append().path.setFocus())
        self._kept = label("", "secondary", wrap=True)
        self._kept.hide()
        self._body = column(spacing=6)
        body = column(spacing=6, margins=(10, 8, 10, 8))
        body.addLayout(row(label("Settings that vary", "heading"), None, self.add))
        body.addLayout(self._body)
        body.addWidget(self._kept)
        self.setLayout(body)

    @property
    def found(self) -> dict[str, list[Any]]:
        """The values of each, by its path.

        Raises:
            UserError: one is no setting, stands twice, or has no such values.
        """
        found: dict[str, list[Any]] = {}
        for line in self.rows:
            if (read := line.read()) is not None:
                if read[0] in found:
                    raise UserError(f"{read[0]}: varies already")
                found[read[0]] = read[1]
        return found

    @property
    def written(self) -> list[tuple[str, str]]:
        """The two texts of each row, right or wrong."""
        return [(line.path.text(), line.values.text()) for line in self.rows]

    def write(self, rows: Iterable[tuple[str, str]]) -> None:
        """Have these rows, as `written` gave them."""
        for line in list(self.rows):
            self._remove(line)
        for path, values in rows:
            self._append(path, values)

    def show_settings(self, settings: Mapping[str, list[Any]], kept: Mapping[str, Any]) -> None:
        """Show these, and say what else varies that only the file can change."""
        self.write((path, ", ".join(map(_text, values))) for path, values in settings.items())
        self._kept.setText("As the file says: " + ", ".join(kept))
        self._kept.setVisible(bool(kept))

    def _append(self, path: str = "", values: str = "") -> VariedRow:
        line = VariedRow(path, values)
        line.changed.connect(self.changed)
        line.removed.connect(self._on_removed)
        self.rows.append(line)
        self._body.addWidget(line)
        tab_on(self.add, self)
        return line

    def _on_removed(self, line: VariedRow) -> None:
        self._remove(line)
        self.add.setFocus()
        self.changed.emit()

    def _remove(self, line: VariedRow) -> None:
        self.rows.remove(line)
        self._body.removeWidget(line)
        line.hide()
        line.deleteLater()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return setting_float(value) if isinstance(value, float) else str(value)


def _help(field: Field) -> str:
    default = field.to_text(field.default) or field.empty
    return f"{field.label}: {field.help} Default {default}."
