"""The environment card: a picture, what it observes and takes, and a searchable list to choose another from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from PySide6.QtCore import QModelIndex, QPoint, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeyEvent, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QFrame, QLineEdit, QListView, QVBoxLayout

from ewm_studio.analysis.inspection import EnvironmentInfo
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.theme import color, ui_font
from ewm_studio.ui.kit.widgets import TitleButton, column, label, row

ID = Qt.ItemDataRole.UserRole
_NONE: Mapping[str, str] = MappingProxyType({})
LOOKING = "Looking at it…"
_FIRST = ("CartPole-v1", "CarRacing-v3", "LunarLander-v3", "Acrobot-v1", "MountainCar-v0", "Pendulum-v1")


class EnvironmentList(QFrame):
    """A popup: type to narrow the list, Enter or a click chooses."""

    chosen = Signal(str)

    def __init__(self, parent: QFrame) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("role", "plate")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search, or type module:Id-v0")
        self.search.setAccessibleName("Search environments")
        self.search.textChanged.connect(self._narrow)
        self.search.returnPressed.connect(self._enter)
        self._names = QStandardItemModel()
        self._shown = QSortFilterProxyModel()
        self._shown.setSourceModel(self._names)
        self._shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.list = QListView()
        self.list.setModel(self._shown)
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.list.setAccessibleName("Environments")
        self.list.clicked.connect(self._take)
        self.list.activated.connect(self._take)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.search)
        layout.addWidget(self.list)
        self.set_names(list(_FIRST))

    def set_names(self, names: list[str], remarks: Mapping[str, str] = _NONE) -> None:
        """All that can be chosen: the familiar ones first, and last those of which something is remarked."""
        first = [name for name in _FIRST if name in names]
        plain = [name for name in names if name not in first and name not in remarks]
        self._names.clear()
        for name in (*first, *plain, *(name for name in names if name in remarks and name not in first)):
            item = QStandardItem(f"{name}  ({remarks[name]})" if name in remarks else name)
            item.setData(name, ID)
            if name in remarks:
                item.setForeground(color("secondary"))
            self._names.appendRow(item)

    def _mark(self, current: str) -> None:
        """Have the present choice stand out."""
        for line in range(self._names.rowCount()):
            item = self._names.item(line)
            chosen = item.data(ID) == current
            item.setFont(ui_font(13, 600 if chosen else 400))
            if chosen or "(" not in item.text():
                item.setForeground(color("accent" if chosen else "text"))

    def show_below(self, where: QFrame, current: str) -> None:
        """Open under a widget."""
        self.search.clear()
        self.resize(max(300, where.width()), 380)
        at = where.mapToGlobal(QPoint(0, where.height() + 4))
        area = where.screen().availableGeometry()
        at.setY(min(at.y(), area.bottom() - self.height()))
        self.move(at)
        self._mark(current)
        found = self._shown.match(self._shown.index(0, 0), ID, current, 1)
        self.list.setCurrentIndex(found[0] if found else self._shown.index(0, 0))
        self.show()
        self.search.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and down walk the list while the search line has the focus."""
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            step = 1 if event.key() == Qt.Key.Key_Down else -1
            at = min(max(self.list.currentIndex().row() + step, 0), self._shown.rowCount() - 1)
            self.list.setCurrentIndex(self._shown.index(at, 0))
            return
        super().keyPressEvent(event)

    def _narrow(self, text: str) -> None:
        self._shown.setFilterFixedString(text.strip())
        self.list.setCurrentIndex(self._shown.index(0, 0))

    def _enter(self) -> None:
        text = self.search.text().strip()
        index = self.list.currentIndex()
        if index.isValid() and ":" not in text:
            self._take(index)
        elif text:
            self.chosen.emit(text)
            self.close()

    def _take(self, index: QModelIndex) -> None:
        self.chosen.emit(str(index.data(ID)))
        self.close()


class EnvironmentCard(QFrame):
    """Shows the chosen environment; a click opens the list."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self._picture = Picture("Picture of the environment", 48)
        self.button = TitleButton("Choose another environment")
        self.button.setAccessibleName("Environment")
        self.button.clicked.connect(self.open_list)
        font = self.button.font()
        font.setPixelSize(14)
        font.setWeight(font.Weight.DemiBold)
        self.button.setFont(font)
        self._words = label("", "secondary", wrap=True)
        self.problem = ""  # why there is no such environment
        self._words.setContentsMargins(5, 0, 0, 0)  # under the title's text, which has a frame around it
        self._id = ""
        self.popup = EnvironmentList(self)
        self.popup.chosen.connect(self.chosen)
        texts = column(self.button, self._words, spacing=0)
        texts.setAlignment(self.button, Qt.AlignmentFlag.AlignLeft)
        layout = row(self._picture, spacing=8, margins=(10, 8, 8, 8))
        layout.addLayout(texts, 1)
        self.setLayout(layout)

    def open_list(self) -> None:
        """Let another environment be chosen."""
        self.popup.show_below(self, self._id)

    def show_id(self, id: str) -> None:
        """Show a name; words and picture follow when they are known."""
        if id != self._id:
            self._id, self.problem = id, ""
            self.button.setText(id)
            self._words.setText(LOOKING)
            self._picture.show_array(None)

    def show_info(self, info: EnvironmentInfo) -> None:
        """Show what the environment is."""
        if info.id == self._id:
            self.problem = ""
            self._words.setText(f"sees {info.observation} · acts {info.action}")
            self._picture.show_array(info.picture)

    def show_problem(self, text: str) -> None:
        """Say why there is no such environment."""
        self.problem = text
        self._words.setText(text)
