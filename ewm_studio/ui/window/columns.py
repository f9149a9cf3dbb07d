"""The experiment panel, the page and its right column side by side: what does not fit folds, the right column first."""

from __future__ import annotations

import contextlib
import json

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QStackedWidget, QWidget

from ewm_studio.ui.kit.focus import hand_on_focus
from ewm_studio.ui.page import Page

PANEL = 316  # its width to begin with, for which every page has room at 1280; a right column is as wide as it asks for


class Sides(QStackedWidget):
    """Right columns of which one is shown; no wider than that one asks for."""

    def minimumSizeHint(self) -> QSize:
        """As the present one."""
        shown = self.currentWidget()
        return QSize() if shown is None else shown.minimumSizeHint().expandedTo(shown.minimumSize())


class Columns(QSplitter):
    """A page between two columns. What a person opened last stays where not both fit."""

    folded = Signal()  # or unfolded: what is open is another

    def __init__(self, panel: QWidget, pages: QStackedWidget, sides: Sides) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._panel, self._pages, self._sides = panel, pages, sides
        self._page: Page | None = None
        self._panel_wanted = self._side_wanted = True
        self._only_here: bool | None = None  # whether the panel is wanted upon this page, against what is usual
        self._crowded = False  # a page needs the panel's room for a while
        self._side_first = False  # the right column was opened last
        self._panel_width = PANEL
        self._side_widths: dict[str, int] = {}  # by page, where one was dragged
        self.setHandleWidth(1)
        self.setChildrenCollapsible(False)
        for index, widget in enumerate((panel, pages, sides)):
            self.addWidget(widget)
            self.setStretchFactor(index, int(index == 1))
        self.splitterMoved.connect(lambda *_: self._keep_widths())

    @property
    def panel_open(self) -> bool:
        """Whether the experiment panel is there."""
        return not self._panel.isHidden()

    @property
    def side_open(self) -> bool:
        """Whether the right column is there."""
        return not self._sides.isHidden()

    def show_page(self, page: Page) -> None:
        """Turn to a page."""
        self._page, self._only_here, self._crowded = page, None, False
        for leaving in (self._pages.currentWidget(), self._sides.currentWidget()):
            if leaving is not None and leaving not in (page.widget, page.side):
                hand_on_focus(leaving, page.widget)
        self._pages.setCurrentWidget(page.widget)
        if page.side is not None:
            self._sides.setCurrentWidget(page.side)
        self.arrange()

    def toggle_panel(self) -> None:
        """Open the experiment panel, or close it."""
        wanted = not self.panel_open
        if self._page is not None and self._page.beside_panel:
            self._panel_wanted = wanted
        self._only_here, self._side_first = wanted, self._side_first and not wanted
        self.arrange()

    def toggle_side(self) -> None:
        """Open the right column, or close it."""
        self._side_wanted = self._side_first = not self.side_open
        self.arrange()

    def open_panel(self) -> None:
        """Have the experiment panel there."""
        if not self.panel_open:
            self.toggle_panel()

    def make_room(self, wanted: bool) -> None:
        """Close the experiment panel for a while, or bring it back where it was open."""
        self._crowded, self._only_here = wanted, None
        self.arrange()

    def arrange(self) -> None:
        """Show what is wanted and fits, each at its width."""
        page = self._page
        if page is None:
            return
        panel = self._panel_wanted and page.beside_panel and not self._crowded
        panel = panel if self._only_here is None else self._only_here
        side = self._side_wanted and page.side is not None
        room = self.width() - page.widget.minimumSizeHint().width()
        needs = self._panel.minimumWidth() + 1, self._sides.minimumSizeHint().width() + 1
        if panel and side and sum(needs) > room:
            panel, side = (False, True) if self._side_first else (True, False)
        self._open(panel and needs[0] <= room, side and needs[1] <= room)

    def _open(self, panel: bool, side: bool) -> None:
        changed = (panel, side) != (self.panel_open, self.side_open)
        assert self._page is not None
        for column, stays in ((self._panel, panel), (self._sides, side)):
            if not stays:
                hand_on_focus(column, self._page.widget)
        self._panel.setVisible(panel)
        self._sides.setVisible(side)
        wish = self._side_widths.get(self._page.key, 0)
        left = max(self._panel_width, self._panel.minimumWidth()) if panel else 0
        right = max(wish, self._sides.minimumSizeHint().width()) if side else 0
        least = self._page.widget.minimumSizeHint().width()
        over = max(0, left + right + least + 2 - self.width())  # what was made wide on a larger screen
        if panel:
            less = min(over, left - self._panel.minimumWidth())
            left, over = left - less, over - less
        self.setSizes([left, max(1, self.width() - left - (right - over) - panel - side), right - over])
        if changed:
            self.folded.emit()

    def _keep_widths(self) -> None:
        left, _, right = self.sizes()
        if self.panel_open:
            self._panel_width = left
        if self.side_open and self._page is not None:
            self._side_widths[self._page.key] = right

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fold, or unfold."""
        super().resizeEvent(event)
        self.arrange()

    def layout_state(self) -> str:
        """The widths, for next time."""
        return json.dumps({"panel": self._panel_width, "sides": self._side_widths})

    def take_up(self, state: str) -> None:
        """Take up the widths of last time; what is none of `layout_state` is passed over."""
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            known = json.loads(state)
            panel, sides = int(known["panel"]), {str(key): int(width) for key, width in known["sides"].items()}
            self._panel_width, self._side_widths = panel, sides
            self.arrange()
