"""What a page of the window is: a widget that shows and asks, and a controller that joins it to the services."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMenu, QWidget

from ewm_studio.ui.kit.empty_state import Place

PlaceGroup = tuple[str, Sequence[Place]]  # a heading, and the ways out of an empty page that stand under it


@dataclass(frozen=True)
class Activity:
    """What goes on upon a page, for the run bar and the status line."""

    line: str  # "Episode 5 · 318 of 1,000 frames"
    figures: str  # "recorded 3,214 frames in 4 episodes · 18.9 MB"
    share: float | None  # done; None where no end is known
    recording: bool  # whether something is being written
    status: str  # "recording no-crash"
    pace: str = ""  # "step 20.0 ms, latest 1.1 ms late": for those who look for what is slow
    dreamt: bool = False  # whether it is a dream


class PageController(QObject):
    """Joins a page to the services. Everything here may be left as it is: then the page takes no part in it."""

    place_asked = Signal(str)  # a way out of the empty page, by its key
    room_wanted = Signal(bool)  # the page needs the experiment panel's room now, or no more
    activity = Signal(object)  # an Activity, or None when it is over

    def begin(self) -> None:
        """The window is there: load what takes time."""

    def shown(self) -> None:
        """The page is turned to."""

    def take_space(self) -> bool:
        """Space was pressed and nothing else took it; whether it means something upon the page."""
        return False

    def redraw_one(self) -> bool:
        """Bring one thing that changed up to date, twenty times a second; whether there was any."""
        return False

    def watch(self) -> None:
        """Look every two seconds for what changed outside of this program, while the page is seen."""

    def show_workspace(self) -> None:
        """The services have a workspace: the first one, or another than before."""

    def show_places(self, agents: PlaceGroup, workspaces: Sequence[PlaceGroup]) -> None:
        """Where the page is empty: trained agents that can be watched, and other workspaces that can be opened."""

    def end(self) -> None:
        """Leave nothing running; may wait for it."""


@dataclass(frozen=True)
class PageAction:
    """An entry that a page has in one of the window's menus."""

    name: str
    text: str
    menu: str  # Experiment, Workspace, Run, View or Help
    keys: str = ""
    run: Callable[[], None] | None = None
    fill: Callable[[QMenu], None] | None = None  # in place of `run`: a menu of its own, filled when it opens


@dataclass(frozen=True, eq=False)
class Page:
    """One page of the window."""

    key: str  # by which others turn to it
    title: str
    icon: str
    widget: QWidget
    controller: PageController
    side: QWidget | None = None  # stands right of the page
    # Whether the experiment panel is open beside it by itself, and training leads where nothing of the page's own does.
    beside_panel: bool = True
    actions: tuple[PageAction, ...] = ()
    shortcuts: tuple[tuple[str, str], ...] = ()  # keys that mean something on it, and what
