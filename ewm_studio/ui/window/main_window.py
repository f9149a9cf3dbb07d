"""The window: run bar, rail, experiment panel, pages and status line. It lays out; `studio` joins it to the engine."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QCloseEvent, QIcon, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QMainWindow,
    QMenu,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ewm_studio.resources import resource
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.drive.page import DrivePage
from ewm_studio.ui.experiment.panel import ExperimentPanel
from ewm_studio.ui.jobs.run_bar import RunBar
from ewm_studio.ui.kit import icons
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.kit.widgets import column, label, row
from ewm_studio.ui.replay.page import ReplayPage
from ewm_studio.ui.runs.page import RunsPage
from ewm_studio.ui.train.page import TrainPage
from ewm_studio.ui.train.side_panel import SidePanel
from ewm_studio.ui.vision.page import VisionPage

PAGES = (("train", "Train"), ("vision", "Vision"), ("drive", "Drive"), ("replay", "Replay"), ("runs", "Runs"))
WITHOUT_PANEL = ("replay",)  # pages that need its room; it can be opened there too
SMALLEST = QSize(960, 600)
# name -> (text, keys, menu); an empty text is a separator
ACTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("new", "New experiment", "Ctrl+N", "Experiment"),
    ("open", "Open experiment…", "Ctrl+O", "Experiment"),
    ("save", "Save experiment", "Ctrl+S", "Experiment"),
    ("save_as", "Save experiment as…", "Ctrl+Shift+S", "Experiment"),
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
    ("log", "Log", "Ctrl+L", "View"),
    ("reset_plots", "Show whole plots", "Ctrl+0", "View"),
    ("shortcuts", "Shortcuts", "F1", "Help"),
    ("quit", "Quit", "Ctrl+Q", ""),
)


class MainWindow(QMainWindow):
    """Everything that is seen."""

    close_asked = Signal(QCloseEvent)
    page_shown = Signal(str)
    space_pressed = Signal()

    def __init__(self, document: ExperimentDocument) -> None:
        super().__init__()
        self.setWindowTitle("EWM Studio")
        self.setWindowIcon(QIcon(str(resource("icons", "ewm-studio.svg"))))
        self.setMinimumSize(SMALLEST)
        self.actions_by_name: dict[str, QAction] = {}
        self.menus: dict[str, QMenu] = {}
        self.main_menu = QMenu(self)
        self._make_menus()
        self.bar = RunBar(self.main_menu)
        self.panel = ExperimentPanel(document, self.menus["Experiment"])
        self.train_page = TrainPage()
        self.vision_page = VisionPage(self.train_page.options)
        self.drive_page = DrivePage()
        self.replay_page = ReplayPage()
        self.runs_page = RunsPage()
        self.side = SidePanel()
        self.pages = QStackedWidget()
        self.pages.setObjectName("pages")
        for page in (self.train_page, self.vision_page, self.drive_page, self.replay_page, self.runs_page):
            self.pages.addWidget(page)
        self.rail = self._make_rail()
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.setHandleWidth(1)
        for index, widget in enumerate((self.panel, self.pages, self.side)):
            self.split.addWidget(widget)
            self.split.setStretchFactor(index, int(index == 1))
        self.split.setCollapsible(1, False)
        self.split.setSizes([320, 800, 264])
        self.status = self._make_status()
        middle = QWidget()
        beside = row(self.rail, spacing=0)
        beside.addWidget(self.split)
        middle.setLayout(beside)
        outer = QWidget()
        layout = QVBoxLayout(outer)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.bar)
        layout.addWidget(middle, 1)
        layout.addWidget(self.status)
        self.setCentralWidget(outer)
        self.actions_by_name["panel"].triggered.connect(self._toggle_panel)
        self.actions_by_name["side"].triggered.connect(self._toggle_side)
        self.actions_by_name["log"].triggered.connect(
            lambda: self.train_page.log.setVisible(self.train_page.log.isHidden())
        )
        self.actions_by_name["find"].triggered.connect(self._find)
        self._side_wanted = self._panel_wanted = True
        self._dress()
        theme().changed.connect(self._dress)
        self.show_page("train")
        self.bar.train.setFocus()

    def show_page(self, name: str) -> None:
        """Turn to a page."""
        index = [key for key, _ in PAGES].index(name)
        self.pages.setCurrentIndex(index)
        self._rail_buttons[name].setChecked(True)
        self.panel.setVisible(self._panel_wanted and name not in WITHOUT_PANEL)
        self.side.setVisible(self._side_wanted and name == "train")
        self.page_shown.emit(name)

    @property
    def page(self) -> str:
        """The page that is shown."""
        return PAGES[self.pages.currentIndex()][0]

    def shortcuts(self) -> list[tuple[str, str]]:
        """Keys and what they do, for the shortcuts page."""
        listed = [(a.shortcut().toString(), a.text().rstrip("…")) for a in self.actions_by_name.values()]
        pages = [(f"Ctrl+{n}", f"{title} page") for n, (_, title) in enumerate(PAGES, 1)]
        own = [
            ("Space", "Pause or resume"),
            ("Arrows, WASD", "Drive"),
            ("R", "Restart the drive"),
            ("M", "Let the model drive"),
            ("Esc", "Leave the drive"),
            ("Left, Right", "Step through a replay"),
            ("F10", "Menu"),
            ("Up, Down", "Step a number"),
            ("Ctrl+wheel", "Zoom a plot"),
        ]
        return [(keys, words) for keys, words in (*listed, *pages, *own) if keys]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space that nobody else took pauses."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.space_pressed.emit()
            return
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask whoever knows whether something runs."""
        self.close_asked.emit(event)

    def _make_menus(self) -> None:
        for name, text, keys, menu in ACTIONS:
            if menu and menu not in self.menus:
                self.menus[menu] = self.main_menu.addMenu(menu)
            action = QAction(text, self)
            if keys:
                action.setShortcut(QKeySequence(keys))
            self.actions_by_name[name] = action
            self.addAction(action)
            if menu:
                self.menus[menu].addAction(action)
        self.main_menu.addSeparator()
        self.main_menu.addAction(self.actions_by_name["quit"])
        open_menu = QAction("Menu", self)
        open_menu.setShortcut(QKeySequence("F10"))
        open_menu.triggered.connect(lambda: self.bar.brand.showMenu())
        self.addAction(open_menu)

    def _make_rail(self) -> QFrame:
        rail = QFrame()
        rail.setObjectName("rail")
        rail.setFixedWidth(64)
        self._rail_buttons: dict[str, QToolButton] = {}
        group = QButtonGroup(rail)
        layout = column(spacing=2, margins=(0, 10, 0, 10))
        for number, (name, title) in enumerate(PAGES, 1):
            made = QToolButton()
            made.setProperty("role", "rail")
            made.setText(title)
            made.setAccessibleName(f"{title} page")
            made.setToolTip(f"{title} (Ctrl+{number})")
            made.setShortcut(QKeySequence(f"Ctrl+{number}"))
            made.setCheckable(True)
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            made.setIconSize(QSize(20, 20))
            made.setFixedSize(64, 58)
            made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            made.clicked.connect(lambda _=False, name=name: self.show_page(name))
            group.addButton(made)
            self._rail_buttons[name] = made
            layout.addWidget(made)
        layout.addStretch(1)
        rail.setLayout(layout)
        return rail

    def _make_status(self) -> QFrame:
        status = QFrame()
        status.setObjectName("statusLine")
        status.setFixedHeight(26)
        self.workspace_label = label("")
        self.run_label = label("")
        self.late_label = label("")
        self.late_label.setToolTip("The longest this window has kept anyone waiting lately")
        self.environments_label = label("")
        layout = row(spacing=20, margins=(14, 0, 14, 0))
        layout.addWidget(self.workspace_label)
        layout.addWidget(self.run_label)
        layout.addStretch(1)
        layout.addWidget(self.environments_label)
        layout.addWidget(self.late_label)
        status.setLayout(layout)
        return status

    def _toggle_panel(self) -> None:
        self.panel.setVisible(self.panel.isHidden())
        if self.page not in WITHOUT_PANEL:
            self._panel_wanted = not self.panel.isHidden()

    def _toggle_side(self) -> None:
        self._side_wanted = not self._side_wanted
        self.side.setVisible(self._side_wanted and self.page == "train")

    def _find(self) -> None:
        self.panel.show()
        self.panel.search.setFocus()
        self.panel.search.selectAll()

    def _dress(self) -> None:
        for name, made in self._rail_buttons.items():
            made.setIcon(icons.icon(name, "secondary", "text", 20))
