"""Texts from anywhere in labels and tooltips: they say what they say and nothing more."""

from __future__ import annotations

import html

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from ewm_studio.formatting import printable_lines


class PlainLabel(QLabel):
    """A text as it is: no HTML, nothing that turns the direction of writing."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show another text."""
        super().setText(printable_lines(text))


def plain_tip(text: str) -> str:
    """A text as a tooltip: Qt would take one that looks like HTML for HTML."""
    shown = printable_lines(text)
    return f"<qt>{html.escape(shown)}</qt>" if "<" in shown else shown
