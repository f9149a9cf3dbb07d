"""Starting: quickly, without torch, and where it was left."""

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QWidget

from ewm_studio.envs.trust import agreements_file
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.settings import Experiment
from ewm_studio.ui.jobs.queue_menu import QueueMenu
from ewm_studio.ui.jobs.runner import Queued
from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.log_view import LogView
from ewm_studio.ui.kit.theme import DARK, LIGHT, theme
from ewm_studio.ui.study.part_picker import Choice, PartPicker
from ewm_studio.workspace import Workspace
from tests.ui.conftest import WAIT

BUILD = """
import sys
from ewm_studio.ui.window.app import make_app
from ewm_studio.ui.window.studio import Studio
from ewm_studio.workspace import Workspace
app = make_app()
studio = Studio(Workspace(sys.argv[1]))
studio.restore()
studio.window.show()
app.processEvents()
assert studio.window.isVisible()
print(sorted(name for name in ("torch", "gymnasium", "h5py", "pyqtgraph") if name in sys.modules))
studio.window.close()
"""

TURN = """
import sys, threading
from ewm_studio.ui.window.app import make_app
from ewm_studio.ui.window.studio import Studio
from ewm_studio.workspace import Workspace

class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            asked.append(name)

app = make_app()
studio = Studio(Workspace(sys.argv[1]))
studio.restore()
studio.window.show()
app.processEvents()
asked = []
sys.meta_path.insert(0, Watch())
pages = studio.window.pages
for _ in range(3):
    for page in pages.values():
        page.controller.redraw_one()
studio.services.shown.grew.emit(("reward/episode", "vision/total"))
studio.services.shown.read_again.emit()
studio.services.shown.compared.emit()
pages["train"].widget.axis.chosen.emit("seconds")
pages["train"].widget.smoothing.setValue(3)
studio.window.actions_by_name["reset_plots"].trigger()
pages["drive"].controller.panel.live.switch.setChecked(True)
for key in pages:
    studio.window.show_page(key)
    studio._on_tick()
print(sorted({name for name in asked if name.partition(".")[0] in HEAVY or name.startswith("ewm_studio.ui.plots")}))
studio.window.close()
"""


