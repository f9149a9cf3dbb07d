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
from ewm_studio.analysis.history import RunHistory
from ewm_studio.ui.kit.dialogs import ShortcutsDialog
from ewm_studio.ui.study.varied_settings import VariedSettings
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


def by_tab(qtbot, first):
    """Where Tab comes by from a widget until it is back there."""
    first.setFocus(Qt.FocusReason.TabFocusReason)
    seen = [first]
    while len(seen) < 400:
        qtbot.keyClick(seen[-1], Qt.Key.Key_Tab)
        if (focus := first.window().focusWidget()) is first:
            break
        seen.append(focus)
    return seen


def in_order(widgets, box):
    """Whether they stand line by line in a box, each line from the left."""
    places = [widget.mapTo(box, widget.rect().center()) for widget in widgets]
    return [
        (one.accessibleName(), other.accessibleName())
        for one, other, a, b in zip(widgets, widgets[1:], places, places[1:], strict=False)
        if not (b.y() > a.y() + 10 or (abs(b.y() - a.y()) <= 10 and b.x() > a.x()))
    ] == []


def test_tab_goes_through_the_panel_and_the_plots_by_place(qtbot, open_studio):
    """Whatever was made when: rows of folded groups come little by little, those of a part when it is known."""
    studio = open_studio()
    window = studio.window
    window.activateWindow()
    qtbot.waitUntil(lambda: not window.panel._unbuilt.isActive(), timeout=120_000)
    page = window.pages["train"].widget
    assert page.cards
    page.show_history(RunHistory("one"))
    studio.services.document.set("train.epochs", 7)
    seen = by_tab(qtbot, window.bar.train)
    inside = window.panel.scroll_area.widget()
    of_panel = [widget for widget in seen if inside.isAncestorOf(widget)]
    names = [widget.accessibleName() for widget in of_panel]
    assert {"Total steps", "Reset Epochs", "Hidden size"} <= set(names)
    assert in_order(of_panel, inside), names
    of_page = [widget for widget in seen if page.isAncestorOf(widget)]
    names = [widget.accessibleName() for widget in of_page]
    assert sum(name.startswith("Plot: ") for name in names) == 6
    assert in_order(of_page, page), names
    first, last = seen.index(of_panel[0]), seen.index(of_panel[-1])
    assert all(widget in of_panel for widget in seen[first : last + 1])


def test_tab_goes_by_place_through_what_is_added_to_a_study(qtbot):
    settings = VariedSettings()
    qtbot.addWidget(settings)
    below = QLineEdit(settings)
    settings.layout().addWidget(below)
    settings.show()
    qtbot.waitExposed(settings)
    settings.activateWindow()
    qtbot.mouseClick(settings.add, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(settings.add, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: all(line.remove.isVisible() for line in settings.rows))
    seen = by_tab(qtbot, settings.add)
    assert [type(widget).__name__ for widget in seen[1:]] == [
        *["QLineEdit", "QLineEdit", "IconButton"] * 2,
        "QLineEdit",
    ]
    assert in_order(seen, settings)


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
