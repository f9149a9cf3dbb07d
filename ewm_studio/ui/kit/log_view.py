"""The log: newest line first, filtered by level and by words."""

from __future__ import annotations

import html
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QFrame, QLineEdit, QPlainTextEdit, QVBoxLayout

from ewm_studio.formatting import printable
from ewm_studio.ui.kit.log_file import KeptLine
from ewm_studio.ui.kit.theme import theme, tokens
from ewm_studio.ui.kit.widgets import Segments, label, row

KEPT = 2000  # lines
_LEVELS = ("info", "warning", "error")


@dataclass(frozen=True)
class Line:
    """One line of the log."""

    clock: str
    text: str
    level: str
    good: bool = False


class LogView(QFrame):
    """Shows lines; the latest stands on top."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self.lines: deque[Line] = deque(maxlen=KEPT)
        self._view = QPlainTextEdit()
        self._view.setProperty("role", "log")
        self._view.setReadOnly(True)
        self._view.setUndoRedoEnabled(False)
        self._view.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self._view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # every line wraps
        self._view.setAccessibleName("Log")
        self._view.setPlaceholderText("What jobs say stands here, the newest line on top.")
        self._view.document().setDocumentMargin(0)
        self._view.setTabChangesFocus(True)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search the log")
        self.search.setAccessibleName("Search the log")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(180)
        self.search.textChanged.connect(self._render)
        self.levels = Segments((("info", "All"), ("warning", "Warnings"), ("error", "Errors")), "Level")
        self.levels.chosen.connect(self._render)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(6)
        layout.addLayout(row(label("Log", "heading"), None, self.levels, self.search))
        layout.addWidget(self._view, 1)
        theme().changed.connect(self._render)

    def add(self, text: str, level: str = "info", good: bool = False) -> None:
        """Put a line on top."""
        line = Line(_clock(time.time()), printable(" ".join(text.split())), level, good)
        self.lines.appendleft(line)
        if not self._fits(line):
            return
        cursor = QTextCursor(self._view.document())
        first = self._view.document().isEmpty()
        cursor.movePosition(QTextCursor.MoveOperation.Start)
        if not first:
            cursor.insertBlock()
            cursor.movePosition(QTextCursor.MoveOperation.Start)
        cursor.insertHtml(_html(line))
        if self._view.document().blockCount() > KEPT + 200:
            self._render()

    def show_kept(self, lines: Sequence[KeptLine]) -> None:
        """Show lines of earlier, oldest first, in place of those that are there."""
        self.lines.clear()
        self.lines.extend(
            Line(_clock(line.time), printable(" ".join(line.text.split())), line.level, line.good)
            for line in reversed(lines)
        )
        self._render()

    def _fits(self, line: Line) -> bool:
        level = _LEVELS.index(line.level) >= _LEVELS.index(self.levels.value())
        return level and self.search.text().casefold() in line.text.casefold()

    def _render(self) -> None:
        self._view.clear()
        shown = [_html(line) for line in self.lines if self._fits(line)]
        if shown:
            self._view.appendHtml("<br>".join(shown))
        self._view.moveCursor(QTextCursor.MoveOperation.Start)


def _clock(moment: float) -> str:
    """The time of a line; of another day's the date, too."""
    try:
        then = time.localtime(moment)
    except (OverflowError, ValueError, OSError):  # a file may say anything
        return ""
    today = time.localtime()[:3] == then[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)


def _html(line: Line) -> str:
    look = tokens()
    clock = look.good if line.good else look.secondary
    shade = {"warning": look.controller, "error": look.bad}.get(line.level, look.text)
    return (
        f'<span style="color:{clock}">{line.clock}</span> <span style="color:{shade}">{html.escape(line.text)}</span>'
    )
