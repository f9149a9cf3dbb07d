"""Tables of a study: the texts of a report's table, and the grid of its runs, cell by cell and seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QSizePolicy, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from ewm_studio import formatting as format
from ewm_studio.jobs.studies.tables import Table
from ewm_studio.ui.kit.texts import plain_tip
from ewm_studio.ui.kit.theme import color, ui_font

Index = QModelIndex | QPersistentModelIndex
_ROW, _TWO_LINES, _BOX = 32, 44, 34
_PADDING = 22
_WIDEST_NAME = 240
_SHADE = Qt.ItemDataRole.UserRole


class HeadedModel(QAbstractTableModel):
    """A table whose heads take two lines where that saves room."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    def break_heads(self, broken: bool) -> None:
        """Have heads on two lines, or on one."""
        if broken != self.broken:
            self.broken = broken
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, max(0, self.columnCount() - 1))

    def head(self, place: int) -> str:
        """What a column is."""
        raise NotImplementedError

    def in_the_middle(self, place: int) -> bool:
        """Whether a head stands in the middle of its column, and not at the side of its texts."""
        raise NotImplementedError

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What the columns are."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignCenter) if self.in_the_middle(section) else _side(section)
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return broken_head(self.head(section)) if self.broken else self.head(section)


class FittedTable(QTableView):
    """As high as its rows, and as wide as there is room: heads break before it scrolls sideways."""

    def __init__(self, name: str, model: HeadedModel, least: int) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._heads, self._least = model, least
        self.setModel(model)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollMode(QTableView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
        self.setProperty("role", "plain")
        self.verticalHeader().hide()
        heads = self.horizontalHeader()
        heads.setHighlightSections(False)
        heads.setSectionsClickable(False)
        heads.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        model.modelReset.connect(self.fit)

    def minimumSizeHint(self) -> QSize:
        """It scrolls sideways."""
        return QSize(120, self.minimumHeight())

    def fit(self) -> None:
        """Give every column its share of the room."""
        columns, rows = self._heads.columnCount(), self._heads.rowCount()
        width, needs, broken = self.viewport().width(), [0], False
        for least, broken in ((self._least, False), (0, False), (0, True)):
            needs = [self._needed(place, least, broken) for place in range(columns)]
            if sum(needs) <= width:
                break
        self._heads.break_heads(broken)
        room = width - sum(needs)
        for place, need in enumerate(needs):
            self.setColumnWidth(place, need + max(0, room // max(columns, 1)))
        high = sum(self.rowHeight(line) for line in range(rows))
        bar = self.horizontalScrollBar().sizeHint().height() if room < 0 else 0
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + high + bar + 2)

    def _needed(self, place: int, least: int, broken: bool) -> int:
        model, head = self._heads, self._heads.head(place)
        texts = [str(model.index(line, place).data() or "") for line in range(model.rowCount())]
        heads = [broken_head(head) if broken else head]
        widest = _PADDING + max(_widest(heads, ui_font(12)), _widest(texts, ui_font(13, 600)))
        return min(widest, _WIDEST_NAME) if place == 0 else max(widest, least)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room anew."""
        super().resizeEvent(event)
        self.fit()


def _widest(texts: Sequence[str], font: QFont) -> int:
    metrics = QFontMetrics(font)
    return max((metrics.horizontalAdvance(part) for text in texts for part in text.split("\n")), default=0)


def broken_head(text: str) -> str:
    """A head on two lines that are about as long as each other, where it has several words."""
    if "\n" in text or " " not in text:
        return text
    spaces = [place for place, letter in enumerate(text) if letter == " "]
    at = min(spaces, key=lambda place: abs(2 * place - len(text)))
    return f"{text[:at]}\n{text[at + 1 :]}"


class TextModel(HeadedModel):
    """A table of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table([""], [])

    def show_table(self, table: Table) -> None:
        """Show another one."""
        self.beginResetModel()
        self.table = table
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of rows."""
        return 0 if parent.isValid() else len(self.table.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(self.table.heads)

    def head(self, place: int) -> str:
        """What a column is."""
        return format.printable(self.table.heads[place]).replace(" + ", " +\n")

    def in_the_middle(self, place: int) -> bool:
        """Over cells that are shaded."""
        return self.table.shades is not None and place > 0

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One text, or how strong it is."""
        text = format.printable_lines(self.table.rows[index.row()][index.column()])
        if role == Qt.ItemDataRole.DisplayRole:
            return text
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(text) if text else None
        if role == _SHADE and self.table.shades is not None and index.column():
            return self.table.shades[index.row()][index.column() - 1]
        return None


def _side(column: int) -> int:
    side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)


class _TextDelegate(QStyledItemDelegate):
    """Numbers on the right, what stands small below them, and the strength of a cell as its ground."""

    def __init__(self, model: HeadedModel, parent: QTableView) -> None:
        super().__init__(parent)
        self._model = model

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        _draw_ground(painter, option)
        shade, area = index.data(_SHADE), option.rect.adjusted(10, 0, -10, -1)
        side = Qt.AlignmentFlag.AlignRight if index.column() else Qt.AlignmentFlag.AlignLeft
        if shade is not None:
            painter.fillRect(option.rect.adjusted(1, 1, -1, -2), color("accent", round(24 + 110 * shade)))
        if self._model.in_the_middle(index.column()):
            side = Qt.AlignmentFlag.AlignHCenter
        main, _, small = str(index.data() or "").partition("\n")
        painter.setFont(ui_font(13, 600 if shade is not None else 400))
        painter.setPen(color("text"))
        upper = QRect(area.left(), area.top() + 5, area.width(), 18) if small else area
        elided = QFontMetrics(painter.font()).elidedText(main, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(upper, int(side | Qt.AlignmentFlag.AlignVCenter), elided)
        if small:
            painter.setFont(ui_font(11))
            painter.setPen(color("text" if shade is not None and shade > 0.5 else "secondary"))
            lower = QRect(area.left(), area.top() + 22, area.width(), 16)
            painter.drawText(lower, int(side | Qt.AlignmentFlag.AlignVCenter), small)
        painter.restore()


def _draw_ground(painter: QPainter, option: QStyleOptionViewItem) -> None:
    if option.state & QStyle.StateFlag.State_Selected and option.state & QStyle.StateFlag.State_HasFocus:
        painter.fillRect(option.rect, color("selection"))
    painter.setPen(color("line"))
    painter.drawLine(option.rect.bottomLeft(), option.rect.bottomRight())


class FiguresTable(FittedTable):
    """A table of a report."""

    def __init__(self, name: str) -> None:
        self._texts = TextModel()
        super().__init__(name, self._texts, 64)
        self.setItemDelegate(_TextDelegate(self._texts, self))

    @property
    def shown(self) -> Table:
        """What it shows."""
        return self._texts.table

    def show_table(self, table: Table) -> None:
        """Show another one."""
        if table == self._texts.table:
            return
        self._texts.show_table(table)
        for line, row in enumerate(table.rows):
            self.setRowHeight(line, _TWO_LINES if any("\n" in text for text in row) else _ROW)
        self.fit()


@dataclass(frozen=True)
class Box:
    """One run in the grid.

    Attributes:
        state: waiting, running, finished or failed.
        share: of its work that is done.
        text: what it says: its score, or how far it is.
        strength: of its score among all, 0 to 1.
        run: its name in the workspace; empty before it has begun.
        tip: all that is known of it.
    """

    state: str
    share: float
    text: str
    strength: float
    run: str
    tip: str


class RunModel(HeadedModel):
    """Cells as rows, seeds as columns."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.seeds: list[int] = []
        self.boxes: list[list[Box]] = []

    def show_boxes(self, cells: Sequence[str], seeds: Sequence[int], boxes: Sequence[Sequence[Box]]) -> None:
        """Show how all runs stand."""
        same = list(cells) == self.cells and list(seeds) == self.seeds
        if not same:
            self.beginResetModel()
        self.cells, self.seeds, self.boxes = list(cells), list(seeds), [list(line) for line in boxes]
        if not same:
            self.endResetModel()
        elif cells and seeds:
            self.dataChanged.emit(self.index(0, 1), self.index(len(cells) - 1, len(seeds)))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of cells."""
        return 0 if parent.isValid() else len(self.cells)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """A name, and the seeds."""
        return 0 if parent.isValid() else 1 + len(self.seeds)

    def head(self, place: int) -> str:
        """What a column is."""
        return f"seed {self.seeds[place - 1]}" if place else "cell"

    def in_the_middle(self, place: int) -> bool:
        """Over the runs."""
        return place > 0

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A name, or a run."""
        if index.column() == 0:
            shown = format.printable(self.cells[index.row()])
            return shown if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole) else None
        box = self.boxes[index.row()][index.column() - 1]
        if role == Qt.ItemDataRole.DisplayRole:
            return box.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{box.state} {box.text}"
        return plain_tip(box.tip) if role == Qt.ItemDataRole.ToolTipRole else box if role == _SHADE else None


class _BoxDelegate(QStyledItemDelegate):
    """A run as a small plate: how far it is, what it came to, or that it failed."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = index.data(_SHADE)
        if box is None:
            _draw_ground(painter, option)
            metrics = QFontMetrics(option.font)
            area = option.rect.adjusted(10, 0, -6, 0)
            painter.setPen(color("text"))
            name = metrics.elidedText(str(index.data()), Qt.TextElideMode.ElideMiddle, area.width())
            painter.drawText(area, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name)
        else:
            painter.setPen(color("line"))
            painter.drawLine(option.rect.bottomLeft(), option.rect.bottomRight())
            _draw_box(painter, option, box)
        painter.restore()


def _draw_box(painter: QPainter, option: QStyleOptionViewItem, box: Box) -> None:
    plate = QRectF(option.rect).adjusted(3, 4, -3, -5)
    edge, ground, ink = color("line"), QColor(Qt.GlobalColor.transparent), color("secondary")
    if box.state == "finished":
        ground, ink = color("accent", round(30 + 105 * box.strength)), color("text")
        edge = QColor(Qt.GlobalColor.transparent)
    elif box.state == "failed":
        edge, ink = color("bad"), color("bad")
    elif box.state == "running":
        edge, ink = color("accent"), color("text")
    here = option.state & QStyle.StateFlag.State_Selected and option.state & QStyle.StateFlag.State_HasFocus
    if here or option.state & QStyle.StateFlag.State_MouseOver:
        edge = color("accent" if here else "secondary")
    painter.setPen(QPen(edge, 1))
    painter.setBrush(ground)
    painter.drawRoundedRect(plate, 4, 4)
    if box.state in ("running", "waiting") and box.share > 0:
        bar = QRectF(plate.left() + 4, plate.bottom() - 4.5, (plate.width() - 8) * box.share, 2.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("accent" if box.state == "running" else "disabled"))
        painter.drawRoundedRect(bar, 1, 1)
    painter.setPen(ink)
    painter.setFont(ui_font(12, 600 if box.state == "finished" else 400))
    painter.drawText(plate, int(Qt.AlignmentFlag.AlignCenter), box.text)


class RunGrid(FittedTable):
    """Every run of a study: a click shows it among all runs."""

    run_asked = Signal(str)

    def __init__(self) -> None:
        self.runs = RunModel()
        super().__init__("Runs of the study", self.runs, 80)
        self.setItemDelegate(_BoxDelegate(self))
        self.setMouseTracking(True)
        self.verticalHeader().setDefaultSectionSize(_BOX)
        self.clicked.connect(self._on_chosen)
        self.activated.connect(self._on_chosen)

    def _on_chosen(self, index: QModelIndex) -> None:
        box = index.data(_SHADE)
        if box is not None and box.run:
            self.run_asked.emit(box.run)
