"""The Runs page: every run of the workspace in a table, and what can be done with one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QItemSelectionModel, QPersistentModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QHeaderView,
    QLineEdit,
    QMenu,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from ewm_studio import formatting as format
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.header import SortedHeader
from ewm_studio.ui.kit.widgets import button, label, row, stacked
from ewm_studio.ui.runs.assessment_view import AssessmentView
from ewm_studio.ui.runs.table import COLUMNS, TITLES, RunFilter, RunTable
from ewm_studio.workspace import RunInfo

# what -> (text, tip, keys while the table is seen)
ACTIONS = {
    "show": ("Show plots", "Show this run's history on the Plots page", ""),
    "compare": ("Compare", "Lay this run over the one on the plots, or take it away again", "C"),
    "resume": ("Resume", "Go on exactly where this run was stopped", ""),
    "continue": ("Continue from here", "Train a new run with this run's settings, from its best model", ""),
    "load": ("Load as model", "Start the next run from this run's best model", ""),
    "patch_v": ("Take vision", "The next run takes its vision from this run's best model", ""),
    "patch_m": ("Take memory", "The next run takes its memory from this run's best model", ""),
    "patch_c": ("Take controller", "The next run takes its controller from this run's best model", ""),
    "assess": ("Dreams", "How far its memory can be trusted as a world, beside guesses that need none", ""),
    "settings": ("Use its settings", "Take this run's experiment into the panel", ""),
    "rename": ("Rename…", "Give the run another name", "F2"),
    "note": ("Note…", "Write a note beside the run", ""),
    "tags": ("Tags…", "Mark runs by words that the filter finds", "T"),
    "delete": ("Delete…", "Move runs to the workspace's bin", "Del"),
}
BUTTONS = ("show", "compare", "resume", "continue", "load", "assess")
KEPT_LONGEST = ("show", "assess", "compare", "continue", "load", "resume")  # the last gives way first
PARTS = ("patch_v", "patch_m", "patch_c")
MORE = ("settings", "rename", "note", "tags", "delete")
OF_SEVERAL = ("compare", "tags", "delete")  # can be done with several runs at once
NEED_A_MODEL = ("resume", "continue", "load", "assess", *PARTS)
MARGIN = 12
LEAST_WIDTH = 480
EMPTY, TABLE, ASSESSMENT = range(3)
_WIDEST_NAME, _NAME_PADDING = 300, 24  # of the first column


class RunsPage(QWidget):
    """A table to sort and filter, and buttons for the chosen run."""

    asked = Signal(str, str)  # what to do, the run's name
    several_asked = Signal(str, list)  # what of `OF_SEVERAL` to do with several, by their names
    selected = Signal()  # another choice, or the same one as it is now
    train_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.table = RunTable()
        self._shown = RunFilter()
        self._shown.setSourceModel(self.table)
        self._shown.setSortRole(Qt.ItemDataRole.UserRole)
        self.view = QTableView()
        self.view.setModel(self._shown)
        self.view.setHorizontalHeader(SortedHeader(self.view))
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(TITLES.index("Started"), Qt.SortOrder.DescendingOrder)
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QTableView.SelectionMode.ExtendedSelection)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names differ at their ends
        self.view.setTabKeyNavigation(False)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(36)
        self.view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.view.horizontalHeader().setStretchLastSection(True)
        self.view.setVerticalScrollMode(QTableView.ScrollMode.ScrollPerItem)
        self.view.setHorizontalScrollMode(QTableView.ScrollMode.ScrollPerPixel)
        self.view.setAccessibleName("Runs")
        self.view.horizontalHeader().setSectionsMovable(True)
        for index, column in enumerate(COLUMNS):
            self.view.setColumnWidth(index, column.width)
        self._names_width = COLUMNS[0].width
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._open_menu)
        self.view.activated.connect(lambda _: self.ask("show"))
        self.view.selectionModel().selectionChanged.connect(self._on_selected)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Filter")
        self.search.setAccessibleName("Filter runs")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Runs in which every word is found: name, state, environment, parts, note, #tag")
        self.search.setFixedWidth(200)
        self.search.textChanged.connect(self._on_filter)
        self.actions_by_name = {what: self._action(what, *words) for what, words in ACTIONS.items()}
        self.menu = self._menu((*BUTTONS, *PARTS, *MORE))
        self._buttons: dict[str, QPushButton] = {}
        bar = row(spacing=8)
        for what in BUTTONS:
            text, tip, _ = ACTIONS[what]
            self._buttons[what] = button(text, "primary" if what == "show" else "", tip, partial(self.ask, what))
            bar.addWidget(self._buttons[what])
        self.parts = button("Take a part", "", "Take vision, memory or controller from this run's best model")
        self.parts.setMenu(self._menu(PARTS))
        self.more = button("More", "", "What else can be done with the run")
        self.more.setMenu(self._menu(MORE))
        self.others = QMenu(self)
        self.models = button("Other models", "", "Start from a shipped or pulled model, or take a part of one")
        self.models.setMenu(self.others)
        bar.addWidget(self.parts)
        bar.addWidget(self.models)
        bar.addWidget(self.more)
        bar.addStretch(1)
        self._bar = bar
        self.count = label("", "secondary")
        content = QWidget()
        body = QVBoxLayout(content)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(10)
        body.addLayout(row(label("Runs", "title"), self.count, None, self.search))
        body.addWidget(self.view, 1)
        body.addLayout(bar)
        self.empty = EmptyState(
            "runs",
            "No runs yet",
            "Every training and pretraining is kept here with its settings, its curves and its best model, to compare, "
            "continue and play.",
            "Train",
        )
        self.empty.action.clicked.connect(self.train_asked)
        self.assessment = AssessmentView()
        self._stack = stacked(self.empty, content, self.assessment)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self._stack)
        self._on_selected()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as many buttons as fit; what the others do stands in the menu."""
        super().resizeEvent(event)
        fixed = [self.parts, self.models, self.more]
        room = self.width() - 2 * MARGIN - sum(w.sizeHint().width() + self._bar.spacing() for w in fixed)
        hidden: list[str] = []
        for what in KEPT_LONGEST:
            room -= self._buttons[what].sizeHint().width() + self._bar.spacing()
            self._buttons[what].setVisible(room >= 0)
            if room < 0:
                hidden.append(what)
        menu = self.more.menu()
        menu.clear()
        menu.addActions([self.actions_by_name[name] for name in (*(b for b in BUTTONS if b in hidden), *MORE)])

    def minimumSizeHint(self) -> QSize:
        """The buttons give way, so that little is needed."""
        return QSize(LEAST_WIDTH, super().minimumSizeHint().height())

    @property
    def chosen(self) -> RunInfo | None:
        """The run that is selected; of several the first as they are sorted."""
        return next(iter(self.chosen_all), None)

    @property
    def chosen_all(self) -> list[RunInfo]:
        """The runs that are selected, as they are sorted."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedRows())
        return [self.table.runs[self._shown.mapToSource(self._shown.index(line, 0)).row()] for line in rows]

    def choose(self, name: str) -> None:
        """Select a run."""
        for line, info in enumerate(self.table.runs):
            if info.name == name:
                self._select(self._shown.mapFromSource(self.table.index(line, 0)).row())

    def _select(self, line: int) -> None:
        """Select this line alone, whatever keys are held: `selectRow` would go by them."""
        flag = QItemSelectionModel.SelectionFlag
        self.view.selectionModel().setCurrentIndex(self._shown.index(line, 0), flag.ClearAndSelect | flag.Rows)

    def show_runs(self, runs: list[RunInfo]) -> None:
        """Show these runs."""
        bar = self.view.verticalScrollBar()
        top = QPersistentModelIndex(self._shown.index(bar.value(), 0)) if bar.value() else None
        self.table.show_runs(runs)
        if top is not None and top.isValid():  # what is read stays where it is; who looks at the first sees a new one
            self.view.doItemsLayout()
            bar.setValue(top.row())
        self._widen_names()
        self._count()
        if not self.shows_assessment:
            self._stack.setCurrentIndex(TABLE if runs else EMPTY)
        if self.chosen is None and runs:
            self._select(max(0, self.view.currentIndex().row()))
        self._on_selected()

    def _widen_names(self) -> None:
        """Give the names the room they need, within reason, until somebody has drawn the column to a width."""
        if self.view.columnWidth(0) != self._names_width:
            return
        metrics, texts = self.view.fontMetrics(), (format.printable(COLUMNS[0].text(run)) for run in self.table.runs)
        widest = max((metrics.horizontalAdvance(text) for text in texts), default=0) + _NAME_PADDING
        self._names_width = min(max(COLUMNS[0].width, widest), _WIDEST_NAME)
        self.view.setColumnWidth(0, self._names_width)

    def _on_filter(self, text: str) -> None:
        self._shown.show_words(text)
        self._count()

    def _count(self) -> None:
        there, shown = len(self.table.runs), self._shown.rowCount()
        part = f"{format.count(shown)} of " if self.search.text().strip() else ""
        self.count.setText(f"{part}{format.count(there)} in this workspace")

    @property
    def shows_assessment(self) -> bool:
        """Whether one run's dreams are shown in place of the table."""
        return self._stack.currentIndex() == ASSESSMENT

    def show_assessment(self) -> None:
        """Show one run's dreams in place of the table."""
        self._stack.setCurrentIndex(ASSESSMENT)
        self.assessment.back.setFocus()

    def show_table(self) -> None:
        """Show the table of all runs again."""
        self._stack.setCurrentIndex(TABLE if self.table.runs else EMPTY)
        self.view.setFocus()

    def _action(self, what: str, text: str, tip: str, keys: str) -> QAction:
        action = QAction(text, self.view)
        action.setToolTip(tip)
        if keys:
            action.setShortcut(QKeySequence(keys))
        # While the table is seen: whoever came by the rail sees a run chosen, and the rail has the focus.
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda: self.ask(what))
        self.view.addAction(action)
        return action

    def _menu(self, names: Sequence[str]) -> QMenu:
        menu = QMenu(self)
        menu.addActions([self.actions_by_name[name] for name in names])
        return menu

    def _open_menu(self, at: QPoint) -> None:
        if self.view.indexAt(at).isValid():
            self.menu.popup(self.view.viewport().mapToGlobal(at))

    def ask(self, what: str) -> None:
        """Have something done with what is selected, where it can be."""
        chosen = self.chosen_all
        if not chosen or not all(self._possible(what, info) for info in chosen):
            return
        if len(chosen) == 1:
            self.asked.emit(what, chosen[0].name)
        elif what in OF_SEVERAL:
            self.several_asked.emit(what, [info.name for info in chosen])

    def _possible(self, what: str, info: RunInfo) -> bool:
        if what in ("rename", "delete") and info.state == "running":
            return False
        if what == "resume" and info.state in ("running", "finished"):
            return False
        return bool(info.checkpoint) or what not in NEED_A_MODEL

    def _on_selected(self, *_: object) -> None:
        chosen = self.chosen_all
        for what, action in self.actions_by_name.items():
            fits = len(chosen) == 1 or (len(chosen) > 1 and what in OF_SEVERAL)
            possible = fits and all(self._possible(what, info) for info in chosen)
            action.setEnabled(possible)
            if what in self._buttons:
                self._buttons[what].setEnabled(possible)
        self.parts.setEnabled(any(self.actions_by_name[what].isEnabled() for what in PARTS))
        self.more.setEnabled(bool(chosen))
        self.selected.emit()
