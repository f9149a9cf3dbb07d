"""What a page says while it has nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ewm_studio.ui.kit import icons
from ewm_studio.ui.kit.focus import tab_on
from ewm_studio.ui.kit.theme import color, theme
from ewm_studio.ui.kit.widgets import button, column, label, row, scrolled

EMPTY_WIDTH = 380
PLACES_A_LINE = 2  # as many as fit where the window is at its smallest


class Place(NamedTuple):
    """Where an empty page may lead: text of its button, its key, its name for those who cannot see, and its tip."""

    text: str
    key: str
    name: str
    tip: str


class EmptyState(QWidget):
    """What a page says while it has nothing to show, with the button that changes it, and other places to go.

    Where it is low its picture goes first; what has no room even so is scrolled to, never squeezed.
    """

    asked = Signal(str)  # the key of a place

    def __init__(self, icon: str, title: str, text: str, action: str) -> None:
        super().__init__()
        self._icon = icon
        self._picture = label()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        heading = self._heading = label(title, "empty")
        heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words = label(text, "secondary", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words.setFixedWidth(EMPTY_WIDTH)
        self._words = words
        self.action = button(action, "primary")
        self._inside = QWidget()
        self._inside.setObjectName("scrolled")
        layout = column(None, self._picture, heading, words, spacing=12)
        layout.setAlignment(words, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self.action, 0, Qt.AlignmentFlag.AlignHCenter)
        self._places = column(spacing=6, margins=(0, 12, 0, 0))
        layout.addLayout(self._places)
        layout.addStretch(1)
        self._inside.setLayout(layout)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolled(self._inside, focus=False))
        self._dress()
        theme().changed.connect(self._dress)

    @property
    def said(self) -> list[QWidget]:
        """All that says or offers something and is seen."""
        return [part for part in self._inside.findChildren(QWidget) if part.isVisible()]

    def set_title(self, text: str) -> None:
        """Say something else on top."""
        self._heading.setText(text)

    def set_words(self, text: str) -> None:
        """Say something else."""
        if text != self._words.text():
            self._words.setText(text)
            self._fit_words()

    def show_places(self, groups: Sequence[tuple[str, Sequence[Place]]]) -> None:
        """Offer places under a title each; a title without places is left out."""
        while (item := self._places.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        offered = [(title, places) for title, places in groups if places]
        for number, (title, places) in enumerate(offered):
            self._add_line([label(title, "secondary")], space_above=10 if number else 0)
            pills = [self._pill(place) for place in places]
            for first in range(0, len(pills), PLACES_A_LINE):
                self._add_line(pills[first : first + PLACES_A_LINE])
        tab_on(self.action, self._inside)
        self._fit_picture()

    def _pill(self, place: Place) -> QWidget:
        made = button(place.text, "pill", place.tip, partial(self.asked.emit, place.key))
        made.setAccessibleName(place.name)
        return made

    def _add_line(self, widgets: Sequence[QWidget], space_above: int = 0) -> None:
        """One more centered line."""
        line, inside = QWidget(), row(None, *widgets, spacing=6, margins=(0, space_above, 0, 0))
        inside.addStretch(1)
        line.setLayout(inside)
        self._places.addWidget(line)

    def showEvent(self, event: QShowEvent) -> None:
        """Give the wrapped lines their height, which a centered label is not given by itself."""
        super().showEvent(event)
        self._fit_words()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The picture is there where it takes no room from the words."""
        super().resizeEvent(event)
        self._fit_picture()

    def _fit_picture(self) -> None:
        self._picture.show()
        self._picture.setVisible(self._inside.minimumSizeHint().height() <= self.height())

    def _fit_words(self) -> None:
        self._words.setFixedHeight(self._words.heightForWidth(EMPTY_WIDTH) + 2)
        self._fit_picture()

    def _dress(self) -> None:
        self._picture.setPixmap(icons.pixmap(self._icon, color("secondary").name(), 40))
