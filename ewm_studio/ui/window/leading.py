"""Which button leads: one at a time, the page's own where one is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QPushButton

from ewm_studio.ui.page import Page

_TURNS = (QEvent.Type.Show, QEvent.Type.Hide)


class Leading(QObject):
    """Has training lead beside pages that have nothing of their own to begin with, and while nothing goes on there."""

    def __init__(self, pages: Sequence[Page], lead: Callable[[bool], None], parent: QObject) -> None:
        """Tell `lead` whether training is the first thing to do."""
        super().__init__(parent)
        self._lead, self._page, self._busy = lead, pages[0], False
        boxes = [box for page in pages for box in (page.widget, page.side) if box is not None]
        found = [made for box in boxes for made in box.findChildren(QPushButton)]
        self._own = [made for made in found if made.property("role") == "primary"]
        for made in self._own:
            made.installEventFilter(self)

    def show_page(self, page: Page) -> None:
        """Another page is turned to."""
        self._page = page
        self._decide()

    def show_busy(self, busy: bool) -> None:
        """Whether somebody drives or dreams."""
        self._busy = busy
        self._decide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A page's own button comes or goes."""
        if event.type() in _TURNS:
            self._decide()
        return False

    def _decide(self) -> None:
        seen = any(made.isVisible() for made in self._own)
        self._lead(self._page.beside_panel and not self._busy and not seen)
