"""Whether there is a screen for the window: Qt, where it finds none, ends the process instead of saying so."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from ewm_studio.errors import UserError


def check_display(without: str) -> None:
    """Make sure that Qt will find a screen: where it does not, it ends the process instead of saying so.

    Args:
        without: what can be done without a screen, for the end of the line.

    Raises:
        UserError: there is none, it cannot be reached, or a library is missing.
    """
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    x, wayland = os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY")
    if not x and not wayland:
        raise UserError(f"the window needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY is set; {without}")
    if wayland:
        return
    missing = _missing_library()
    if missing is not None:
        raise UserError(f"the window cannot open, a library of the system is missing: {missing}; {without}")
    if not _x_answers():
        raise UserError(f"the window cannot open: the display {x!r} does not answer; {without}")


def _missing_library() -> str | None:
    """What the loader says is missing for Qt's X platform, or None."""
    found = importlib.util.find_spec("PySide6")
    if found is None or not found.submodule_search_locations:
        return None  # importing the window will say so
    try:
        import PySide6.QtGui  # noqa: F401  brings Qt's own libraries into the process

        plugin = Path(found.submodule_search_locations[0]) / "Qt" / "plugins" / "platforms" / "libqxcb.so"
        if plugin.exists():
            ctypes.CDLL(str(plugin))
    except (ImportError, OSError) as error:
        return " ".join(str(error).split())
    return None


def _x_answers() -> bool:
    """Whether the X server that DISPLAY names takes a connection."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True  # Qt may carry its own
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    try:
        return not xcb.xcb_connection_has_error(connection)
    finally:
        xcb.xcb_disconnect(connection)