def test_the_window_shows_without_torch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path / "ws")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_pages_that_are_not_built_yet_import_nothing_on_the_windows_thread(tmp_path):
    """Another thread may be importing it: the window would stand still until that is done."""
    heavy = ("torch", "gymnasium", "h5py", "pyqtgraph", "scipy", "pygame")
    line = [sys.executable, "-c", TURN.replace("HEAVY", repr(heavy)), str(tmp_path / "ws")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_no_test_writes_into_the_users_own_folders():
    code = "from ewm_studio.ui.kit.store import store; print(store().fileName())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    for place in (done.stdout.strip(), store.store().fileName(), agreements_file(), os.environ["MINARI_DATASETS_PATH"]):
        assert not Path(place).is_relative_to(Path.home()), place


def test_drafts_and_places_of_folders_that_are_gone_are_forgotten(open_studio, tmp_path):
    first = open_studio(tmp_path / "first", begin=False)
    first.window.close()
    store.store().setValue("recent", [])
    second = open_studio(tmp_path / "second", begin=False)
    second.workspaces.remember()
    store.remember_recent("recent", str(tmp_path / "gone"))
    remembered = store.store()
    remembered.beginGroup("drafts")
    assert [key.rpartition("|")[2] for key in remembered.childKeys()] == ["second"]
    second.workspaces._recent.aboutToShow.emit()
    assert not any("gone" in action.text() for action in second.workspaces._recent.actions())


def test_a_window_is_never_off_the_screen_nor_larger(qtbot):
    area = QGuiApplication.primaryScreen().availableGeometry()
    for wanted in (QRect(-5000, -5000, 800, 600), QRect(90_000, 10, 800, 600), QRect(0, 0, 20_000, 20_000), None):
        window = QWidget()
        qtbot.addWidget(window)
        store.place(window, wanted)
        assert area.contains(window.geometry())


def test_size_theme_and_settings_come_back(qtbot, open_studio, tmp_path):
    first = open_studio(tmp_path / "ws", begin=False)
    first.services.document.set("ppo.lr", 0.02)
    first.window.setGeometry(10, 10, 1000, 700)
    first.window.close()
    second = open_studio(tmp_path / "ws", begin=False)
    assert second.services.document.experiment.ppo.lr == 0.02
    assert store.text("workspace") == str((tmp_path / "ws").resolve())
    assert store.store().value("geometry") == QRect(10, 10, 1000, 700)
    assert str((tmp_path / "ws").resolve()) in store.texts("recent")


def test_a_window_that_is_closed_while_it_loads_is_gone_before_what_loads_is_waited_for(qtbot, open_studio):
    studio = open_studio(begin=False)
    background, seen, go_on = studio.services.background, [], threading.Event()
    background(lambda: go_on.wait(WAIT / 1000), lambda _: seen.append("delivered"))
    wait = background.end

    def end():
        seen.append(studio.window.isVisible())
        go_on.set()
        wait()

    background.end = end
    assert studio.window.isVisible()
    studio.window.close()
    assert seen[0] is False
    assert "delivered" not in seen


def contrast(first, second):
    """Contrast of two colors after WCAG."""

    def light(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(first), light(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_is_readable_in_both_themes():
    for look in (DARK, LIGHT):
        for surface in (look.background, look.panel, look.card, look.input):
            for ink in (look.text, look.secondary):
                assert contrast(ink, surface) >= 4.5, (ink, surface)
        for ink in (look.vision, look.memory, look.controller):
            assert contrast(ink, look.card) >= 3.5, ink
        assert contrast(look.on_accent, look.accent) >= 4.5


def strongest(widget, area=None):
    """The greatest contrast of a pixel to the surface that a widget is drawn on."""
    image = widget.grab(area).toImage() if area is not None else widget.grab().toImage()
    pixels = Counter(image.pixelColor(x, y).name() for y in range(image.height()) for x in range(image.width()))
    surface = pixels.most_common(1)[0][0]
    return max(contrast(ink, surface) for ink in pixels)


def test_words_that_stand_in_for_something_are_readable_in_both_themes(qtbot):
    """What an empty field means, what an empty log is for, a heading in a list and one in a menu."""
    edit, log, picker, menu = QLineEdit(), LogView(), PartPicker("memory"), QMenu()
    for widget in (edit, log, picker, menu):
        qtbot.addWidget(widget)
    edit.setPlaceholderText("no limit")
    picker.show_choices([Choice("RSSM", {}), Choice("random", {}, control=True)], "RSSM")
    queue = QueueMenu(menu)
    queue.show_waiting((Queued(JobSpec("train", "")),))
    heading = next(action for action in queue.actions() if action.text() == "Waiting")
    for widget in (edit, log, picker):
        widget.resize(320, 240 if widget is not edit else 32)
        widget.show()
    queue.popup(QPoint(0, 0))
    for mode in ("dark", "light"):
        theme().apply(mode)
        qtbot.waitUntil(lambda: theme().settled)
        text = QRect(9, 4, 240, 24)  # without the edge
        assert strongest(edit, text) >= 4.5, mode
        assert strongest(log._view) >= 4.5, mode
        told = next(i for i in range(picker.list.count()) if picker.list.item(i).text() == "To compare with")
        assert strongest(picker.list.viewport(), picker.list.visualItemRect(picker.list.item(told))) >= 4.5, mode
        assert strongest(queue, queue.actionGeometry(heading)) >= 4.5, mode
    queue.close()


def test_the_menu_of_themes_marks_the_present_one_however_it_came(qtbot, open_studio):
    studio = open_studio(begin=False)
    menu = next(action.menu() for action in studio.window.menus["View"].actions() if action.text() == "Theme")
    for mode, text in (("light", "Light"), ("dark", "Dark")):
        theme().apply(mode)
        menu.popup(studio.window.mapToGlobal(QPoint(0, 0)))
        assert [action.text() for action in menu.actions() if action.isChecked()] == [text]
        menu.close()


def test_changing_the_theme_reaches_everything(qtbot, open_studio):
    studio = open_studio(begin=False)
    for mode, look in (("light", LIGHT), ("dark", DARK)):
        theme().apply(mode)
        qtbot.wait(50)
        image = studio.window.grab().toImage()
        assert image.pixelColor(image.width() // 2, 20).name() == look.panel
        assert image.pixelColor(image.width() // 2, 700).name() in (look.panel, look.background)


def test_where_runs_exist_nobody_is_told_to_train_a_first_agent(qtbot, open_studio, tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = workspace.create_run("CartPole-v1", "train", Experiment().to_toml())
    run.log_episode(20, 1.0, 20.0, 20)
    run.flush()
    run.finish("finished")
    studio = open_studio(tmp_path / "ws", begin=False)
    page = studio.window.pages["train"].widget
    assert page.empty.isVisible()
    assert page.empty._heading.text() == "No run is shown"
    studio.begin()
    assert page.loading.isVisible()  # it looks like loading
    qtbot.waitUntil(lambda: studio.services.shown.history.name == run.name, timeout=WAIT)
    qtbot.waitUntil(lambda: len(page._cards) == 6 and page.cards[0].isVisible(), timeout=WAIT)
    studio.services.shown.clear()
    workspace.delete_run(run.name)
    studio.window.show_page("train")
    assert page.empty._heading.text() == "Train your first agent"


def test_another_theme_dresses_what_is_seen_at_once_and_the_rest_in_pieces(qtbot, open_studio):
    studio = open_studio(begin=False)
    window, runs = studio.window, studio.window.pages["runs"].widget

    def plate():
        return runs.grab().toImage().pixelColor(4, 4).name()

    for mode, look in (("light", LIGHT), ("dark", DARK)):
        window.show_page("train")
        sheet = QApplication.instance().styleSheet()
        theme().apply(mode)
        assert QApplication.instance().styleSheet() == sheet
        assert window.bar.grab().toImage().pixelColor(4, 4).name() == look.panel
        assert not theme().settled  # pages that are not shown wait for their turn
        window.show_page("runs")
        assert plate() == look.background
        assert window.side.currentWidget().grab().toImage().pixelColor(4, 4).name() == look.panel  # beside it too
        qtbot.waitUntil(lambda: theme().settled, timeout=WAIT)
        assert plate() == look.background


def test_a_column_that_was_folded_wears_the_present_theme_when_it_is_seen(qtbot, open_studio):
    studio = open_studio(begin=False)
    window = studio.window
    card = window.panel.environment
    for mode, look in (("light", LIGHT), ("dark", DARK)):
        window.show_page("study")
        assert not card.isVisible()
        theme().apply(mode)
        window.show_page("train")
        assert card.isVisible()
        assert card.grab().toImage().pixelColor(card.width() // 2, 6).name() == look.card
        button = window.fold_buttons["side"]
        assert button.grab().toImage().pixelColor(button.width() // 2, 2).name() in (look.input, look.hover)
        qtbot.waitUntil(lambda: theme().settled, timeout=WAIT)
