"""Where the keyboard's focus goes: by Tab, and when what has it can be used no more."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLayout, QScrollArea, QSplitter, QWidget


def hand_on_focus(leaving: QWidget, heir: QWidget) -> None:
    """Call before a widget is hidden or disabled: where it or a part of it has the focus, `heir` gets it.

    Qt would give it to the next button that there is, with the ring of one that was tabbed to.
    """
    focused = leaving.window().focusWidget()  # which it is even while the window is not the active one
    if focused is not None and (leaving is focused or leaving.isAncestorOf(focused)):
        heir.setFocus(Qt.FocusReason.OtherFocusReason)


def tab_on(before: QWidget, *boxes: QWidget) -> QWidget:
    """Have Tab go from `before` into what lies in `boxes`, as their layouts have it; gives the last of them.

    Call after widgets were made late: Qt puts them at the end of its chain, wherever they stand. All must be in one
    window.
    """
    for box in boxes:
        for widget in _stops(box):
            QWidget.setTabOrder(before, widget)
            before = widget
    return before


def _stops(box: QWidget | None) -> Iterator[QWidget]:
    """Where Tab stops in a box, in the order in which they lie there."""
    if box is None:
        return
    if box.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield box
        if not isinstance(box, QScrollArea):
            return
    if isinstance(box, QScrollArea):
        yield from _stops(box.widget())
    elif isinstance(box, QSplitter):
        for index in range(box.count()):
            yield from _stops(box.widget(index))
    elif (layout := box.layout()) is not None:
        yield from _stops_of(layout)


def _stops_of(layout: QLayout) -> Iterator[QWidget]:
    for item in filter(None, map(layout.itemAt, range(layout.count()))):
        if (widget := item.widget()) is not None:
            yield from _stops(widget)
        elif (inner := item.layout()) is not None:
            yield from _stops_of(inner)
