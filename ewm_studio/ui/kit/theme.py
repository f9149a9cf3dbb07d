"""The window's colors and type: tokens for dark and light, the palette that carries them, following the system.

The style sheet names colors by their places in the palette and never changes: to set another would dress every widget
anew at once, for seconds on a busy machine. Another theme is another palette; what is seen takes it up at once, the
rest a few milliseconds at a time, or when it is about to be seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Literal, get_args

import shiboken6
from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from ewm_studio.resources import resource

Mode = Literal["system", "dark", "light"]
MODES: tuple[Mode, ...] = get_args(Mode)
SANS = ("Inter", "SF Pro Text", "Segoe UI", "Noto Sans", "Ubuntu", "Cantarell", "DejaVu Sans", "sans-serif")
DRESSING_SECONDS = 0.01  # of the window's time, in one go, for what is not seen
MONO = ("JetBrains Mono", "SF Mono", "Cascadia Mono", "Noto Sans Mono", "DejaVu Sans Mono", "monospace")


@dataclass(frozen=True)
class Tokens:
    """Every color by what it is for."""

    background: str
    panel: str
    card: str
    line: str
    input: str
    text: str
    secondary: str
    disabled: str
    hover: str
    selection: str
    scroll: str
    accent: str
    accent_hover: str
    on_accent: str
    vision: str
    memory: str
    controller: str
    good: str
    doubt: str
    bad: str


DARK = Tokens(
    background="#14161a",
    panel="#1a1d23",
    card="#21252d",
    line="#2c313b",
    input="#15181d",
    text="#e7e9ec",
    secondary="#98a1ad",
    disabled="#5b636f",
    hover="#2a2f39",
    selection="#2b3b52",
    scroll="#3a414d",
    accent="#4f9cf9",
    accent_hover="#6badfb",
    on_accent="#0b1526",
    vision="#2dd4bf",
    memory="#a78bfa",
    controller="#fbbf24",
    good="#4ade80",
    doubt="#facc15",
    bad="#f87171",
)
LIGHT = Tokens(
    background="#f3f4f6",
    panel="#fbfbfc",
    card="#ffffff",
    line="#e1e4e9",
    input="#f4f5f7",
    text="#1b1f26",
    secondary="#5f6978",
    disabled="#a4abb6",
    hover="#eef0f3",
    selection="#dbe8fd",
    scroll="#c9ced6",
    accent="#1f6feb",
    accent_hover="#3b82f0",
    on_accent="#ffffff",
    vision="#0d9488",
    memory="#7c3aed",
    controller="#b45309",
    good="#15803d",
    doubt="#8a6d00",
    bad="#c81e1e",
)


class Theme(QObject):
    """The present look. `changed` says that custom-painted widgets must take the tokens anew."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.mode: Mode = "system"
        self.tokens = DARK
        self._undressed: list[QWidget] = []  # wear the theme before
        self._dressing = False

    @property
    def settled(self) -> bool:
        """Whether everything wears the present theme."""
        return not self._undressed

    def apply(self, mode: Mode) -> None:
        """Dress the application; `system` follows the desktop, dark where it says nothing."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        hints = app.styleHints()
        self.mode = mode
        if mode == "system":
            self.tokens = LIGHT if hints.colorScheme() == Qt.ColorScheme.Light else DARK
        else:
            self.tokens = LIGHT if mode == "light" else DARK
        app.setFont(ui_font())
        app.setPalette(_palette(self.tokens))
        if not app.styleSheet():
            app.setStyleSheet(style_sheet())
        else:
            self._undressed = list(app.allWidgets())
            self._dress([widget for widget in self._undressed if widget.isVisible()])
            self._undressed = [widget for widget in self._undressed if not widget.isVisible()]
            for widget in self._undressed:
                if widget.isHidden():  # and not only inside of something that is
                    widget.installEventFilter(self)
            if not self._dressing:
                self._dressing = True
                QTimer.singleShot(0, self._dress_some)
        self.changed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Dress what comes to be seen before it is painted."""
        if event.type() == QEvent.Type.Show and self._undressed and isinstance(watched, QWidget):
            inside = {watched, *watched.findChildren(QWidget)}
            self._dress([widget for widget in self._undressed if widget in inside])
            self._undressed = [widget for widget in self._undressed if widget not in inside]
        return False

    def _dress(self, widgets: Sequence[QWidget]) -> None:
        for widget in widgets:
            if shiboken6.isValid(widget):
                widget.removeEventFilter(self)
                style = widget.style()
                style.unpolish(widget)
                style.polish(widget)
                widget.update()

    def _dress_some(self) -> None:
        until = time.monotonic() + DRESSING_SECONDS
        while self._undressed and time.monotonic() < until:
            self._dress([self._undressed.pop()])
        self._dressing = bool(self._undressed)
        if self._dressing:
            QTimer.singleShot(0, self._dress_some)

    def follow_system(self) -> None:
        """Change along with the desktop from now on, while the mode is `system`."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.styleHints().colorSchemeChanged.connect(self._on_system_changed)

    def _on_system_changed(self) -> None:
        if self.mode == "system":
            self.apply("system")


_theme: Theme | None = None


def theme() -> Theme:
    """The one theme of the application."""
    global _theme
    if _theme is None:
        _theme = Theme()
    return _theme


def tokens() -> Tokens:
    """The present tokens."""
    return theme().tokens


def color(name: str, alpha: int = 255) -> QColor:
    """A token, such as "vision", as a color."""
    found = QColor(getattr(tokens(), name))
    found.setAlpha(alpha)
    return found


def ui_font(pixels: int = 13, weight: int = 400) -> QFont:
    """The interface's typeface, at a size in pixels."""
    font = QFont()
    font.setFamilies(list(SANS))
    font.setPixelSize(pixels)
    font.setWeight(QFont.Weight(weight))
    return font


