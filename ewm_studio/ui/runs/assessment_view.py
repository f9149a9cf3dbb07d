"""How far a run's memory can be trusted as a world: pictures, and tables with what each figure is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QWidget

from ewm_studio.formatting import printable
from ewm_studio.jobs.assessment_text import Table, assessment_tables
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.widgets import Elided, button, column, label, row, scrolled, stacked

EMPTY, FOUND = range(2)
WORDS = (
    "A memory is tried on episodes that it has not seen: it dreams on from many places in them, under the actions that "
    "were taken there. How near dreams stay to what came is told beside guesses that need no memory. It takes a minute "
    "or a few."
)


class AssessmentView(QWidget):
    """Shows what an assessment found of one run; asks for another one, and to go back."""

    back_asked = Signal()
    assess_asked = Signal(str)  # the run

    def __init__(self) -> None:
        super().__init__()
        self.run = ""
        self.tables: list[Table] = []
        self.back = button("Back to the runs", "", "The table of all runs (Esc)", self.back_asked.emit)
        self.again = button("Assess again", "", "Measure anew, in place of these figures", self._ask)
        self._title = Elided("", "title")
        self._state = label("", "secondary")
        head = row(self.back, spacing=12)
        head.addWidget(self._title, 1)
        head.addWidget(self._state)
        head.addWidget(self.again)
        self.empty = EmptyState("runs", "Not assessed yet", WORDS, "Assess")
        self.empty.action.clicked.connect(self._ask)
        self._scroll = scrolled()
        self._scroll.setAccessibleName("What the assessment found")
        self._stack = stacked(self.empty, self._scroll)
        layout = column(spacing=10)
        layout.addLayout(head)
        layout.addWidget(self._stack, 1)
        self.setLayout(layout)

    def show_run(self, name: str, found: Mapping[str, Any] | None, pictures: Mapping[str, tuple[Path, str]]) -> None:
        """Show what was found of a run and the pictures beside it; None where it was not assessed."""
        self.run = name
        self.tables = assessment_tables(found) if found else []
        self._title.setText(f"Dreams of {name}")
        self.again.setVisible(bool(found))
        self._stack.setCurrentIndex(FOUND if found else EMPTY)
        if found:
            self._scroll.setWidget(self._content(found, pictures))

    def show_busy(self, busy: bool, words: str = "") -> None:
        """Whether this run is being assessed, so that it cannot be asked for, and how far that is."""
        for asking in (self.again, self.empty.action):
            asking.setEnabled(not busy)
        self._state.setText(words or ("Being assessed" if busy else ""))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go back by Escape."""
        if event.key() == Qt.Key.Key_Escape:
            self.back_asked.emit()
        else:
            super().keyPressEvent(event)

    def _ask(self) -> None:
        self.assess_asked.emit(self.run)

    def _content(self, found: Mapping[str, Any], pictures: Mapping[str, tuple[Path, str]]) -> QWidget:
        content = QWidget()
        body = column(spacing=14, margins=(0, 0, 12, 12))
        if found.get("on"):
            body.addWidget(label(f"Measured on {printable(str(found['on']))}.", "secondary", wrap=True))
        for path, words in pictures.values():
            if (array := _array(path)) is not None:
                body.addWidget(_card(words, _Band(words, array)))
        for table in self.tables:
            body.addWidget(_card(table.title, _grid(table), table.words))
        body.addStretch(1)
        content.setLayout(body)
        return content


class _Band(Picture):
    """A picture as wide as there is room, never wider than it is."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        super().__init__(name, square=False)
        self.show_array(array)
        self._size = array.shape[1], array.shape[0]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Be as high as the picture is at this width."""
        width, height = self._size
        self.setFixedHeight(max(1, round(min(self.width(), width) * height / width)))
        super().resizeEvent(event)


def _card(title: str, inside: QWidget, words: str = "") -> QFrame:
    card = QFrame()
    card.setProperty("role", "card")
    body = column(label(title, "heading", wrap=True), spacing=6, margins=(14, 10, 14, 12))
    if words:
        body.addWidget(label(words, "secondary", wrap=True))
    body.addWidget(inside)
    card.setLayout(body)
    return card


def _grid(table: Table) -> QWidget:
    made = QWidget()
    made.setAccessibleName(table.title)
    grid = QGridLayout(made)
    grid.setContentsMargins(0, 4, 0, 0)
    grid.setHorizontalSpacing(18)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(0, 1)
    right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    heads = [table.columns] if any(table.columns) else []
    for line, cells in enumerate([*heads, *table.rows]):
        for place, text in enumerate(cells):
            role = "secondary" if line < len(heads) else "" if place == 0 else "value"
            cell = label(printable(text), role, wrap=place == 0)
            cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(cell, line, place, *(() if place == 0 else (right,)))
    return made


def _array(path: Path) -> np.ndarray | None:
    """A picture as numbers; None where it is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError):
        return None
