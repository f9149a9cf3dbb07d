"""The card of a dream's branches: the tree, and what can be done with one of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QMenu

from ewm_studio.driving.dream_snapshot import DreamSnapshot
from ewm_studio.ui.dream.branch_tree import BranchTree, words_of
from ewm_studio.ui.kit.dialogs import TextQuestion
from ewm_studio.ui.kit.widgets import Elided, button, column, label, row, scrolled

_HINT = "click to go back to any of them"
_WIDE = 560  # of the card, from which on there is room for it


class BranchesCard(QFrame):
    """Shows the tree; asks for a place, a name, to keep and to delete."""

    went = Signal(object)  # a Place
    named = Signal(int, str)
    kept = Signal(int, bool)
    deleted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self.tree = BranchTree()
        self.tree.went.connect(self.went)
        self.tree.menu_asked.connect(self._open_menu)
        self.menu = QMenu(self)
        self._menu_of = 0
        self.name = button("Name…", "pill", "Name the branch that you are on", lambda: self._ask_name(self._here))
        self.keep = button("Keep", "pill", "Have the branch that you are on stay", lambda: self._keep(self._here))
        self.delete = button(
            "Delete",
            "pill",
            "Delete the branch that you are on, and all that leave it",
            lambda: self._delete(self._here),
        )
        for made in (self.name, self.keep, self.delete):
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            made.setAccessibleName(f"{made.text().rstrip('…')} branch")
        head = row(label("Branches", "heading"), spacing=8)
        self._hint = Elided("", "secondary")
        head.addWidget(self._hint, 1)
        for made in (self.name, self.keep, self.delete):
            head.addWidget(made)
        scroll = scrolled(self.tree, focus=False)
        scroll.viewport().setAutoFillBackground(False)
        self.tree.setAutoFillBackground(False)
        body = column(spacing=4, margins=(12, 8, 12, 8))
        body.addLayout(head)
        body.addWidget(scroll, 1)
        self.setLayout(body)
        self.setMinimumHeight(104)
        self.show_snapshot(None)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Say how it is used where there is room for it."""
        super().resizeEvent(event)
        self._hint.setText(_HINT if self.width() >= _WIDE else "")

    def show_snapshot(self, snapshot: DreamSnapshot | None) -> None:
        """Show the tree of a dream; None where there is none."""
        branches = snapshot.branches if snapshot is not None else ()
        place = snapshot.place if snapshot is not None else self.tree.place
        self.tree.show_tree(branches, place, snapshot.words if snapshot is not None else "")
        here = next((info for info in branches if info.here), None)
        self.name.setEnabled(here is not None)
        self.keep.setEnabled(here is not None)
        self.delete.setEnabled(here is not None and here.parent is not None)
        text = "Let go" if here is not None and here.kept else "Keep"
        if self.keep.text() != text:
            self.keep.setText(text)
            self.keep.setAccessibleName(f"{text} branch")

    @property
    def _here(self) -> int:
        return self.tree.place.branch

    def _open_menu(self, number: int, at: QPoint) -> None:
        info = next(info for info in self.tree.branches if info.number == number)
        self.menu.clear()
        title = self.menu.addAction(words_of(info))
        title.setEnabled(False)
        entries: tuple[tuple[str, Callable[[int], None]], ...] = (
            ("Name…", self._ask_name),
            ("Let go" if info.kept else "Keep", self._keep),
            ("Delete", self._delete),
        )
        for text, slot in entries:
            action = self.menu.addAction(text)
            action.triggered.connect(partial(lambda slot, _=False: slot(number), slot))
            action.setEnabled(text != "Delete" or info.parent is not None)
        self.menu.popup(at)

    def _ask_name(self, number: int) -> None:
        info = next((info for info in self.tree.branches if info.number == number), None)
        if info is not None:
            then = partial(self.named.emit, number)
            TextQuestion(
                "Name a branch", "What it is called; nothing takes the name away", info.name, self.window(), then
            ).open()

    def _keep(self, number: int) -> None:
        info = next((info for info in self.tree.branches if info.number == number), None)
        if info is not None:
            self.kept.emit(number, not info.kept)

    def _delete(self, number: int) -> None:
        self.deleted.emit(number)
