"""Reaching everything without a mouse or without eyes: names, keys, the shortcuts page."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QScrollBar,
)

import ewm_studio.ui
from ewm_studio.ui.kit.dialogs import ShortcutsDialog
from ewm_studio.ui.window.main_window import ACTIONS

ACTIVE = (QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit, QAbstractSlider, QAbstractItemView)


def in_a_menu(widget):
    """Whether it lies in a menu: the plotting library fills some that are never opened."""
    while (widget := widget.parent()) is not None:
        if isinstance(widget, QMenu):
            return True
    return False


def interactive(root):
    """Widgets that a person acts on; not Qt's own parts of them."""
    for kind in ACTIVE:
        for widget in root.findChildren(kind):
            inner = isinstance(widget, QScrollBar | QHeaderView) or widget.objectName().startswith("qt_")
            inner = inner or isinstance(widget.parent(), QLineEdit | QComboBox | QAbstractItemView)
            inner = inner or isinstance(widget.window().parent(), QComboBox)
            unused = isinstance(widget, QAbstractButton) and widget.isHidden() and not widget.text()
            if not inner and not unused and not in_a_menu(widget):
                yield widget


@pytest.fixture
def whole(open_studio):
    """A studio with every form and plot made."""
    studio = open_studio(begin=False)
    for section in studio.window.panel.sections.values():
        section.build()
    assert studio.window.pages["train"].widget.cards
    while studio.window.pages["vision"].widget.make_plot():
        pass
    return studio


def test_no_page_that_there_is_is_left_out(whole):
    """What these tests and the monkey go through are the window's pages: all that there is code for."""
    folders = {path.parent.name for path in Path(ewm_studio.ui.__file__).parent.glob("*/page.py")}
    assert set(whole.window.pages) == folders
    used = list(interactive(whole.window))
    for page in whole.window.pages.values():
        assert any(page.widget.isAncestorOf(widget) for widget in used), page.key


def test_everything_that_can_be_used_has_a_name(whole):
    nameless = [
        f"{type(w).__name__} in {type(w.parent()).__name__}: {w.toolTip()!r}"
        for w in interactive(whole.window)
        if not (w.accessibleName() or (w.text() if isinstance(w, QAbstractButton) else "")).strip()
    ]
    assert nameless == [], "; ".join(nameless)


def test_the_tab_key_reaches_every_page_and_shows_where_it_is(qtbot, whole):
    window = whole.window
    window.activateWindow()
    for key, page in window.pages.items():
        window.show_page(key)
        window.bar.train.setFocus()
        seen = []
        while (focus := QApplication.focusWidget()) is not None and focus not in seen and len(seen) < 400:
            seen.append(focus)
            qtbot.keyClick(focus, Qt.Key.Key_Tab)
        shown = page.widget
        assert any(shown.isAncestorOf(widget) for widget in seen), key
        assert not page.beside_panel or any(window.panel.isAncestorOf(widget) for widget in seen), key
        for widget in seen:
            assert widget.isVisible()
            assert widget.isEnabled()


def test_focus_can_be_seen(qtbot, whole):
    window = whole.window
    window.activateWindow()
    row = whole.window.panel.sections["train"].rows.rows[0]
    for widget in (
        window.bar.train,
        window.bar.pretrain,
        window.panel.search,
        row.editor,
        window._rail_buttons["runs"],
    ):
        window.run_label.setFocus()
        window.setFocus()
        before = widget.grab().toImage()
        widget.setFocus(Qt.FocusReason.TabFocusReason)
        qtbot.wait(20)
        assert widget.hasFocus()
        assert widget.grab().toImage() != before, widget.accessibleName()


def test_f1_lists_every_shortcut_once(qtbot, whole):
    qtbot.keyClick(whole.window, Qt.Key.Key_F1)
    shown = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ShortcutsDialog) and w.isVisible())
    listed = whole.window.shortcuts()
    keys = [key for key, _ in listed]
    assert len(set(keys)) == len(keys)
    assert {key for _, _, key, _ in ACTIONS if key} <= set(keys)
    assert shown.height() < 600  # fits the smallest screen
    qtbot.keyClick(shown, Qt.Key.Key_Escape)
    assert not shown.isVisible()
