"""Rows of settings: name, value with its unit inside, reset when changed; an invalid value is explained in place."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QFocusEvent, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ewm_studio.errors import UserError
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.fields import Field
from ewm_studio.ui.kit.files import ask_open, ask_save
from ewm_studio.ui.kit.theme import color, ui_font
from ewm_studio.ui.kit.widgets import IconButton, Select, Switch, label, restyle

FIELD_WIDTH = 136
UNIT_WIDTH = 84  # longer units are cut; the tooltip has the whole


class ValueEdit(QLineEdit):
    """A line for a number or a text, with its unit inside; up and down step a number."""

    committed = Signal(str)
    given_up = Signal()  # what is typed: what held before is to be shown again
    stepped = Signal(int)

    def __init__(self, field: Field) -> None:
        super().__init__()
        self._unit = field.unit.replace(" per ", " / ")
        self._numeric = field.kind in ("integer", "number")
        self._clicked_into = False  # by the click that is not over yet
        self.setAlignment(Qt.AlignmentFlag.AlignRight if self._numeric else Qt.AlignmentFlag.AlignLeft)
        self.setFixedWidth(FIELD_WIDTH)
        if field.optional:
            self.setPlaceholderText(field.empty)
        elif field.kind == "arguments":
            self.setPlaceholderText("name=value")
        self.editingFinished.connect(lambda: self.committed.emit(self.text()))
        self._unit = self._unit_metrics().elidedText(self._unit, Qt.TextElideMode.ElideRight, UNIT_WIDTH)
        self.textChanged.connect(lambda _: self._make_room())
        self._make_room()

    def setPlaceholderText(self, text: str) -> None:
        """What it means to be empty, at the edge where a number's unit would be."""
        super().setPlaceholderText(text)
        self._make_room()

    @property
    def _shows_unit(self) -> bool:
        return bool(self._unit) and bool(self.text() or not self.placeholderText())

    def _make_room(self) -> None:
        self.setTextMargins(0, 0, self._unit_metrics().horizontalAdvance(self._unit) + 4 if self._shows_unit else 0, 0)

    def _unit_metrics(self) -> QFontMetrics:
        return QFontMetrics(ui_font(11))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line, then the unit behind the number."""
        super().paintEvent(event)
        if not self._shows_unit:
            return
        painter = QPainter(self)
        painter.setFont(ui_font(11))
        painter.setPen(color("secondary" if self.isEnabled() else "disabled"))
        width = self._unit_metrics().horizontalAdvance(self._unit)
        area = QRect(self.width() - width - 9, 0, width + 2, self.height())
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._unit)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and down step; Escape gives the typing up."""
        if self._numeric and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.stepped.emit(1 if event.key() == Qt.Key.Key_Up else -1)
            return
        if event.key() == Qt.Key.Key_Escape and self.isModified():
            self.given_up.emit()
            return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Coming by keyboard marks everything, ready to be typed over; so does the first click into a number."""
        super().focusInEvent(event)
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self.selectAll()
        self._clicked_into = self._numeric and event.reason() == Qt.FocusReason.MouseFocusReason

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The end of a click: the next one places the cursor."""
        super().mouseReleaseEvent(event)
        if self._clicked_into and not self.hasSelectedText():
            self.selectAll()
        self._clicked_into = False


def take_what_is_typed() -> None:
    """Take a value that somebody is still typing, as leaving its field would."""
    edit = QApplication.focusWidget()
    if isinstance(edit, ValueEdit) and edit.isModified():
        edit.committed.emit(edit.text())


