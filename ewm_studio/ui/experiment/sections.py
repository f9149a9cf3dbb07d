"""A group of settings that folds: its rows, the rarely used ones behind "advanced", and how many are changed."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.fields import Field
from ewm_studio.ui.experiment.forms import SettingRow
from ewm_studio.ui.kit import icons
from ewm_studio.ui.kit.focus import tab_on
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.kit.widgets import button, label

AT_ONCE = 3  # rows made between two turns of the event loop, while nothing else is to do


class SettingRows(QWidget):
    """Rows for some fields; advanced ones are shown on request, or when they are changed or searched for."""

    def __init__(self, fields: list[Field], document: ExperimentDocument, whole: bool = True) -> None:
        """Rows for fields; where not the `whole` of them is made at once, `make` makes them."""
        super().__init__()
        self.rows: list[SettingRow] = []
        self._waiting = list(fields)
        self._document = document
        self._query = ""
        self.more = button("Advanced", "link")
        self.more.setCheckable(True)
        self.more.toggled.connect(self._arrange)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        self.make(len(fields) if whole else 0)

    def make(self, count: int) -> bool:
        """Make so many rows more; whether some are still to be made."""
        fields, self._waiting = self._waiting[:count], self._waiting[count:]
        for field in fields:
            self.rows.append(SettingRow(field, self._document))
            self._layout.insertWidget(len(self.rows) - 1, self.rows[-1])
        self._arrange()
        return bool(self._waiting)

    def refresh(self, path: str = "") -> None:
        """Show the document's values; of one setting where a path is given."""
        for item in self.rows:
            if not path or item.field.path == path:
                item.refresh()
        self._arrange()

    def search(self, text: str) -> int:
        """Show only what matches a text; gives how many do. An empty text shows everything."""
        self._query = text.strip()
        self._arrange()
        return sum(item.matches(self._query) for item in self.rows) if self._query else len(self.rows)

    def _arrange(self) -> None:
        hidden = 0
        for item in self.rows:
            waits = item.field.advanced and not self.more.isChecked() and not self._document.is_changed(item.field)
            hidden += item.field.advanced
            item.setVisible(item.matches(self._query) if self._query else not waits)
        self.more.setVisible(bool(hidden) and not self._query)
        self.more.setText("Less" if self.more.isChecked() else f"Advanced ({hidden})")


class Section(QWidget):
    """A titled group that opens and closes. Its rows are made when it is first opened, or asked for."""

    def __init__(self, title: str, fields: list[Field], document: ExperimentDocument, opened: bool = False) -> None:
        super().__init__()
        self.fields = fields
        self._title = title
        self._document = document
        self.rows: SettingRows | None = None
        self._whole = not fields  # whether every row is made
        self.header = button(title, "section")
        self.header.setCheckable(True)
        self.header.setIconSize(QSize(14, 14))
        self.header.toggled.connect(self._on_toggled)
        self._count = label("", "secondary")
        self._count.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        inside = QHBoxLayout(self.header)
        inside.setContentsMargins(0, 0, 4, 0)
        inside.addStretch(1)
        inside.addWidget(self._count)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self._layout.addWidget(self.header)
        self._show_arrow()
        theme().changed.connect(self._show_arrow)
        self.header.setChecked(opened)
        self.refresh()

    @property
    def opened(self) -> bool:
        """Whether its rows show."""
        return self.header.isChecked()

    def build(self) -> SettingRows:
        """Make the rows."""
        rows = self._begun()
        rows.make(len(self.fields))
        tab_on(self.header, rows)
        return rows

    def build_some(self) -> bool:
        """Make a few of the rows that are still to be made; whether there were any."""
        if self._whole:
            return False
        rows = self._begun()
        self._whole = not rows.make(AT_ONCE)
        tab_on(self.header, rows)
        return True

    def _begun(self) -> SettingRows:
        if self.rows is None:
            self.rows = SettingRows(self.fields, self._document, whole=False)
            self.rows.setContentsMargins(0, 0, 0, 8)
            self.rows.setVisible(self.opened)
            self._layout.addWidget(self.rows)
        return self.rows

    def refresh(self, path: str = "") -> None:
        """Show the document's values."""
        if self.rows is not None:
            self.rows.refresh(path)
        changed = sum(self._document.is_changed(field) for field in self.fields)
        self._count.setText(f"{changed} changed" if changed else "")

    def search(self, text: str) -> int:
        """Show only what matches; gives how many do."""
        if not text.strip():
            if self.rows is not None:
                self.rows.search("")
                self.rows.setVisible(self.opened)
            self.setVisible(True)
            return len(self.fields)
        rows = self.build()
        found = rows.search(text)
        rows.setVisible(bool(found))
        self.setVisible(bool(found))
        return found

    def _on_toggled(self, opened: bool) -> None:
        if opened:
            self.build()
        if self.rows is not None:
            self.rows.setVisible(opened)
        self._show_arrow()

    def _show_arrow(self) -> None:
        self.header.setIcon(icons.icon("chevron-down" if self.header.isChecked() else "chevron-right", "secondary"))
