"""The window: run bar, rail, experiment panel, pages and status line. It lays out whatever pages it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QIcon, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ewm_studio.resources import resource
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.experiment.forms import take_what_is_typed
from ewm_studio.ui.experiment.panel import ExperimentPanel
from ewm_studio.ui.jobs.run_bar import RunBar
from ewm_studio.ui.kit import icons
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.kit.widgets import Elided, IconButton, column, label, row
from ewm_studio.ui.page import Activity, Page
from ewm_studio.ui.window.columns import Columns, Sides
from ewm_studio.ui.window.leading import Leading
from ewm_studio.ui.window.typing_shortcuts import TypingShortcuts

SMALLEST = QSize(960, 500)  # 960x540 is a usual screen at a scale factor of two, less what the system takes
_RAIL_LOW, _RAIL_HIGH = 44, 58  # of a button
TOLD_MILLISECONDS = 6000
# (name, text, keys, menu); pages bring more, see `Page.actions`
ACTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("new", "New experiment", "Ctrl+N", "Experiment"),
    ("open", "Open experiment…", "Ctrl+O", "Experiment"),
    ("save", "Save experiment", "Ctrl+S", "Experiment"),
    ("save_as", "Save experiment as…", "Ctrl+Shift+S", "Experiment"),
    ("undo", "Undo what replaced the settings", "Ctrl+Alt+Z", "Experiment"),
    ("copy_command", "Copy as command line", "Ctrl+Shift+C", "Experiment"),
    ("workspace", "Open workspace…", "Ctrl+Shift+O", "Workspace"),
    ("pretrain", "Pretrain", "Ctrl+P", "Run"),
    ("train", "Train", "Ctrl+R", "Run"),
    ("infer", "Evaluate", "Ctrl+E", "Run"),
    ("pause", "Pause or resume", "", "Run"),
    ("stop", "Stop", "Ctrl+.", "Run"),
    ("find", "Search settings", "Ctrl+F", "View"),
    ("panel", "Experiment panel", "Ctrl+B", "View"),
    ("side", "Figures panel", "Ctrl+Alt+B", "View"),
    ("late", "How late the window is", "", "View"),
    ("tour", "Tour of five minutes", "", "Help"),
    ("glossary", "Glossary", "Shift+F1", "Help"),
    ("shortcuts", "Shortcuts", "F1", "Help"),
    ("files", "Where files are", "", "Help"),
    ("quit", "Quit", "Ctrl+Q", "Workspace"),
)
# Keys that mean something wherever there is something for them.
CHECKED = ("panel", "side", "late")  # say whether something is shown
MENUS = ("Experiment", "Workspace", "Run", "View", "Help")
EVERYWHERE = (("F10", "Menu"), ("Up, Down", "Step a number"), ("Ctrl+wheel", "Zoom a plot"))


class MainWindow(QMainWindow):
    """Everything that is seen."""

    close_asked = Signal(QCloseEvent)
    page_shown = Signal(str)
    space_pressed = Signal()

    def __init__(self, document: ExperimentDocument, pages: Sequence[Page]) -> None:
        super().__init__()
        self.pages = {page.key: page for page in pages}
        self.setWindowTitle("EWM Studio")
        self.setWindowIcon(QIcon(str(resource("icons", "ewm-studio.svg"))))
        self.setMinimumSize(SMALLEST)
        self.actions_by_name: dict[str, QAction] = {}
        self.menus: dict[str, QMenu] = {}
        self._make_menus()
        self.bar = RunBar()
        self.panel = ExperimentPanel(document, self.menus["Experiment"])
        self.stack, self.side = QStackedWidget(), Sides()
        self.stack.setObjectName("pages")
        for page in pages:
            self.stack.addWidget(page.widget)
            if page.side is not None:
                self.side.addWidget(page.side)
        self.rail = self._make_rail()
        self.columns = Columns(self.panel, self.stack, self.side)
        self.status = self._make_status()
        middle = QWidget()
        beside = row(self.rail, spacing=0)
        beside.addWidget(self.columns)
        middle.setLayout(beside)
        outer = QWidget()
        layout = QVBoxLayout(outer)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.bar)
        layout.addWidget(middle, 1)
        layout.addWidget(self.status)
        self.setCentralWidget(outer)
        self._make_corner()
        self.actions_by_name["panel"].triggered.connect(self.columns.toggle_panel)
        self.actions_by_name["side"].triggered.connect(self.columns.toggle_side)
        self.actions_by_name["find"].triggered.connect(self._find)
        for of_developers in (self.pace_label, self.late_label):
            self.actions_by_name["late"].toggled.connect(of_developers.setVisible)
        self.columns.folded.connect(self._show_folded)
        self._typing = TypingShortcuts(self)
        self._leading = Leading(pages, self.bar.show_leading, self)
        self._told = QTimer(self)  # as long as what was told is seen
        self._told.setSingleShot(True)
        self._told.setInterval(TOLD_MILLISECONDS)
        self._told.timeout.connect(lambda: self.said_label.setText(""))
        self._dress()
        theme().changed.connect(self._dress)
        self.show_page(pages[0].key)
        self.bar.train.setFocus()

    def show_page(self, key: str) -> None:
        """Turn to a page, where there is one by that key."""
        page = self.pages.get(key)
        if page is None:
            return
        self._rail_buttons[key].setChecked(True)
        self.columns.show_page(page)
        self._leading.show_page(page)
        self._show_folded()
        self.page_shown.emit(key)

    @property
    def page(self) -> str:
        """The key of the page that is shown."""
        return next(key for key, page in self.pages.items() if page.widget is self.stack.currentWidget())

    def add_actions(self, page: Page) -> None:
        """Put a page's own entries at the end of the menus."""
        for entry in page.actions:
            if entry.run is not None:
                action = self._add_action(entry.name, entry.text, entry.keys, entry.menu)
                action.triggered.connect(lambda _=False, run=entry.run: run())
            if entry.fill is not None:
                menu = self._menu(entry.menu).addMenu(entry.text)
                menu.aboutToShow.connect(partial(_refill, menu, entry.fill))

    def tell(self, text: str) -> None:
        """Say for a few seconds that something was done that nothing else shows."""
        self.said_label.setText(text)
        self._told.start()

    def choose_environment(self) -> None:
        """Open the list of environments."""
        self.columns.open_panel()
        self.panel.environment.open_list()

    def all_taken(self) -> bool:
        """Whether every value that is typed in the panel could be taken; goes to the first that could not."""
        take_what_is_typed()  # a button does not always take the focus
        wrong = self.panel.wrong
        if wrong is None:
            return True
        self.columns.open_panel()
        self.panel.go_to(wrong)
        self.tell(f"{wrong.field.label}: {wrong.message}")
        return False

    def shortcuts(self) -> list[tuple[str, str]]:
        """Keys and what they do, for the shortcuts page."""
        menus = [action for menu in self.menus.values() for action in menu.actions()]
        listed = [(action.shortcut().toString(), action.text().rstrip("…")) for action in menus]
        pages = [(f"Ctrl+{n}", f"{page.title} page") for n, page in enumerate(self.pages.values(), 1)]
        own = [keys for page in self.pages.values() for keys in page.shortcuts]
        space = ("Space", "Pause or resume")
        return [(keys, words) for keys, words in (*listed, *pages, space, *own, *EVERYWHERE) if keys]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space that nobody else took is for the page, or else pauses."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            if not self.pages[self.page].controller.take_space():
                self.space_pressed.emit()
            return
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Take what is being typed, then ask whoever knows whether something runs."""
        take_what_is_typed()
        self.close_asked.emit(event)

    def _make_menus(self) -> None:
        for name in MENUS:
            self.menus[name] = self.menuBar().addMenu(f"&{name}")
            self.menus[name].setToolTipsVisible(True)
        for name, text, keys, menu in ACTIONS:
            self._add_action(name, text, keys, menu).setCheckable(name in CHECKED)
        open_menu = QAction("Menu", self)
        open_menu.setShortcut(QKeySequence("F10"))
        open_menu.triggered.connect(self._open_menu)
        self.addAction(open_menu)

    def _open_menu(self) -> None:
        first = self.menuBar().actions()[0]
        self.menuBar().setFocus(Qt.FocusReason.MenuBarFocusReason)
        self.menuBar().setActiveAction(first)

    def _make_corner(self) -> None:
        """What folded can be opened by a click, at the right end of the menus."""
        self._folds = {"panel": "sliders", "side": "column"}
        self._corner = corner = QWidget()
        layout = row(spacing=2, margins=(0, 2, 10, 0))
        self.fold_buttons: dict[str, IconButton] = {}
        for name, icon in self._folds.items():
            action = self.actions_by_name[name]
            made = IconButton(icon, f"{action.text()} ({action.shortcut().toString()})")
            made.setCheckable(True)
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            made.clicked.connect(action.trigger)
            self.fold_buttons[name] = made
            layout.addWidget(made)
        corner.setLayout(layout)
        self.menuBar().setCornerWidget(corner)

    def _show_folded(self) -> None:
        """Say which columns are open, and whether the page has a right one."""
        there = self.pages[self.page].side is not None
        for name, shown in (("panel", self.columns.panel_open), ("side", there and self.columns.side_open)):
            self.actions_by_name[name].setChecked(shown)
            self.fold_buttons[name].setChecked(shown)
        self.actions_by_name["side"].setEnabled(there)
        self.fold_buttons["side"].setVisible(there)

    def _add_action(self, name: str, text: str, keys: str, menu: str) -> QAction:
        action = QAction(text, self)
        if keys:
            action.setShortcut(QKeySequence(keys))
        action.triggered.connect(take_what_is_typed)  # first: a key leaves the focus where it is
        self.actions_by_name[name] = action
        self.addAction(action)
        if menu:
            self._menu(menu).addAction(action)
        return action

    def _menu(self, name: str) -> QMenu:
        if name not in self.menus:
            self.menus[name] = self.menuBar().addMenu(f"&{name}")
        return self.menus[name]

    def _make_rail(self) -> QFrame:
        rail = QFrame()
        rail.setObjectName("rail")
        rail.setFixedWidth(64)
        self._rail_buttons: dict[str, QToolButton] = {}
        group = QButtonGroup(rail)
        layout = column(spacing=2, margins=(0, 10, 0, 10))
        for number, page in enumerate(self.pages.values(), 1):
            self._rail_buttons[page.key] = made = _rail_button(page, number)
            made.clicked.connect(lambda _=False, key=page.key: self.show_page(key))
            group.addButton(made)
            layout.addWidget(made, 1000)
        layout.addStretch(1)
        rail.setLayout(layout)
        return rail

    def _make_status(self) -> QFrame:
        status = QFrame()
        status.setObjectName("statusLine")
        status.setFixedHeight(26)
        self.workspace_label, self.run_label = Elided(), Elided()
        for shortened in (self.workspace_label, self.run_label):
            shortened.grow_to_text()
        self.pace_label, self.late_label = label(""), label("")
        self.late_label.setToolTip("The longest this window has kept anyone waiting lately")
        for of_developers in (self.pace_label, self.late_label):
            of_developers.hide()
        self.activity_label = label("")
        self.said_label = Elided()
        self.said_label.grow_to_text()
        layout = row(spacing=20, margins=(14, 0, 14, 0))
        layout.addWidget(self.workspace_label)
        layout.addWidget(self.run_label)
        layout.addWidget(self.said_label)
        layout.addStretch(1)
        layout.addWidget(self.activity_label)
        layout.addWidget(self.pace_label)
        layout.addWidget(self.late_label)
        status.setLayout(layout)
        return status

    def show_activity(self, activity: Activity | None) -> None:
        """Say in the status line what goes on upon a page."""
        self._leading.show_busy(activity is not None)
        self.activity_label.setText(activity.status if activity is not None else "")
        self.pace_label.setText(activity.pace if activity is not None else "")

    def _find(self) -> None:
        self.columns.open_panel()
        self.panel.search.setFocus()
        self.panel.search.selectAll()

    def _dress(self) -> None:
        for key, made in self._rail_buttons.items():
            made.setIcon(icons.icon(self.pages[key].icon, "secondary", "text", 20))


class RailButton(QToolButton):
    """Turns to a page; while that is seen Space means what it means there."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave Space to the window where it would turn nothing."""
        if event.key() == Qt.Key.Key_Space and self.isChecked():
            event.ignore()
            return
        super().keyPressEvent(event)


def _rail_button(page: Page, number: int) -> QToolButton:
    made = RailButton()
    made.setProperty("role", "rail")
    made.setText(page.title)
    made.setAccessibleName(f"{page.title} page")
    made.setToolTip(f"{page.title} (Ctrl+{number})")
    made.setShortcut(QKeySequence(f"Ctrl+{number}"))
    made.setCheckable(True)
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
    made.setIconSize(QSize(20, 20))
    made.setFixedWidth(64)
    made.setMinimumHeight(_RAIL_LOW)
    made.setMaximumHeight(_RAIL_HIGH)
    made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made


def _refill(menu: QMenu, fill: Callable[[QMenu], None]) -> None:
    menu.clear()
    fill(menu)