class SettingRow(QWidget):
    """One setting of the document."""

    def __init__(self, field: Field, document: ExperimentDocument) -> None:
        super().__init__()
        self.field = field
        self._document = document
        self._name = label(field.label, "settingName", wrap=True)  # a long one would push the field out of the panel
        self._name.setToolTip(_tip(field))
        self._error = label("", "error", wrap=True)
        self._error.hide()
        self.reset = IconButton("reset", f"Reset {field.label}", "accent", 14)
        self.reset.clicked.connect(self._on_reset)
        self.editor = self._make_editor()
        self.editor.setAccessibleName(field.label)
        self.editor.setAccessibleDescription(field.help)
        self.editor.setToolTip(_tip(field))
        self._name.setBuddy(self.editor)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        line = QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        line.addWidget(self._name, 1)
        line.addWidget(self.editor, 0, Qt.AlignmentFlag.AlignRight)
        line.addWidget(self.reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(2)
        layout.addLayout(line)
        layout.addWidget(self._error)
        self.refresh()

    @property
    def message(self) -> str:
        """What is wrong with the value typed, or nothing."""
        return "" if self._error.isHidden() else self._error.text()

    @property
    def taken(self) -> bool:
        """Whether the document has the value that the editor shows: a refused one stands there until it is mended."""
        if not self.message:
            return True
        value, editor = self._document.value(self.field), self.editor
        if isinstance(editor, Switch):
            return editor.isChecked() == bool(value)
        if isinstance(editor, Select):
            return editor.currentText() == str(value)
        assert isinstance(editor, ValueEdit)
        with contextlib.suppress(UserError):
            return bool(self.field.parse(editor.text()) == value)
        return False

    def matches(self, text: str) -> bool:
        """Whether a search text is in the name, the path, the flag or the help."""
        field = self.field
        return all(
            word in f"{field.label} {field.path} {field.option} {field.help}".casefold()
            for word in text.casefold().split()
        )

    def refresh(self) -> None:
        """Show the document's value."""
        value = self._document.value(self.field)
        editor = self.editor
        if isinstance(editor, Switch):
            editor.setChecked(bool(value))
        elif isinstance(editor, Select):
            editor.blockSignals(True)
            editor.setCurrentText(str(value))
            editor.blockSignals(False)
        elif isinstance(editor, ValueEdit):
            if self._read(editor.text()) != (True, value):
                editor.setText(self.field.to_text(value))
            editor.setModified(False)
        self._explain("")
        changed = self._document.is_changed(self.field)
        self.reset.setVisible(changed)
        if bool(self._name.property("changed")) != changed:
            restyle(self._name, changed=changed)

    def _read(self, text: str) -> tuple[bool, Any]:
        """What a text means now; (False, None) where it means nothing, or is not written as the form writes it."""
        try:
            value = self.field.parse(text)
        except UserError:
            return False, None
        return text == self.field.to_text(value), value

    def _make_editor(self) -> QWidget:
        field = self.field
        if field.kind == "switch":
            switch = Switch()
            switch.toggled.connect(self._take)
            return switch
        if field.kind == "choice":
            select = Select()
            select.addItems(list(field.choices))
            select.setFixedWidth(FIELD_WIDTH)
            select.currentTextChanged.connect(self._take)
            return select
        edit = ValueEdit(field)
        edit.committed.connect(self._take_text)
        edit.given_up.connect(self.refresh)
        edit.textEdited.connect(self._check)
        edit.stepped.connect(self._step)
        if field.name.endswith("_path"):
            self._add_browse(edit)
        return edit

    def _add_browse(self, edit: ValueEdit) -> None:
        from ewm_studio.ui.kit import icons

        edit.setTextMargins(0, 0, 4, 0)
        action = edit.addAction(icons.icon("folder", "secondary"), QLineEdit.ActionPosition.TrailingPosition)
        action.setToolTip("Choose a file")
        action.triggered.connect(self._browse)

    def _browse(self) -> None:
        pick = ask_save if self.field.name == "save_path" else ask_open
        path = pick(self, self.field.label, "model", Path.cwd(), "Models (*.safetensors)")
        if path is not None:
            self._take(str(path))

    def _check(self, text: str) -> None:
        try:
            self.field.parse(text)
        except UserError as error:
            self._explain(str(error))
        else:
            self._explain("")

    def _take_text(self, text: str) -> None:
        try:
            value = self.field.parse(text)
        except UserError as error:
            self._explain(str(error))
            return
        self._take(value)

    def _take(self, value: Any) -> None:
        if value == self._document.value(self.field):  # a row that shows its value changes nothing
            self.refresh()
            return
        try:
            self._document.set(self.field.path, value)
        except UserError as error:
            line = str(error).removeprefix("settings: ")
            self._explain(line[:1].upper() + line[1:])
        else:
            self.refresh()

    def _step(self, direction: int) -> None:
        """Step from what stands there, be it taken already or not."""
        assert isinstance(self.editor, ValueEdit)
        try:
            value = self.field.parse(self.editor.text())
            if isinstance(value, int | float):
                self._take(self.field.check(stepped_value(value, direction, self.field)))
        except UserError as error:
            self._explain(str(error))

    def _on_reset(self) -> None:
        try:
            self._document.reset(self.field)
        except UserError as error:
            self._explain(str(error))
            return
        if isinstance(self.editor, ValueEdit):
            self.editor.setText(self.field.to_text(self.field.default))
        self.refresh()
        self.editor.setFocus()

    def _explain(self, text: str) -> None:
        shown = bool(text)
        if shown == self._error.isHidden() or text != self._error.text():
            self._error.setText(text)
            self._error.setVisible(shown)
            if isinstance(self.editor, ValueEdit):
                restyle(self.editor, invalid="true" if shown else "false")


def stepped_value(value: float, direction: int, field: Field) -> float:
    """The next value: whole numbers by their leading digit's tenth, others by a tenth of their leading digit."""
    from math import floor, log10

    size: float = 10.0 ** floor(log10(abs(value))) if value else 1.0
    if field.kind == "integer":
        return int(value) + direction * (max(1, int(size / 10)) if abs(value) >= 100 else 1)
    step = size / 10 if field.high is not None and field.high.value <= 1 and abs(value) > 0.5 else size
    return float(f"{value + direction * step:.12g}") if value else direction * 0.1


def _tip(field: Field) -> str:
    """Tooltip: what it does, what it may be, and how the command line sets it."""
    facts = " ".join(filter(None, (field.bounds, field.unit))) if field.bounds else ""
    default = field.to_text(field.default) or field.empty
    facts = " · ".join(filter(None, (facts, f"default {default}" if default else "")))
    lines = [_escape(field.help), _escape(facts), f"<code>{_escape(field.option)}</code>"]
    return "".join(f"<p>{line}</p>" for line in lines if line)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
