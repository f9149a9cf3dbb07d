"""The window's colors and type: tokens for dark and light, the style sheet made from them, following the system."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from string import Template
from typing import Literal, get_args

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from ewm_studio.resources import resource

Mode = Literal["system", "dark", "light"]
MODES: tuple[Mode, ...] = get_args(Mode)
SANS = ("Inter", "SF Pro Text", "Segoe UI", "Noto Sans", "Ubuntu", "Cantarell", "DejaVu Sans", "sans-serif")
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
        app.setStyleSheet(style_sheet(self.tokens))
        self.changed.emit()

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


def style_sheet(look: Tokens) -> str:
    """The style sheet of `resources/style/studio.qss` with the tokens filled in."""
    text = resource("style", "studio.qss").read_text("utf-8")
    known = set(QFontDatabase.families())
    mono = next((name for name in MONO if name in known), "monospace")
    check = resource("icons", "check.svg").as_posix()
    return Template(text).substitute(asdict(look), mono=f'"{mono}"', check=f'"{check}"')


def _palette(look: Tokens) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: look.background,
        QPalette.ColorRole.Base: look.input,
        QPalette.ColorRole.AlternateBase: look.panel,
        QPalette.ColorRole.Button: look.card,
        QPalette.ColorRole.WindowText: look.text,
        QPalette.ColorRole.Text: look.text,
        QPalette.ColorRole.ButtonText: look.text,
        QPalette.ColorRole.ToolTipBase: look.card,
        QPalette.ColorRole.ToolTipText: look.text,
        QPalette.ColorRole.Highlight: look.accent,
        QPalette.ColorRole.HighlightedText: look.on_accent,
        QPalette.ColorRole.PlaceholderText: look.secondary,
        QPalette.ColorRole.Link: look.accent,
    }
    for role, value in roles.items():
        palette.setColor(role, QColor(value))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(look.disabled))
    return palette
