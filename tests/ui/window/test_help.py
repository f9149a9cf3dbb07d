"""The menu that is seen, and what stands under Help; keys that reach the window from a line of text."""

import html
import re

import pytest
from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.files import ask_open
from ewm_studio.ui.kit.spotlight import Spotlight
from ewm_studio.ui.kit.widgets import Select
from ewm_studio.ui.window.help import FilesDialog, GlossaryDialog, TourDialog, aside, glossary, tour
from ewm_studio.ui.window.main_window import MENUS
from tests.ui.conftest import WAIT

LEFT, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier


def dialog(kind):
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


def choose(qtbot, window, menu, name):
    """Click through the menu bar, as a person does."""
    bar, opened = window.menuBar(), window.menus[menu]
    qtbot.mouseClick(bar, LEFT, pos=bar.actionGeometry(opened.menuAction()).center())
    assert opened.isVisible()
    qtbot.mouseClick(opened, LEFT, pos=opened.actionGeometry(window.actions_by_name[name]).center())


def test_every_menu_is_seen(open_studio):
    bar = open_studio(begin=False).window.menuBar()
    assert bar.isVisible()
    assert [action.text().replace("&", "") for action in bar.actions()] == list(MENUS)


def test_the_glossary_is_searched(qtbot, open_studio):
    window = open_studio(begin=False).window
    choose(qtbot, window, "Help", "glossary")
    shown = dialog(GlossaryDialog)
    assert "explained variance" in shown.text.toPlainText()
    qtbot.keyClicks(shown.search, "surprise")
    assert shown.text.toPlainText().startswith("surprise")
    assert "workspace" not in shown.text.toPlainText()
    qtbot.keyClick(shown, Qt.Key.Key_Escape)


def test_every_word_of_the_glossary_is_explained_once_in_order():
    words = [word.casefold() for word, meaning in glossary() if len(meaning) > 20]
    assert len(words) == len(glossary()) == len(set(words))
    assert words == sorted(words)


def test_the_tour_turns_to_each_page_and_ends(qtbot, open_studio):
    window = open_studio(begin=False).window
    window.show_page("runs")
    choose(qtbot, window, "Help", "tour")
    shown, seen = dialog(TourDialog), []
    for stop in tour():
        seen.append(window.page)
        target = shown.spotlight.target
        assert target is not None, stop.points_at
        assert stop.points_at in (target.accessibleName(), target.text())
        at = target.mapTo(window, target.rect().center())
        assert shown.spotlight.isVisible()
        assert shown.spotlight.geometry().contains(at)
        assert window.childAt(at) is not shown.spotlight  # what it points at can be clicked
        qtbot.mouseClick(shown.next, LEFT)
    assert seen == list(window.pages)
    assert not any(w.isVisible() for w in window.findChildren(Spotlight))
    assert not any(isinstance(w, TourDialog) and w.isVisible() for w in QApplication.topLevelWidgets())


@pytest.mark.parametrize("size", [(960, 600), (1280, 800)])
def test_the_tour_covers_nothing_of_what_it_speaks_of(qtbot, open_studio, size):
    window = open_studio(begin=False).window
    window.resize(*size)
    choose(qtbot, window, "Help", "tour")
    shown = dialog(TourDialog)
    for stop in tour():
        box = shown.geometry()
        assert window.geometry().contains(box), stop.title
        spoken_of = [shown.spotlight.target]
        if stop.page in ("vision", "drive"):
            spoken_of += [part for state in window.findChildren(EmptyState) for part in state.said]
            assert len(spoken_of) > 1
        for part in spoken_of:
            assert not box.intersects(QRect(part.mapToGlobal(QPoint()), part.size())), (stop.title, part)
        qtbot.mouseClick(shown.next, LEFT)


def test_where_no_corner_is_free_the_least_is_covered():
    room, size, frame = QRect(0, 0, 100, 100), QSize(40, 40), QRect(0, 0, 5, 5)
    assert aside(size, room, frame, []) == QPoint(60, 60)
    assert aside(size, room, frame, [QRect(50, 50, 50, 50)]) == QPoint(0, 60)
    assert aside(size, room, QRect(95, 95, 5, 5), [QRect(0, 0, 55, 100), QRect(60, 0, 30, 20)]) == QPoint(60, 0)
    assert aside(size, room, QRect(0, 60, 5, 5), [QRect(60, 0, 40, 100)]) == QPoint(0, 0)
    assert aside(QSize(200, 40), room, QRect(), []) == QPoint(0, 60)  # too wide: its beginning is seen


