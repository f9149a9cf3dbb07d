"""The runs of a workspace as rows: the columns, what sorts them, and the filter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt

from ewm_studio import formatting as format
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.ui.kit.texts import plain_tip
from ewm_studio.ui.kit.theme import color
from ewm_studio.workspace import RunInfo

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
    names = [str(info.parts.get(kind, {}).get("name", "")) for kind in COMPONENTS]
    return " + ".join(name for name in names if name)


def seconds_of(info: RunInfo) -> float | None:
    """How long a run took; None while it goes on."""
    if info.started is None or info.finished is None:
        return None
    return max(0.0, info.finished - info.started)


@dataclass(frozen=True)
class Column:
    """One column: its title, how wide it starts, what it shows of a run and what it is sorted by."""

    title: str
    width: int
    text: Callable[[RunInfo], str]
    key: Callable[[RunInfo], Any] | None = None  # None: by the text
    number: bool = False
    tip: str = ""  # what is meant by its title

    def sort_key(self, info: RunInfo) -> Any:
        """What the column is sorted by; a number that is not there counts as the least."""
        value = (self.key or self.text)(info)
        return float("-inf") if value is None else value


def steps_of(info: RunInfo) -> str:
    """How far a run is; pretraining counts the frames it trained on, each as often as it saw it."""
    return f"{format.count(info.steps)} frames" if info.job == "pretrain" else format.count(info.steps)


BEST_TIP = (
    "Of the best model, which is the one that is loaded: the mean of the last 100 episodes when it was saved; of a run "
    "that learns in dreams, its judgement for real"
)
MEAN_TIP = "Mean of the last 100 episodes"
STEPS_TIP = "Environment steps; of pretraining the frames trained on, each as often as it was seen"
TIME_TIP = "Spent on the run, all its parts together where it was resumed"

# What decides stands first: a small window shows it without scrolling.
COLUMNS = (
    Column("Run", 190, lambda run: run.title or run.name),
    Column("State", 98, lambda run: run.state),
    Column("Environment", 110, lambda run: run.env),
    Column("Best reward", 98, lambda run: _reward(run.best_reward), lambda run: run.best_reward, True, BEST_TIP),
    Column("Steps", 98, lambda run: steps_of(run), lambda run: run.steps, True, STEPS_TIP),
    Column("Time", 104, lambda run: format.duration(seconds_of(run)), lambda run: seconds_of(run), True, TIME_TIP),
    Column("Started", 140, lambda run: format.date(run.started or run.created), lambda run: run.started or run.created),
    Column("Parts", 320, lambda run: parts_of(run)),
    Column("Mean reward", 104, lambda run: _reward(run.mean_reward), lambda run: run.mean_reward, True, MEAN_TIP),
    Column("Seed", 54, lambda run: str(run.seed), lambda run: run.seed, True),
    Column("Job", 80, lambda run: run.job),
    Column("Note", 160, lambda run: run.note),
)
TITLES = tuple(column.title for column in COLUMNS)


def _reward(value: float | None) -> str:
    return "" if value is None else format.significant(value)


class RunTable(QAbstractTableModel):
    """Runs as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[RunInfo] = []

    def show_runs(self, runs: list[RunInfo]) -> None:
        """Show these: rows come and go, so that what is selected of the others stays so."""
        names = {run.name for run in runs}
        if not any(run.name in names for run in self.runs):
            self.beginResetModel()
            self.runs = list(runs)
            self.endResetModel()
            return
        for line in reversed(range(len(self.runs))):
            if self.runs[line].name not in names:
                self._remove(line, line)
        for line, run in enumerate(runs):
            if line < len(self.runs) and self.runs[line].name == run.name:
                self.runs[line] = run
            else:
                self.beginInsertRows(QModelIndex(), line, line)
                self.runs.insert(line, run)
                self.endInsertRows()
        if len(self.runs) > len(runs):  # those that stood in another order
            self._remove(len(runs), len(self.runs) - 1)
        self.dataChanged.emit(self.index(0, 0), self.index(len(runs) - 1, len(COLUMNS) - 1))

    def _remove(self, first: int, last: int) -> None:
        self.beginRemoveRows(QModelIndex(), first, last)
        del self.runs[first : last + 1]
        self.endRemoveRows()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of runs."""
        return 0 if parent.isValid() else len(self.runs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return TITLES[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return COLUMNS[section].tip or None
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if COLUMNS[section].number else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell."""
        info, column = self.runs[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return format.printable(column.text(info))
        if role == Qt.ItemDataRole.UserRole:
            return column.sort_key(info)
        if role == Qt.ItemDataRole.TextAlignmentRole and column.number:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ForegroundRole and column.title == "State":
            return color(_STATES.get(info.state, "text"))
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(info.error if column.title == "State" and info.error else column.text(info))
        return None


class RunFilter(QSortFilterProxyModel):
    """Sorts runs, and shows those in which every word is found."""

    def __init__(self) -> None:
        super().__init__()
        self._words: list[str] = []

    def show_words(self, text: str) -> None:
        """Look for these."""
        self._words = text.casefold().split()
        self.invalidate()

    def filterAcceptsRow(self, line: int, parent: Index) -> bool:
        """Whether all words are somewhere in a run's cells."""
        table = self.sourceModel()
        assert isinstance(table, RunTable)
        info = table.runs[line]
        cells = " ".join(column.text(info) for column in COLUMNS).casefold()
        return all(word in f"{cells} {info.name.casefold()}" for word in self._words)
