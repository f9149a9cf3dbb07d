"""Minari looked through: datasets of this machine and, once asked for, public ones; what one holds; and its import."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QLineEdit, QTableWidget, QTableWidgetItem, QWidget

from ewm_studio import formatting as format
from ewm_studio.formatting import printable
from ewm_studio.ui.kit.widgets import button, label, row
from ewm_studio.ui.plots.histogram import HistogramCard
from ewm_studio.ui.recordings.dialogs import Choice

if TYPE_CHECKING:
    from ewm_studio.data.minari_catalog import DatasetEpisodes, DatasetInfo  # brings environments

COLUMNS = ("dataset", "environment", "episodes", "steps", "size")
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class MinariDialog(Choice):
    """Shows datasets and emits what is wanted of them; nothing is asked of a network before its button is pressed."""

    looked_at = Signal(str)  # a dataset of this machine: its episodes are wanted
    public_asked = Signal()
    download_asked = Signal(str)
    chosen = Signal(str, str, float, float)  # dataset, name of the recording, least and most return

    def __init__(self, parent: QWidget, name_problem: Callable[[str], str] = lambda _: "") -> None:
        words = "Datasets that Minari has on this machine. Public ones are listed when you ask for them."
        super().__init__("Import from Minari", words, "Import", parent)
        self._name_problem = name_problem
        self._infos: list[DatasetInfo] = []
        self._episodes: dict[str, DatasetEpisodes] = {}
        self._asked: set[str] = set()
        self.table = QTableWidget(0, len(COLUMNS))
        self._dress_table()
        self.public = button("List public datasets", "", "Asks the Hugging Face Hub", self._ask_public)
        self._about = label("", "secondary", wrap=True)
        self._charts = row(spacing=10)
        self.least, self.most = _limit("Least return"), _limit("Most return")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the recording")
        self.name.setPlaceholderText("name of the recording (the dataset's where empty)")
        for line in (self.least, self.most, self.name):
            line.textChanged.connect(lambda _: self._say())
        self._lay_out()
        self.yes.clicked.disconnect()
        self.yes.clicked.connect(self._on_yes)
        self.resize(760, 640)
        self.setMaximumHeight(int(parent.screen().availableGeometry().height() * 0.95))
        self._say()

    def _dress_table(self) -> None:
        table = self.table
        table.setAccessibleName("Datasets")
        for number, title in enumerate(COLUMNS):
            item = QTableWidgetItem(title)
            item.setTextAlignment(_RIGHT if number > 1 else _LEFT)
            table.setHorizontalHeaderItem(number, item)
        table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(30)
        header = table.horizontalHeader()
        for number in range(len(COLUMNS)):
            stretched = QHeaderView.ResizeMode.Stretch if number == 0 else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(number, stretched)
        table.setMinimumHeight(150)
        table.itemSelectionChanged.connect(self._on_selected)

    def _lay_out(self) -> None:
        self.body.addWidget(self.table, 1)
        self.body.addLayout(row(self.public, None))
        self.body.addWidget(self._about)
        self.body.addLayout(self._charts)
        limits = row(label("Only episodes that earned"), self.least, label("to"), self.most, None, spacing=8)
        self.body.addLayout(limits)
        self.body.addWidget(self.name)
        self.end_with_buttons()

    @property
    def selected(self) -> DatasetInfo | None:
        """The dataset whose row is selected."""
        rows = self.table.selectionModel().selectedRows()
        return self._infos[rows[0].row()] if rows else None

    @property
    def limits(self) -> tuple[float, float] | None:
        """The least and the most return; None where what is typed is no number, or the least is above the most."""
        try:
            least = float(self.least.text().strip() or -math.inf)
            most = float(self.most.text().strip() or math.inf)
        except ValueError:
            return None
        return (least, most) if least <= most else None

    def show_datasets(self, infos: Sequence[DatasetInfo], choose: str = "") -> None:
        """List datasets; one that is on this machine takes the place of a public one of the same id."""
        before = self.selected
        known = {info.id: info for info in (*self._infos, *infos)}
        known |= {info.id: info for info in (*self._infos, *infos) if info.local}
        self._infos = sorted(known.values(), key=lambda info: (not info.local, info.id.casefold()))
        self.table.blockSignals(True)
        self.table.setRowCount(len(self._infos))
        for number, info in enumerate(self._infos):
            self._fill_row(number, info)
        self.table.clearSelection()
        self.table.blockSignals(False)
        wanted = choose or (before.id if before is not None else "")
        ids = [info.id for info in self._infos]
        if ids:
            self.table.selectRow(ids.index(wanted) if wanted in ids else 0)
        self._say()

    def show_public(self, infos: Sequence[DatasetInfo]) -> None:
        """Public datasets were listed."""
        self._rest()
        self.show_datasets(infos)

    def show_episodes(self, dataset: str, found: DatasetEpisodes) -> None:
        """What the episodes of a dataset earned, and how long they are."""
        self._episodes[dataset] = found
        if (info := self.selected) is not None and info.id == dataset:
            self._draw(found)
        self._say()

    def show_problem(self, words: str) -> None:
        """Something that was asked for could not be had."""
        self._rest()
        self._say()
        self.problem.setText(words)

    def _fill_row(self, number: int, info: DatasetInfo) -> None:
        size = format.size(info.megabytes * 1e6) + ("" if info.local else ", public")
        texts = (info.id, info.env, format.count(info.episodes), format.count(info.steps), size)
        for place, text in enumerate(texts):
            item = QTableWidgetItem(printable(text))
            item.setTextAlignment(_RIGHT if place > 1 else _LEFT)
            item.setToolTip(printable(text))
            self.table.setItem(number, place, item)

    def _on_selected(self) -> None:
        info = self.selected
        self._draw(self._episodes.get(info.id) if info is not None else None)
        if info is not None and info.local and info.id not in self._asked:
            self._asked.add(info.id)
            self.looked_at.emit(info.id)
        self._say()

    def _draw(self, found: DatasetEpisodes | None) -> None:
        while (item := self._charts.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        if found is not None and len(found.returns):
            from ewm_studio.analysis.evaluated import spread_of  # what was found has brought environments already

            for title, values in (("Returns", found.returns), ("Lengths, in steps", found.lengths.astype(float))):
                self._charts.addWidget(HistogramCard(spread_of(values, title), "accent", float(values.mean())))

    def _say(self) -> None:
        info = self.selected
        self._about.setText(printable(info.about) if info is not None else "")
        self._about.setVisible(bool(info is not None and info.about))
        self.yes.setText("Download" if info is not None and not info.local else "Import")
        problem = self._problem()
        self.problem.setText(problem or self._what_is_kept())
        self.yes.setEnabled(info is not None and not problem)

    def _problem(self) -> str:
        """Why nothing can be imported yet."""
        info, name = self.selected, self.name.text().strip()
        if info is None:
            return "There is none on this machine yet." if not self._infos else "Choose a dataset."
        if not info.local:
            return ""
        if self.limits is None:
            return "Returns are numbers, the lower one first; empty for any."
        if name and (problem := self._name_problem(name)):
            return problem
        found = self._episodes.get(info.id)
        return "No episode earned that." if found is not None and not found.within(*self.limits) else ""

    def _what_is_kept(self) -> str:
        info = self.selected
        found = self._episodes.get(info.id) if info is not None else None
        if info is None or self.limits is None:
            return ""
        if not info.local:
            return f"{format.size(info.megabytes * 1e6)} come over the network; then its returns are shown."
        if found is None:
            return "Reading its returns …"
        return f"{format.count(found.within(*self.limits))} of {format.count(len(found.returns))} episodes"

    def _ask_public(self) -> None:
        self.public.setEnabled(False)
        self.public.setText("Asking …")
        self.public_asked.emit()

    def _rest(self) -> None:
        """Public datasets can be asked for."""
        self.public.setEnabled(True)
        self.public.setText("List public datasets")

    def _on_yes(self) -> None:
        info, limits = self.selected, self.limits
        if info is None:
            return
        if not info.local:
            self.yes.setEnabled(False)
            self.problem.setText("Downloading …")
            self.download_asked.emit(info.id)
        elif limits is not None:
            self.chosen.emit(info.id, self.name.text().strip(), *limits)
            self.accept()


def _limit(name: str) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setPlaceholderText("any")
    line.setMaximumWidth(90)
    return line
