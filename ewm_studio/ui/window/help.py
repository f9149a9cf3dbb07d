"""The Help menu: a tour of the pages, a glossary to search, and where files are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QMargins, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QAbstractButton, QDialog, QGridLayout, QLineEdit, QTextBrowser, QWidget

from ewm_studio.resources import resource
from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.files import show_outside
from ewm_studio.ui.kit.spotlight import Spotlight
from ewm_studio.ui.kit.widgets import Elided, button, column, label, row
from ewm_studio.workspace import Workspace

_EDGES = QMargins(8, 8, 8, 34)  # of the window, that the tour leaves free: its status line can be read
_ENTRY = re.compile(r"\*\*(.+?)\*\*: (.+)")


@dataclass(frozen=True)
class Stop:
    """One stop of the tour."""

    page: str
    title: str
    points_at: str  # the accessible name of a widget, or what stands on a button
    words: str  # Markdown


def tour() -> list[Stop]:
    """The stops of the tour, from `resources/help/tour.md`."""
    parts = re.split(r"^# ", resource("help", "tour.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    stops = []
    for part in parts:
        head, _, words = part.partition("\n")
        page, title, points_at = (each.strip() for each in head.split("|"))
        stops.append(Stop(page, title, points_at, words.strip()))
    return stops


def glossary() -> list[tuple[str, str]]:
    """Words and what they mean, from `resources/help/glossary.md`."""
    return _ENTRY.findall(resource("help", "glossary.md").read_text("utf-8"))


class _Help(QDialog):
    """A window beside the work that it helps with."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.body = column(label(title, "title"), spacing=12, margins=(20, 18, 20, 16))
        self.setLayout(self.body)


