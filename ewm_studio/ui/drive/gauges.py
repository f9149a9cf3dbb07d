"""Under the picture: the keys that drive, as caps, and what they come to, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ewm_studio.driving.snapshot import Snapshot
from ewm_studio.ui.drive.key_names import shown_key
from ewm_studio.ui.kit.theme import color, theme, ui_font

if TYPE_CHECKING:
    from ewm_studio.driving.controls import Scheme

CAP, GAP, ROW = 36, 4, 28
MOST_ROWS = 4  # of discrete actions that have a bar each
_ARROWS = {"up": (1, 0), "left": (0, 1), "down": (1, 1), "right": (2, 1)}  # column and row of the cap


class KeyCaps(QWidget):
    """One cap a move; lit while one of the move's keys is held."""

    def __init__(self) -> None:
        super().__init__()
        self._caps: list[tuple[str, str, tuple[int, int], tuple[str, ...]]] = []  # key, move, place, keys of the move
        self._held: tuple[str, ...] = ()
        self.setAccessibleName("Keys")
        theme().changed.connect(self.update)

    def show_scheme(self, scheme: Scheme) -> None:
        """Show the keys of these moves: as arrows lie on a keyboard where arrows drive, else in a row."""
        first = {move: keys[0] for move, keys in scheme.keys.items() if keys}
        # As arrows lie where they go up or down as well, in a row where they only go left and right.
        arrows = set(first.values()) <= set(_ARROWS) and bool(set(first.values()) & {"up", "down"})
        self._caps = [
            (key, move, _ARROWS[key] if arrows else (number, 0), scheme.keys[move])
            for number, (move, key) in enumerate(first.items())
        ]
        columns, rows = (max((place[way] for _, _, place, _ in self._caps), default=0) + 1 for way in (0, 1))
        self.setFixedSize(QSize(columns * (CAP + GAP) - GAP, rows * (CAP + GAP) - GAP))
        words = "; ".join(f"{move}: {' or '.join(map(shown_key, keys))}" for move, keys in scheme.keys.items())
        self.setToolTip(words)
        self.setAccessibleDescription(words)
        self.update()

    def show_held(self, held: tuple[str, ...]) -> None:
        """Light the caps of these keys."""
        if held != self._held:
            self._held = held
            self.update()

    @property
    def lit(self) -> list[str]:
        """The moves whose caps are lit."""
        return [move for _, move, _, keys in self._caps if set(keys) & set(self._held)]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the caps."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(ui_font(14, 600))
        lit = self.lit
        for key, move, (column, row), _ in self._caps:
            place = QRectF(column * (CAP + GAP) + 0.5, row * (CAP + GAP) + 0.5, CAP - 1, CAP - 1)
            on = move in lit
            painter.setPen(QPen(color("accent" if on else "line"), 1))
            painter.setBrush(color("accent" if on else "card"))
            painter.drawRoundedRect(place, 6, 6)
            painter.setPen(color("on_accent" if on else "text"))
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, shown_key(key))
        painter.end()


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
