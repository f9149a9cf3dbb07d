"""The keys that drive, as caps that light up while they are held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from ewm_studio.ui.kit.key_names import shown_key
from ewm_studio.ui.kit.theme import color, theme, ui_font

if TYPE_CHECKING:
    from ewm_studio.driving.controls import Scheme

CAP, GAP = 36, 4
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
