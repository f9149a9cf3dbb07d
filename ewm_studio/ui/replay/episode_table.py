"""The episodes of an evaluation in a table: seed, reward, frames, a tick where the lap was finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHeaderView, QTableView

from ewm_studio import formatting as format
from ewm_studio.ui.kit.header import SortedHeader
from ewm_studio.workspace.replays import ReplayInfo

Index = QModelIndex | QPersistentModelIndex
LAP = "✓ "  # before the frames of a finished lap
# title, what it is sorted by, what it shows
COLUMNS: tuple[tuple[str, Callable[[ReplayInfo], float], Callable[[ReplayInfo], str]], ...] = (
    ("seed", lambda e: e.seed, lambda e: str(e.seed)),
    ("reward", lambda e: e.reward, lambda e: format.significant(e.reward)),
    ("frames", lambda e: e.frames, lambda e: f"{LAP if e.lap_finished else ''}{format.count(e.frames)}"),
)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class EpisodeModel(QAbstractTableModel):
    """Episodes as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.episodes: list[ReplayInfo] = []

    def show_episodes(self, episodes: list[ReplayInfo]) -> None:
        """Replace the rows."""
        self.beginResetModel()
        self.episodes = episodes
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of episodes."""
        return 0 if parent.isValid() else len(self.episodes)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section][0]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if section else _LEFT
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell."""
        episode, (title, key, text) = self.episodes[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return text(episode)
        if role == Qt.ItemDataRole.UserRole:
            return key(episode)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if index.column() else _LEFT
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{title} {text(episode)}, {_end(episode)}"
        return None


def _end(episode: ReplayInfo) -> str:
    if episode.lap_finished:
        return "lap finished"
    return "ended by the task" if episode.terminated else "cut at the longest time"


class EpisodeTable(QTableView):
    """Sorts and picks; one row is one episode."""

    picked = Signal(object)  # a ReplayInfo

    def __init__(self) -> None:
        super().__init__()
        self.episodes = EpisodeModel()
        self._sorted = QSortFilterProxyModel()
        self._sorted.setSourceModel(self.episodes)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._sorted)
        self.setHorizontalHeader(SortedHeader(self))
        self.setAccessibleName("Episodes")
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(32)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().selectionChanged.connect(self._on_selected)

    @property
    def chosen(self) -> ReplayInfo | None:
        """The episode that is selected."""
        rows = self.selectionModel().selectedRows()
        return self.episodes.episodes[self._sorted.mapToSource(rows[0]).row()] if rows else None

    def show_episodes(self, episodes: list[ReplayInfo]) -> None:
        """Show these and pick the first as they are sorted."""
        self.episodes.show_episodes(episodes)
        if episodes:
            self.selectRow(0)

    def pick(self, seed: int) -> None:
        """Pick the episode of a seed."""
        rows = [row for row, episode in enumerate(self.episodes.episodes) if episode.seed == seed]
        if rows:
            self.selectRow(self._sorted.mapFromSource(self.episodes.index(rows[0], 0)).row())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space is the player's."""
        if event.key() == Qt.Key.Key_Space:
            event.ignore()
            return
        super().keyPressEvent(event)

    def _on_selected(self) -> None:
        if self.chosen is not None:
            self.picked.emit(self.chosen)
