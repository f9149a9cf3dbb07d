"""Under the picture: what the keys come to, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.driving.snapshot import Snapshot
from ewm_studio.ui.kit.theme import color, theme, ui_font

if TYPE_CHECKING:
    from ewm_studio.driving.controls import Scheme

ROW = 28
MOST_ROWS = 4  # of discrete actions that have a bar each


class Gauges(QWidget):
    """What is applied: a bar for each axis, from its zero; or for each discrete action, full while it is taken."""

    NAME_WIDTH = 104

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[str, float, float, float]] = []  # name, low, high, value
        self.scheme: Scheme | None = None  # what is shown
        self.setAccessibleName("What is applied")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(self.NAME_WIDTH + 80)
        self.setMaximumWidth(self.NAME_WIDTH + 240)
        theme().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """As many rows as there are."""
        return QSize(300, max(len(self._rows), 3) * ROW)

    def show_scheme(self, scheme: Scheme) -> None:
        """Show what there is to apply."""
        self.scheme = scheme
        self._rows = self._rows_of((), None)
        self.updateGeometry()
        self.update()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is applied now."""
        rows = self._rows_of(snapshot.values, snapshot.action)
        if rows != self._rows:
            self._rows = rows
            self.update()

    @property
    def values(self) -> dict[str, float]:
        """What is shown, by name."""
        return {name: value for name, _, _, value in self._rows}

    def _rows_of(self, values: Sequence[float], action: Any) -> list[tuple[str, float, float, float]]:
        scheme = self.scheme
        if scheme is None:
            return []
        if scheme.axes:
            at = values or [0.0] * len(scheme.axes)
            return [(axis.name, axis.low, axis.high, at[number]) for number, axis in enumerate(scheme.axes)]
        names = {int(taken): move for move, taken in scheme.actions.items()}
        rests = [taken for taken in scheme.rest if taken not in names]
        taken = None if action is None else int(action)
        if len(names) > MOST_ROWS:
            shown = "nothing" if taken in rests or taken is None else names[taken]
            return [(shown.capitalize(), 0.0, 1.0, float(taken is not None))]
        rows = [*names.items(), *((rest, "nothing") for rest in rests)]
        return [(name.capitalize(), 0.0, 1.0, float(number == taken)) for number, name in rows]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw names and bars."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(ui_font(13))
        top = (self.height() - len(self._rows) * ROW) / 2
        for number, (name, low, high, value) in enumerate(self._rows):
            y = top + number * ROW
            painter.setPen(color("secondary"))
            painter.drawText(QRectF(0, y, self.NAME_WIDTH, ROW), Qt.AlignmentFlag.AlignVCenter, name)
            track = QRectF(self.NAME_WIDTH, y + ROW / 2 - 3.5, self.width() - self.NAME_WIDTH - 1, 7)
            painter.setPen(QPen(color("line"), 1))
            painter.setBrush(color("input"))
            painter.drawRoundedRect(track, 3.5, 3.5)
            zero = track.left() + track.width() * (0 - low) / (high - low)
            end = track.left() + track.width() * (min(max(value, low), high) - low) / (high - low)
            if abs(end - zero) >= 1:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(color("controller"))
                painter.drawRoundedRect(QRectF(min(zero, end), track.top(), abs(end - zero), 7), 3.5, 3.5)
        painter.end()
