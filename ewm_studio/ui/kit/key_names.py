"""Keys by name, between Qt and what drives an environment: "left", "w", "space"."""

from __future__ import annotations

from PySide6.QtGui import QKeyEvent, QKeySequence

# What these do while driving is fixed, so they cannot be given to a move.
COMMANDS = {"space": "pause", "r": "restart", "m": "model", "esc": "leave", "tab": "", "backtab": ""}
_SHOWN = {"left": "◀", "right": "▶", "up": "▲", "down": "▼"}


def key_name(event: QKeyEvent) -> str:
    """The name of the key of an event; empty where it has none."""
    return QKeySequence(event.key()).toString(QKeySequence.SequenceFormat.PortableText).lower()


def shown_key(name: str) -> str:
    """A key's name as it stands on a key."""
    return _SHOWN.get(name, name.upper() if len(name) == 1 else name.capitalize())
