"""A color for each run that is laid over another; it stays the run's own as long as the window is open."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtGui import QColor

from ewm_studio.ui.kit.theme import DARK, tokens

# In the dark and in the light theme; none of them is a part's own color, and none means good or bad.
SHADES = (
    ("#60a5fa", "#1f6feb"),
    ("#f472b6", "#be185d"),
    ("#fb923c", "#c2410c"),
    ("#22d3ee", "#0e7490"),
    ("#a3e635", "#4d7c0f"),
    ("#e879f9", "#a21caf"),
    ("#cbd5e1", "#475569"),
    ("#facc15", "#854d0e"),
)


class RunColors:
    """Which run has which color, by its name."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}

    def give(self, names: Iterable[str]) -> None:
        """Have a color for each of the runs that are shown now; those that had one keep it."""
        names = [name for name in names if name]
        for name in names:
            if name not in self._of:
                seen = [self._of[other] for other in names if other in self._of]
                known = list(self._of.values())
                free = [n for n in range(len(SHADES)) if n not in known] or [
                    n for n in range(len(SHADES)) if n not in seen
                ]
                self._of[name] = free[0] if free else len(seen) % len(SHADES)

    def rename(self, name: str, new: str) -> None:
        """A run is called otherwise now."""
        if name in self._of:
            self._of[new] = self._of.pop(name)

    def forget(self, name: str) -> None:
        """A run is no more."""
        self._of.pop(name, None)

    def __getitem__(self, name: str) -> str:
        """The color of a run that was given one, as Qt and HTML read it, in the present theme."""
        return SHADES[self._of.get(name, 0)][0 if tokens() is DARK else 1]

    def color(self, name: str, alpha: int = 255) -> QColor:
        """The same to paint with."""
        found = QColor(self[name])
        found.setAlpha(alpha)
        return found