def style_sheet() -> str:
    """The style sheet of `resources/style/studio.qss`, its tokens being places in the palette."""
    text = resource("style", "studio.qss").read_text("utf-8")
    known = set(QFontDatabase.families())
    mono = next((name for name in MONO if name in known), "monospace")
    check = resource("icons", "check.svg").as_posix()
    places = {token: f"palette({place})" for token, (place, _) in _PLACES.items()}
    return Template(text).substitute(places, mono=f'"{mono}"', check=f'"{check}"')


_Role = QPalette.ColorRole
# token -> its place in the palette, by the style sheet's word for it and by Qt's. Where a token has no natural place it
# takes one that nothing else is painted with here.
_PLACES: dict[str, tuple[str, QPalette.ColorRole]] = {
    "background": ("window", _Role.Window),
    "input": ("base", _Role.Base),
    "panel": ("alternate-base", _Role.AlternateBase),
    "card": ("button", _Role.Button),
    "text": ("window-text", _Role.WindowText),
    "secondary": ("placeholder-text", _Role.PlaceholderText),
    "accent": ("highlight", _Role.Highlight),
    "on_accent": ("highlighted-text", _Role.HighlightedText),
    "accent_hover": ("accent", _Role.Accent),
    "line": ("mid", _Role.Mid),
    "hover": ("midlight", _Role.Midlight),
    "selection": ("light", _Role.Light),
    "scroll": ("dark", _Role.Dark),
    "disabled": ("shadow", _Role.Shadow),
    "bad": ("bright-text", _Role.BrightText),
    "good": ("link", _Role.Link),
    "memory": ("link-visited", _Role.LinkVisited),
    "vision": ("tooltip-base", _Role.ToolTipBase),
    "controller": ("tooltip-text", _Role.ToolTipText),
}


def _palette(look: Tokens) -> QPalette:
    palette = QPalette()
    for token, (_, role) in _PLACES.items():
        palette.setColor(role, QColor(getattr(look, token)))
    for role in (_Role.Text, _Role.ButtonText):
        palette.setColor(role, QColor(look.text))
    for role in (_Role.WindowText, _Role.Text, _Role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(look.disabled))
    return palette