class GlossaryDialog(_Help):
    """Words that stand in the window, and what they mean."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Glossary", parent)
        self._entries = glossary()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search the glossary")
        self.search.setAccessibleName("Search the glossary")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._show)
        self.text = QTextBrowser()
        self.text.setProperty("role", "help")
        self.text.setAccessibleName("Glossary")
        close = button("Close", "primary", clicked=self.accept)
        self.body.addWidget(self.search)
        self.body.addWidget(self.text, 1)
        self.body.addLayout(row(None, close))
        area = parent.screen().availableGeometry()
        self.resize(min(560, area.width() - 80), min(560, area.height() - 80))
        self._show("")

    def _show(self, text: str) -> None:
        wanted = text.casefold().split()
        found = [(w, m) for w, m in self._entries if all(part in f"{w} {m}".casefold() for part in wanted)]
        found.sort(key=lambda entry: not all(part in entry[0].casefold() for part in wanted))
        self.text.setMarkdown("\n\n".join(f"**{word}**: {meaning}" for word, meaning in found) or "No such word.")


class TourDialog(_Help):
    """Leads through the pages; the window behind it can be used meanwhile."""

    def __init__(self, turn_to: Callable[[str], None], pages: Sequence[str], parent: QWidget) -> None:
        super().__init__("Tour of five minutes", parent)
        self._turn_to, self._window = turn_to, parent
        self.spotlight = Spotlight(parent)
        self._stops = [stop for stop in tour() if stop.page in pages]
        self._at = 0
        self._title, self._words = label("", "heading"), label("", wrap=True)
        self._words.setTextFormat(Qt.TextFormat.MarkdownText)
        self._words.setFixedWidth(380)
        self._where = label("", "secondary")
        self.back = button("Back", clicked=lambda: self.go(self._at - 1))
        self.next = button("Next", "primary", clicked=lambda: self.go(self._at + 1))
        for part in (self._title, self._words):
            self.body.addWidget(part)
        self.body.addLayout(row(self._where, None, self.back, self.next))
        self.go(0)

    def go(self, stop: int) -> None:
        """Stand at a stop; after the last one the tour is over."""
        if stop >= len(self._stops):
            self.accept()
            return
        self._at = max(0, stop)
        present = self._stops[self._at]
        self._title.setText(present.title)
        self._words.setText(present.words)
        self._where.setText(f"{self._at + 1} of {len(self._stops)}")
        self.back.setEnabled(self._at > 0)
        last = self._at == len(self._stops) - 1
        self.next.setText("Done" if last else "Next")
        self._turn_to(present.page)
        self.adjustSize()
        self.spotlight.point_at(find_widget(self._window, present.points_at))
        self._stand_aside()

    def showEvent(self, event: QShowEvent) -> None:
        """Stand aside before anything is seen."""
        super().showEvent(event)
        self._stand_aside()

    def _stand_aside(self) -> None:
        """Cover nothing of what is spoken of: neither what is framed, nor what the page says."""
        says = (part for state in self._window.findChildren(EmptyState) for part in state.said)
        seen = [QRect(part.mapTo(self._window, QPoint()), part.size()) for part in says]
        place = aside(self.size(), self._window.rect().marginsRemoved(_EDGES), self.spotlight.frame(), seen)
        self.move(self._window.mapToGlobal(place))

    def done(self, result: int) -> None:
        """The tour is over: nothing is pointed at any more."""
        self.spotlight.point_at(None)
        self.spotlight.deleteLater()
        super().done(result)


def aside(size: QSize, room: QRect, framed: QRect, said: Sequence[QRect]) -> QPoint:
    """The corner of the room in which a box covers least of what is framed, then of what is said."""
    right, lower = max(room.left(), room.right() + 1 - size.width()), max(room.top(), room.bottom() + 1 - size.height())
    corners = [QPoint(x, y) for y in (lower, room.top()) for x in (right, room.left())]

    def covered(corner: QPoint) -> tuple[int, int]:
        of_frame, *of_said = (QRect(corner, size).intersected(each) for each in (framed, *said))
        return of_frame.width() * of_frame.height(), sum(each.width() * each.height() for each in of_said)

    return min(corners, key=covered)


def find_widget(window: QWidget, name: str) -> QWidget | None:
    """The first visible widget that is called so or says so."""
    found = window.findChildren(QWidget)
    called = [w for w in found if w.accessibleName() == name or (isinstance(w, QAbstractButton) and w.text() == name)]
    return next((widget for widget in called if widget.isVisible()), None)


class FilesDialog(_Help):
    """Where everything is kept, to copy or to open."""

    def __init__(self, workspace: Workspace, parent: QWidget) -> None:
        super().__init__("Where files are", parent)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        self.places = places_of(workspace)
        for line, (what, path) in enumerate(self.places):
            shown = Elided(str(path), "secondary", Qt.TextElideMode.ElideMiddle)
            copy = button("Copy", "link", f"Copy {path}", partial(QGuiApplication.clipboard().setText, str(path)))
            copy.setAccessibleName(f"Copy the path of: {what}")
            there = path.exists()
            folder = path if path.is_dir() else path.parent
            show = button("Open", "link", "Show it in the system's file manager", partial(show_outside, folder))
            show.setAccessibleName(f"Open: {what}")
            show.setEnabled(there)
            for place, part in enumerate((label(what), shown, copy, show)):
                grid.addWidget(part, line, place)
        self.body.addLayout(grid)
        self.body.addLayout(row(None, button("Close", "primary", clicked=self.accept)))
        self.resize(min(760, parent.screen().availableGeometry().width() - 80), self.sizeHint().height())


def places_of(workspace: Workspace) -> list[tuple[str, Path]]:
    """What is kept, and where."""
    from ewm_studio.envs.trust import agreements_file  # brings Gymnasium, which the start does without

    return [
        ("Workspace", workspace.path.resolve()),
        ("Runs, with their settings and models", workspace.runs_folder.resolve()),
        ("Recordings", workspace.recordings_folder.resolve()),
        ("Evaluations of other models", workspace.replays_folder.resolve()),
        ("Bin", workspace.bin_folder.resolve()),
        ("The window's settings", Path(store.store().fileName())),
        ("Environments that were agreed to", agreements_file()),
        ("Presets, and models that come along", resource("presets").resolve().parent),
    ]
