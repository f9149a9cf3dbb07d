"""A table of the settings in which the runs on the plots differ."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from ewm_studio.analysis.settings_diff import Difference
from ewm_studio.formatting import printable
from ewm_studio.ui.kit.widgets import button, label, row


class DifferencesDialog(QDialog):
    """A setting a row, a run a column."""

    def __init__(self, names: Sequence[str], found: Sequence[Difference], parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("What differs")
        self.table = QTableWidget(len(found), 1 + len(names))
        self.table.setAccessibleName("Settings that differ")
        self.table.setHorizontalHeaderLabels(["Setting", *map(printable, names)])
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setShowGrid(False)
        self.table.setTabKeyNavigation(False)
        for line, difference in enumerate(found):
            for place, text in enumerate((difference.label, *difference.values)):
                item = QTableWidgetItem(printable(text))
                item.setToolTip(difference.path if place == 0 else printable(text))
                self.table.setItem(line, place, item)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        close = button("Close", "primary", clicked=self.accept)
        close.setDefault(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(label("What differs", "title"))
        said = f"{len(found)} setting{'s' * (len(found) != 1)}" if found else "All settings are the same."
        layout.addWidget(label(said, "secondary"))
        layout.addWidget(self.table, 1)
        self.table.setVisible(bool(found))
        layout.addLayout(row(None, close))
        self.resize(min(900, 260 + 190 * len(names)), min(520, 190 + 32 * len(found)))
