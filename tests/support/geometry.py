"""Whether everything that is seen of a window has its place: nothing out of its parent, over a neighbour, or cut."""

from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QComboBox,
    QLabel,
    QLineEdit,
    QMenuBar,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from ewm_studio.ui.kit.tags import Tags
from ewm_studio.ui.kit.widgets import Elided

# Lay out their own parts, some of them over each other.
OWN = (QAbstractButton, QComboBox, QLineEdit, QMenuBar, QSplitter, QStackedWidget, Tags)


def faults(window):
    """Faults of what is visible in a window, a line each."""
    return [fault for child in window.children() if isinstance(child, QWidget) for fault in _faults(child)]


def _faults(widget):
    if not widget.isVisible() or widget.isWindow():
        return
    yield from _cut(widget)
    if isinstance(widget, QAbstractScrollArea):
        inside = widget.widget() if isinstance(widget, QScrollArea) else None  # it may be larger than its room
        if inside is not None:
            yield from _faults(inside)
            if inside.minimumSizeHint().width() > widget.viewport().width() and inside.width() > widget.width():
                yield f"{_name(inside)} is wider than its scroll area"
        return
    parts = [child for child in widget.children() if isinstance(child, QWidget) and child.isVisible()]
    if not isinstance(widget, OWN):
        yield from _misplaced(widget, parts)
    for part in parts:
        yield from _faults(part)


def _misplaced(widget, parts):
    for number, part in enumerate(parts):
        if part.isWindow():
            continue
        if not widget.rect().adjusted(-1, -1, 1, 1).contains(part.geometry()):
            yield f"{_name(part)} {part.geometry()} leaves {_name(widget)} {widget.rect()}"
        for other in parts[number + 1 :]:
            shared = part.geometry().intersected(other.geometry())
            if shared.width() > 1 and shared.height() > 1 and not other.isWindow():
                yield f"{_name(part)} {part.geometry()} lies over {_name(other)} {other.geometry()}"


def _cut(widget):
    text = widget.text() if isinstance(widget, QLabel | QPushButton) else ""
    wraps = isinstance(widget, QLabel) and widget.wordWrap()
    if text and not isinstance(widget, Elided) and not wraps and widget.width() < widget.minimumSizeHint().width() - 1:
        yield f"{_name(widget)} is cut: {widget.width()} of {widget.minimumSizeHint().width()} pixels"


def _name(widget):
    text = widget.text() if isinstance(widget, QLabel | QAbstractButton) else ""
    return f"{type(widget).__name__} {(widget.accessibleName() or text or widget.objectName())!r}"
