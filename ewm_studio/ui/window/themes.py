"""The menu of themes."""

from __future__ import annotations

from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu

from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.theme import MODES, Mode, theme

_TEXTS = {"system": "As the system", "dark": "Dark", "light": "Light"}


def add_themes(menu: QMenu) -> None:
    """Offer the themes at the end of a menu."""
    themes = menu.addMenu("Theme")
    group = QActionGroup(themes)
    for mode in MODES:
        action = themes.addAction(_TEXTS[mode])
        action.setCheckable(True)
        action.setChecked(theme().mode == mode)
        group.addAction(action)
        action.triggered.connect(lambda _=False, mode=mode: _choose(mode))


def _choose(mode: Mode) -> None:
    store.store().setValue("theme", mode)
    theme().apply(mode)
