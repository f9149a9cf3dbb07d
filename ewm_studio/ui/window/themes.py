"""The menu of themes."""

from __future__ import annotations

from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu

from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.theme import MODES, Mode, theme

_TEXTS = {"system": "As the system", "dark": "Dark", "light": "Light"}


def add_themes(menu: QMenu) -> None:
    """Offer the themes at the end of a menu."""
    themes = menu.addMenu("Theme")
    group = QActionGroup(themes)
    offered: dict[Mode, QAction] = {}
    for mode in MODES:
        offered[mode] = action = themes.addAction(_TEXTS[mode])
        action.setCheckable(True)
        group.addAction(action)
        action.triggered.connect(lambda _=False, mode=mode: _choose(mode))
    # The window is made before it is dressed as it was last time.
    themes.aboutToShow.connect(lambda: offered[theme().mode].setChecked(True))


def _choose(mode: Mode) -> None:
    store.store().setValue("theme", mode)
    theme().apply(mode)
