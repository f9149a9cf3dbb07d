"""Where the keyboard's focus goes when what has it can be used no more."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def hand_on_focus(leaving: QWidget, heir: QWidget) -> None:
    """Call before a widget is hidden or disabled: where it or a part of it has the focus, `heir` gets it.

    Qt would give it to the next button that there is, with the ring of one that was tabbed to.
    """
    focused = leaving.window().focusWidget()  # which it is even while the window is not the active one
    if focused is not None and (leaving is focused or leaving.isAncestorOf(focused)):
        heir.setFocus(Qt.FocusReason.OtherFocusReason)