def test_files_are_named_and_their_paths_copied(qtbot, open_studio, tmp_path):
    window = open_studio(tmp_path / "ws", begin=False).window
    choose(qtbot, window, "Help", "files")
    shown = dialog(FilesDialog)
    assert dict(shown.places)["Workspace"] == (tmp_path / "ws").resolve()
    copy = next(b for b in shown.findChildren(type(window.bar.train)) if b.accessibleName().endswith("of: Workspace"))
    qtbot.mouseClick(copy, LEFT)
    assert QGuiApplication.clipboard().text() == str((tmp_path / "ws").resolve())
    shown.accept()


def test_keys_of_the_window_work_while_something_is_typed(qtbot, open_studio, monkeypatch):
    studio = open_studio(begin=False)
    asked = []
    monkeypatch.setattr(studio.services, "start", asked.append)
    studio.window.activateWindow()
    search = studio.window.panel.search
    search.setFocus()
    qtbot.waitUntil(search.hasFocus, timeout=WAIT)
    qtbot.keyClicks(search, "seed")
    qtbot.keyClick(search, Qt.Key.Key_E, CTRL)
    assert asked == ["infer"]
    qtbot.keyClick(search, Qt.Key.Key_A, CTRL)  # a text's own keys stay its own
    assert search.selectedText() == "seed"


def test_how_late_the_window_is_is_said_only_where_it_is_asked_for(qtbot, open_studio, tmp_path):
    first = open_studio(tmp_path / "ws", begin=False)
    assert not first.window.late_label.isVisible()
    assert not first.window.pace_label.isVisible()
    choose(qtbot, first.window, "View", "late")
    assert first.window.late_label.isVisible()
    assert first.window.pace_label.isVisible()
    first.window.close()
    second = open_studio(tmp_path / "ws", begin=False)
    assert second.window.late_label.isVisible()


def test_tooltips_of_settings_say_default_and_range(open_studio):
    window = open_studio(begin=False).window
    rows = {row.field.path: row for row in window.panel.sections["ppo"].build().rows}
    tip = html.unescape(re.sub("<[^>]+>", " ", rows["ppo.gamma"].editor.toolTip()))
    assert ">= 0, <= 1 · default 0.99" in tip


def test_the_present_choice_is_marked_in_pickers(qtbot, studio):
    picker = studio.window.panel.cards["controller"].picker
    picker.showPopup()
    marked = [
        n for n in range(picker.count()) if (font := picker.itemData(n, Qt.ItemDataRole.FontRole)) and font.bold()
    ]
    assert marked == [picker.currentIndex()]
    picker.hidePopup()
    card = studio.window.panel.environment
    qtbot.mouseClick(card.button, LEFT)
    names = card.popup._names
    bold = [names.item(n).text() for n in range(names.rowCount()) if names.item(n).font().bold()]
    assert bold == ["CartPole-v1"]
    listed = [names.item(n).text() for n in range(names.rowCount())]
    assert any(text.startswith("Ant-v3  (superseded") for text in listed)
    card.popup.close()


def test_the_hover_of_a_picker_goes_with_its_list(qtbot, open_studio):
    picker = next(s for s in open_studio(begin=False).window.panel.findChildren(Select) if s.isVisible())
    picker.showPopup()
    picker.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, True)
    picker.hidePopup()
    assert not picker.underMouse()


def test_file_dialogs_begin_where_the_last_one_ended(open_studio, tmp_path, monkeypatch):
    from PySide6.QtWidgets import QFileDialog

    (tmp_path / "there").mkdir()
    began = []

    def answer(parent, title, start, filters):
        began.append(start)
        return str(tmp_path / "there" / "some.toml"), filters

    monkeypatch.setattr(QFileDialog, "getOpenFileName", answer)
    window = open_studio(begin=False).window
    for _ in range(2):
        ask_open(window, "Open", "experiment", tmp_path, "")
    assert began == [str(tmp_path), str(tmp_path / "there")]
    assert store.text("folders/experiment") == str(tmp_path / "there")


@pytest.mark.parametrize(("pixels", "can"), [(False, False), (True, True)])
def test_pretraining_is_offered_only_where_something_learns(qtbot, studio, pixels, can):
    studio.services.document.set("env.pixels", pixels)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    assert studio.window.bar.pretrain.isEnabled() is can
    assert studio.window.actions_by_name["pretrain"].isEnabled() is can
    assert can or "nothing to learn" in studio.window.bar.pretrain.toolTip()
