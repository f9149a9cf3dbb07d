"""The episodes of a recording as rows: a small picture, what was earned, how long it was, who drove and when."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetrics, QImage, QKeyEvent, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ewm_studio import formatting as format
from ewm_studio.data.recordings import EpisodeInfo
from ewm_studio.ui.kit.theme import color, theme, ui_font

ROW, GAP = 62, 8  # pixels; the gap is below each row
THUMBNAIL = 46
Index = QModelIndex | QPersistentModelIndex


def driver_of(info: EpisodeInfo) -> str:
    """Who drove, in words: "you", "random", "model, 14% you"."""
    if info.manual_share >= 1:
        return "you"
    other = "model" if info.source == "manual" else info.source or "unknown"
    return f"{other}, {info.manual_share:.0%} you" if info.manual_share else other


def moment_of(seconds: float) -> str:
    """A time of today as 14:05, of another day as 24 Nov."""
    then, now = time.localtime(seconds), time.localtime()
    if then[:3] == now[:3]:
        return time.strftime("%H:%M", then)
    return f"{then.tm_mday} {time.strftime('%b', then)}"


class EpisodeModel(QAbstractListModel):
    """Episodes, the latest first."""

    def __init__(self) -> None:
        super().__init__()
        self.episodes: list[EpisodeInfo] = []
        self._pictures: dict[tuple[Path, float], QImage] = {}

    def show_episodes(self, episodes: list[EpisodeInfo]) -> None:
        """Replace the rows."""
        self.beginResetModel()
        self.episodes = list(reversed(episodes))
        kept = {(e.path, e.recorded) for e in episodes}
        self._pictures = {key: image for key, image in self._pictures.items() if key in kept}
        self.endResetModel()

    def without_picture(self) -> list[EpisodeInfo]:
        """Episodes whose picture is not there yet, in the order of the rows."""
        return [e for e in self.episodes if (e.path, e.recorded) not in self._pictures]

    def show_picture(self, info: EpisodeInfo, picture: np.ndarray) -> None:
        """A small picture uint8 (S, S, 3) of an episode."""
        side = len(picture)
        # A copy, since the image would only point into the array.
        image = QImage(np.ascontiguousarray(picture).data, side, side, 3 * side, QImage.Format.Format_RGB888).copy()
        self._pictures[info.path, info.recorded] = image
        if info in self.episodes:
            at = self.index(self.episodes.index(info))
            self.dataChanged.emit(at, at)

    def picture(self, info: EpisodeInfo) -> QImage | None:
        """The picture of an episode, once it is there."""
        return self._pictures.get((info.path, info.recorded))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of episodes."""
        return 0 if parent.isValid() else len(self.episodes)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What is said of an episode."""
        info = self.episodes[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return info
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            reward = format.significant(info.total_reward)
            frames = format.count(info.length)
            return f"reward {reward}, {frames} frames, {driver_of(info)}, {moment_of(info.recorded)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{info.path.name}, {format.date(info.recorded)}"
        return None


class _Card(QStyledItemDelegate):
    """Paints a row as a card."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """As wide as there is room."""
        return QSize(120, ROW + GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw the card, its picture and its two lines."""
        model: Any = index.model()
        info: EpisodeInfo = model.data(index, Qt.ItemDataRole.UserRole)
        look: Any = option
        chosen = bool(look.state & QStyle.StateFlag.State_Selected)
        focused = bool(look.state & QStyle.StateFlag.State_HasFocus)
        hovered = bool(look.state & QStyle.StateFlag.State_MouseOver)
        card = QRectF(look.rect).adjusted(0.5, 0.5, -0.5, -GAP - 0.5)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(color("accent" if chosen and focused else "line"), 1))
        painter.setBrush(color("selection" if chosen else "hover" if hovered else "card"))
        painter.drawRoundedRect(card, 8, 8)
        self._draw_picture(painter, QPointF(card.left() + 8, card.top() + 8), model.picture(info))
        self._draw_words(painter, card.toRect().adjusted(THUMBNAIL + 18, 0, -12, 0), info)
        painter.restore()

    def _draw_picture(self, painter: QPainter, at: QPointF, picture: QImage | None) -> None:
        place = QRectF(at.x(), at.y(), THUMBNAIL, THUMBNAIL)
        path = QPainterPath()
        path.addRoundedRect(place, 4, 4)
        if picture is None:
            painter.fillPath(path, color("input"))
            return
        painter.save()
        painter.setClipPath(path)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(place, picture)
        painter.restore()

    def _draw_words(self, painter: QPainter, area: QRect, info: EpisodeInfo) -> None:
        upper = QRect(area.left(), area.top() + 11, area.width(), 20)
        lower = QRect(area.left(), area.top() + 32, area.width(), 18)
        bold, small = ui_font(13, 600), ui_font(12)
        middle = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        when = moment_of(info.recorded)
        painter.setFont(small)
        painter.setPen(color("secondary"))
        painter.drawText(upper, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), when)
        words = f"{format.count(info.length)} frames · {driver_of(info)}"
        words = QFontMetrics(small).elidedText(words, Qt.TextElideMode.ElideRight, lower.width())
        painter.drawText(lower, middle, words)
        reward = format.significant(info.total_reward)
        beside = upper.adjusted(QFontMetrics(bold).horizontalAdvance(reward) + 8, 0, 0, 0)
        painter.drawText(beside, middle, "reward")
        painter.setFont(bold)
        painter.setPen(color("text"))
        painter.drawText(upper, middle, reward)


class EpisodeList(QListView):
    """Rows to choose from, by mouse and keys."""

    replay_asked = Signal()
    delete_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.episodes = EpisodeModel()
        self.setModel(self.episodes)
        self.setItemDelegate(_Card(self))
        self.setProperty("role", "cards")
        self.setAccessibleName("Episodes")
        self.setMouseTracking(True)  # the row under the pointer is lit
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QListView.SelectionMode.SingleSelection)
        self.setUniformItemSizes(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.doubleClicked.connect(lambda _: self.replay_asked.emit())
        theme().changed.connect(self.viewport().update)

    @property
    def chosen(self) -> EpisodeInfo | None:
        """The episode that is selected."""
        rows = self.selectionModel().selectedRows()
        return self.episodes.episodes[rows[0].row()] if rows else None

    def choose(self, path: Path | None) -> None:
        """Select an episode by its file, or the first row."""
        paths = [e.path for e in self.episodes.episodes]
        if paths:
            self.setCurrentIndex(self.episodes.index(paths.index(path) if path in paths else 0))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter replays, Delete deletes."""
        if self.chosen is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.replay_asked.emit()
        elif self.chosen is not None and event.key() == Qt.Key.Key_Delete:
            self.delete_asked.emit()
        else:
            super().keyPressEvent(event)
