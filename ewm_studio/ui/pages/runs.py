"""The Runs page: every run of the workspace in a table, and what can be done with one."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtWidgets import QHeaderView, QLineEdit, QStackedWidget, QTableView, QVBoxLayout, QWidget

from ewm_studio.ui import format
from ewm_studio.ui.theme import color
from ewm_studio.ui.widgets import EmptyState, button, label, row
from ewm_studio.workspace import RunInfo

COLUMNS = (
    "Run",
    "Environment",
    "Parts",
    "State",
    "Best reward",
    "Mean reward",
    "Steps",
    "Seed",
    "Time",
    "Started",
    "Note",
)
_NUMBERS = (4, 5, 6, 7)
_STATES = {
    "running": "accent",
    "finished": "good",
    "stopped": "secondary",
    "failed": "bad",
    "interrupted": "controller",
}
Index = QModelIndex | QPersistentModelIndex


def parts_of(info: RunInfo) -> str:
    """The run's components as "ConvVAE + MDNRNN + LinearController"."""
    names = [str(info.parts.get(kind, {}).get("name", "")) for kind in ("vision", "memory", "controller")]
    return " + ".join(name for name in names if name)


def seconds_of(info: RunInfo) -> float | None:
    """How long a run took; None while it goes on."""
    if info.started is None or info.finished is None:
        return None
    return max(0.0, info.finished - info.started)


class RunTable(QAbstractTableModel):
    """Runs as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[RunInfo] = []

    def show_runs(self, runs: list[RunInfo]) -> None:
        """Replace the rows; the same runs in the same order keep their selection."""
        if [r.name for r in runs] == [r.name for r in self.runs]:
            self.runs = runs
            if runs:
                self.dataChanged.emit(self.index(0, 0), self.index(len(runs) - 1, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self.runs = runs
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of runs."""
        return 0 if parent.isValid() else len(self.runs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section in _NUMBERS else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell."""
        info, column = self.runs[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts(info)[column]
        if role == Qt.ItemDataRole.UserRole:
            return self._keys(info)[column]
        if role == Qt.ItemDataRole.TextAlignmentRole and column in _NUMBERS:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ForegroundRole and column == 3:
            return color(_STATES.get(info.state, "text"))
        if role == Qt.ItemDataRole.ToolTipRole:
            return info.error if column == 3 and info.error else self._texts(info)[column]
        return None

    def _texts(self, info: RunInfo) -> tuple[str, ...]:
        return (
            info.title or info.name,
            info.env,
            parts_of(info),
            info.state,
            "" if info.best_reward is None else format.significant(info.best_reward),
            "" if info.mean_reward is None else format.significant(info.mean_reward),
            format.count(info.steps),
            str(info.seed),
            format.duration(seconds_of(info)),
            format.date(info.started or info.created),
            info.note,
        )

    def _keys(self, info: RunInfo) -> tuple[Any, ...]:
        low = float("-inf")
        texts = self._texts(info)
        return (
            *texts[:4],
            low if info.best_reward is None else info.best_reward,
            low if info.mean_reward is None else info.mean_reward,
            info.steps,
            info.seed,
            seconds_of(info) or low,
            info.started or info.created,
            info.note,
        )


class RunsPage(QWidget):
    """A table to sort and filter, and buttons for the chosen run."""

    asked = Signal(str, str)  # what to do, the run's name
    train_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.table = RunTable()
        self._shown = QSortFilterProxyModel()
        self._shown.setSourceModel(self.table)
        self._shown.setSortRole(Qt.ItemDataRole.UserRole)
        self._shown.setFilterKeyColumn(-1)
        self._shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.view = QTableView()
        self.view.setModel(self._shown)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(9, Qt.SortOrder.DescendingOrder)
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setTabKeyNavigation(False)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(36)
        self.view.horizontalHeader().setHighlightSections(False)
        self.view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.view.horizontalHeader().setStretchLastSection(True)
        self.view.setHorizontalScrollMode(QTableView.ScrollMode.ScrollPerPixel)
        self.view.setAccessibleName("Runs")
        for column, width in enumerate((210, 120, 290, 90, 96, 100, 90, 54, 100, 130)):
            self.view.setColumnWidth(column, width)
        self.view.doubleClicked.connect(lambda _: self._ask("show"))
        self.view.selectionModel().selectionChanged.connect(self._on_selected)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Filter")
        self.search.setAccessibleName("Filter runs")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(200)
        self.search.textChanged.connect(self._shown.setFilterFixedString)
        self._buttons = {
            key: button(text, "primary" if key == "show" else "", tip, partial(self._ask, key))
            for key, text, tip in (
                ("show", "Show plots", "Show this run's history on the Train page"),
                ("resume", "Resume", "Go on exactly where this run was stopped"),
                ("load", "Load as model", "Start the next run from this run's best model"),
                ("settings", "Use its settings", "Take this run's experiment into the panel"),
                ("rename", "Rename…", "Give the run another name"),
                ("note", "Note…", "Write a note beside the run"),
                ("delete", "Delete", "Move the run to the workspace's bin"),
            )
        }
        self.count = label("", "secondary")
        content = QWidget()
        body = QVBoxLayout(content)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(10)
        body.addLayout(row(label("Runs", "title"), self.count, None, self.search))
        body.addWidget(self.view, 1)
        body.addLayout(row(*self._buttons.values(), None))
        self.empty = EmptyState(
            "runs",
            "No runs yet",
            "Every training and pretraining is kept here with its settings, its curves and its best model, to compare, "
            "continue and play.",
            "Train",
        )
        assert self.empty.action is not None
        self.empty.action.clicked.connect(self.train_asked)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self._stack)
        self._on_selected()

    @property
    def chosen(self) -> RunInfo | None:
        """The run that is selected."""
        rows = self.view.selectionModel().selectedRows()
        return self.table.runs[self._shown.mapToSource(rows[0]).row()] if rows else None

    def choose(self, name: str) -> None:
        """Select a run."""
        for line, info in enumerate(self.table.runs):
            if info.name == name:
                self.view.selectRow(self._shown.mapFromSource(self.table.index(line, 0)).row())

    def show_runs(self, runs: list[RunInfo]) -> None:
        """Show these runs."""
        chosen = self.chosen
        self.table.show_runs(runs)
        self.count.setText(f"{format.count(len(runs))} in this workspace")
        self._stack.setCurrentIndex(1 if runs else 0)
        if chosen is not None and self.chosen is None:
            self.choose(chosen.name)
        elif self.chosen is None and runs:
            self.view.selectRow(0)
        self._on_selected()

    def _ask(self, what: str) -> None:
        info = self.chosen
        if info is not None:
            self.asked.emit(what, info.name)

    def _on_selected(self, *_: object) -> None:
        info = self.chosen
        for key, made in self._buttons.items():
            possible = info is not None and not (key in ("resume", "rename", "delete") and info.state == "running")
            made.setEnabled(possible and not (key == "load" and info is not None and not info.checkpoint))
