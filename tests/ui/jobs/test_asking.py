"""Whoever asks for a job while one runs has it follow, or is told why not; nothing is asked for in vain."""

import pytest
from PySide6.QtCore import Qt

from ewm_studio.settings import Experiment
from ewm_studio.ui.jobs.run_bar import FOLLOWS
from tests.support.scripted import ScriptedProcesses

LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier
MENU = {"pretrain": Qt.Key.Key_P, "train": Qt.Key.Key_R, "infer": Qt.Key.Key_E}


@pytest.fixture
def idle(qtbot, open_studio):
    """A studio whose jobs say nothing by themselves; its processes are `idle.processes`."""
    processes = ScriptedProcesses()
    studio = open_studio(begin=False, processes=processes)
    studio.processes = processes
    studio.services.document.set("start.load_path", "cartpole")
    yield studio
    studio.jobs.clear()
    studio.jobs.stop()
    qtbot.waitUntil(lambda: not studio.jobs.running)


@pytest.fixture
def busy(qtbot, idle):
    """The same with a job that runs."""
    qtbot.mouseClick(idle.window.bar.train, LEFT)
    qtbot.waitUntil(lambda: bool(idle.processes.taken))
    idle.services._click = ("", 0.0)  # that is long ago
    return idle


def waiting(studio):
    """The kinds of the jobs that wait."""
    return [queued.job.kind for queued in studio.jobs.waiting]


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("train", "train"),
        ("vision", "pretrain"),
        ("replay", "infer"),
        ("runs", "train"),
    ],
)
def test_a_pages_button_has_its_job_follow_what_runs(qtbot, busy, page, kind):
    busy.window.show_page(page)
    asked = busy.window.pages[page].widget.empty.action
    assert asked.isVisible()
    qtbot.mouseClick(asked, LEFT)
    assert waiting(busy) == [kind]
    assert "follows what runs now" in busy.window.said_label.text()
    assert busy.window.bar.queue.text() == "Queue · 1"


def test_an_assessment_follows_what_runs_and_is_asked_for_once(qtbot, busy):
    run = busy.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, 0)
    run.finish("finished")
    busy.window.show_page("runs")
    page = busy.window.pages["runs"].widget
    page.choose(run.name)
    qtbot.mouseClick(page._buttons["assess"], LEFT)
    asked = page.assessment.empty.action
    for _ in range(2):
        qtbot.mouseClick(asked, LEFT)
    assert waiting(busy) == ["assess"]
    busy.processes.last.finish()
    qtbot.waitUntil(lambda: busy.jobs.kind == "assess")
    assert not asked.isEnabled()
    assert page.assessment._state.text() == "Being assessed"


def test_pretraining_on_recordings_follows_what_runs_and_turns_no_page(busy):
    busy.window.show_page("drive")
    busy.window.pages["drive"].controller.recordings.pretrain_asked.emit("laps", 0.2)
    assert waiting(busy) == ["pretrain"]
    assert busy.jobs.waiting[0].job.experiment["data"]["recording"] == "laps"
    assert busy.window.page == "drive"


def test_keys_and_menu_ask_for_what_the_bars_buttons_do(qtbot, busy):
    bar, actions = busy.window.bar, busy.window.actions_by_name
    for name, key in MENU.items():
        assert not bar.buttons[name].isEnabled()
        assert not actions[name].isEnabled()
        assert actions[name].toolTip() == bar.buttons[name].toolTip() == FOLLOWS
        qtbot.keyClick(busy.window, key, CTRL)
    assert waiting(busy) == []
    assert actions["stop"].isEnabled()
    assert actions["pause"].isEnabled()
    qtbot.keyClick(busy.window, Qt.Key.Key_Period, CTRL)
    assert not actions["stop"].isEnabled()
    assert not actions["pause"].isEnabled()
    qtbot.waitUntil(lambda: not busy.jobs.running)
    assert not actions["stop"].isEnabled()
    assert not actions["pause"].isEnabled()
    for name in MENU:
        assert actions[name].isEnabled()
        assert actions[name].toolTip() == bar.buttons[name].toolTip()
    bar.show_possible("pretrain", "nothing to learn")
    assert not actions["pretrain"].isEnabled()
    assert actions["pretrain"].toolTip() == "nothing to learn"
    qtbot.keyClick(busy.window, MENU["train"], CTRL)
    assert busy.jobs.running


def test_a_double_click_asks_for_one_job(qtbot, idle):
    asked = idle.window.pages["train"].widget.empty.action
    for _ in range(2):
        qtbot.mouseClick(asked, LEFT)
    assert idle.jobs.kind == "train"
    assert waiting(idle) == []
