"""Driving in the window by real key events: on CarRacing and CartPole, with pauses, lost focus, models, other keys."""

import json

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication

from ewm_studio import cli
from ewm_studio.data.recordings import Recording
from ewm_studio.events import CheckpointSaved
from ewm_studio.jobs import train
from ewm_studio.settings import Experiment
from ewm_studio.ui.drive.view import clock
from ewm_studio.ui.kit.keys_dialog import KeysDialog
from ewm_studio.ui.window.drive_window import DriveWindow
from ewm_studio.workspace import Workspace
from tests.support import jobs
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton
Key = Qt.Key


@pytest.fixture
def at_the_wheel(qtbot, open_studio):
    """Opens the Drive page on an environment and waits until it can be driven."""

    def sit(env):
        studio = open_studio(begin=False)
        studio.services.document.set("env.id", env)
        window = studio.window
        window.activateWindow()
        window.show_page("drive")
        qtbot.mouseClick(window.pages["drive"].widget.empty.action, LEFT)
        qtbot.waitUntil(lambda: ready(studio) == "paused", timeout=WAIT)
        qtbot.waitUntil(lambda: bool(window.pages["drive"].widget.gauges.values), timeout=WAIT)
        assert window.pages["drive"].widget.view.hasFocus()
        return studio

    return sit


def drive(studio):
    return studio.window.pages["drive"].controller.drive


def ready(studio):
    return drive(studio).session.snapshot.state if drive(studio).session else "gone"


def shown(studio):
    return studio.window.pages["drive"].widget.view.shown


def auto_repeat(view, kind, key):
    QApplication.sendEvent(view, QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, "", True))


def recorded(studio):
    return Recording(drive(studio).folder)


def test_the_car_is_driven_by_keys_and_recorded_as_driven(qtbot, at_the_wheel):
    studio = at_the_wheel("CarRacing-v3")
    page = studio.window.pages["drive"].widget
    qtbot.mouseClick(page.record, LEFT)
    assert page.view.hasFocus()  # a click on a button takes no key away
    qtbot.keyPress(page.view, Key.Key_Up)
    qtbot.waitUntil(lambda: shown(studio).steps > 60, timeout=WAIT)
    assert shown(studio).speed > 5
    assert page.gauges.values["Gas"] == 1
    assert page.caps.lit == ["gas"]
    qtbot.keyRelease(page.view, Key.Key_Up)
    qtbot.keyPress(page.view, Key.Key_A)
    qtbot.waitUntil(lambda: page.gauges.values["Steer"] == -1, timeout=WAIT)
    assert page.caps.lit == ["left"]
    qtbot.keyRelease(page.view, Key.Key_A)
    qtbot.waitUntil(lambda: page.gauges.values["Steer"] == 0, timeout=WAIT)
    assert not studio.window.bar.progress.isHidden()
    assert "Episode 1" in studio.window.bar._stage.text()
    assert studio.window.activity_label.text() == f"recording {drive(studio).folder.name}"
    assert "step 20.0 ms" in studio.window.pace_label.text()  # shown where it is asked for
    with qtbot.waitSignal(page.episode_kept, timeout=WAIT) as kept:
        qtbot.mouseClick(page.keep, LEFT)
    assert kept.args == [
        drive(studio).folder.name,
        str(drive(studio).folder / "000001.h5"),
    ]
    steer = recorded(studio).episode(0).action[:, 0]
    assert steer.min() == -1
    assert steer.max() == 0
    assert recorded(studio).episodes[0].manual_share == 1


def test_the_keyboards_own_repeats_are_nothing_new(qtbot, at_the_wheel):
    studio = at_the_wheel("CarRacing-v3")
    view = studio.window.pages["drive"].widget.view
    heard = []
    view.key_pressed.connect(lambda key: heard.append(f"+{key}"))
    view.key_released.connect(lambda key: heard.append(f"-{key}"))
    view.commanded.connect(heard.append)
    qtbot.keyPress(view, Key.Key_Left)
    for _ in range(5):
        auto_repeat(view, QEvent.Type.KeyRelease, Key.Key_Left)
        auto_repeat(view, QEvent.Type.KeyPress, Key.Key_Left)
        auto_repeat(view, QEvent.Type.KeyPress, Key.Key_Space)
    assert heard == ["+left"]
    qtbot.waitUntil(lambda: shown(studio).held == ("left",), timeout=WAIT)
    qtbot.keyRelease(view, Key.Key_Left)
    assert heard == ["+left", "-left"]


def test_focus_lost_in_a_turn_straightens_the_wheel_and_rests(qtbot, at_the_wheel):
    studio = at_the_wheel("CarRacing-v3")
    page = studio.window.pages["drive"].widget
    qtbot.mouseClick(page.record, LEFT)
    qtbot.keyPress(page.view, Key.Key_Right)
    qtbot.waitUntil(lambda: page.gauges.values["Steer"] == 1, timeout=WAIT)
    page.name.setFocus()
    qtbot.waitUntil(lambda: shown(studio).state == "paused", timeout=WAIT)
    assert page.gauges.values["Steer"] == 0
    assert page.caps.lit == []
    frames = shown(studio).frames_recorded
    qtbot.wait(100)
    assert shown(studio).frames_recorded == frames
    qtbot.keyClick(page.name, Key.Key_Return)  # back to the wheel
    assert page.view.hasFocus()
    qtbot.keyClick(page.view, Key.Key_Space)
    qtbot.waitUntil(lambda: shown(studio).frames_recorded > frames + 3, timeout=WAIT)
    assert shown(studio).values[0] == 0


def test_tab_and_arrows_move_no_focus_and_escape_leaves_what_was_recorded(qtbot, at_the_wheel):
    studio = at_the_wheel("CartPole-v1")
    page = studio.window.pages["drive"].widget
    for key in (Key.Key_Tab, Key.Key_Backtab, Key.Key_Down, Key.Key_Up):
        qtbot.keyClick(page.view, key)
        assert page.view.hasFocus()
    qtbot.mouseClick(page.record, LEFT)
    qtbot.keyPress(page.view, Key.Key_Left)
    qtbot.waitUntil(lambda: shown(studio).steps >= 3, timeout=WAIT)
    qtbot.keyClick(page.view, Key.Key_Escape)
    qtbot.waitUntil(lambda: drive(studio).session is None, timeout=WAIT)
    assert not page.driving
    assert not studio.window.panel.isHidden()
    assert recorded(studio).step_count >= 3


def test_a_pole_is_pushed_left_and_right_and_the_next_episode_waits_for_a_key(qtbot, at_the_wheel):
    studio = at_the_wheel("CartPole-v1")
    page = studio.window.pages["drive"].widget
    qtbot.mouseClick(page.record, LEFT)
    qtbot.keyPress(page.view, Key.Key_Right)
    qtbot.waitUntil(lambda: shown(studio).state == "ended", timeout=WAIT)
    qtbot.keyRelease(page.view, Key.Key_Right)
    assert page.gauges.values == {"Left": 0, "Right": 1}
    assert (recorded(studio).episode(0).action == 1).all()
    qtbot.keyClick(page.view, Key.Key_Space)
    qtbot.waitUntil(lambda: shown(studio).episode == 2, timeout=WAIT)
    with qtbot.waitSignal(page.episode_kept, timeout=WAIT):
        qtbot.waitUntil(lambda: shown(studio).state == "ended", timeout=WAIT)
    with qtbot.waitSignal(page.episode_taken_back, timeout=WAIT):
        qtbot.mouseClick(page.discard, LEFT)
    qtbot.waitUntil(lambda: len(recorded(studio)) == 1, timeout=WAIT)


def test_an_episode_that_was_discarded_half_driven_is_taken_back(qtbot, at_the_wheel):
    studio = at_the_wheel("CarRacing-v3")
    page, panel = studio.window.pages["drive"].widget, studio.window.pages["drive"].controller.panel
    qtbot.mouseClick(page.record, LEFT)
    qtbot.keyPress(page.view, Key.Key_Up)
    qtbot.waitUntil(lambda: shown(studio).episode_recorded > 4, timeout=WAIT)
    qtbot.mouseClick(page.discard, LEFT)
    qtbot.waitUntil(lambda: panel.undo.isVisible(), timeout=WAIT)
    qtbot.waitUntil(lambda: shown(studio).episode == 2 and shown(studio).state == "paused", timeout=WAIT)
    folder = drive(studio).folder
    assert not list(folder.glob("*.h5"))
    qtbot.mouseClick(panel.undo, LEFT)
    qtbot.waitUntil(lambda: len(list(folder.glob("*.h5"))) == 1, timeout=WAIT)
    assert recorded(studio).episodes[0].length > 4
    qtbot.keyRelease(page.view, Key.Key_Up)


def test_pause_restart_and_slow_motion(qtbot, at_the_wheel):
    studio = at_the_wheel("CarRacing-v3")
    page = studio.window.pages["drive"].widget
    qtbot.keyClick(page.view, Key.Key_Space)
    qtbot.waitUntil(lambda: shown(studio).steps > 10, timeout=WAIT)
    qtbot.mouseClick(page.pause, LEFT)
    qtbot.waitUntil(lambda: shown(studio).state == "paused", timeout=WAIT)
    assert page.pause.text() == "Go on"
    still = shown(studio).frame
    qtbot.wait(60)
    assert shown(studio).frame is still
    qtbot.mouseClick(page.speed._buttons["0.5"], LEFT)
    qtbot.waitUntil(lambda: shown(studio).period == pytest.approx(0.04), timeout=WAIT)
    qtbot.keyClick(page.view, Key.Key_R)
    qtbot.waitUntil(lambda: shown(studio).steps == 0, timeout=WAIT)
    assert shown(studio).episode == 1


def test_keys_are_chosen_kept_and_taken_from_each_other(qtbot, at_the_wheel, tmp_path):
    studio = at_the_wheel("LunarLander-v3")
    page = studio.window.pages["drive"].widget
    qtbot.mouseClick(page.keys, LEFT)
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, KeysDialog) and w.isVisible())
    qtbot.waitUntil(lambda: dialog.isActiveWindow() and not page.view.hasFocus(), timeout=WAIT)
    field = dialog.fields["main engine"]
    qtbot.keyClick(field, Key.Key_Backspace)
    qtbot.keyClick(field, Key.Key_I)
    qtbot.keyClick(field, Key.Key_Left)  # the right engine had it
    qtbot.keyClick(field, Key.Key_Space)  # pauses, so it is refused
    assert field.keys == ("up", "i", "left")
    assert dialog.fields["right engine"].keys == ("a",)
    qtbot.mouseClick(next(b for b in dialog.findChildren(type(page.keep)) if b.text() == "Done"), LEFT)
    studio.window.activateWindow()  # as a desktop does of itself
    qtbot.waitUntil(page.view.hasFocus, timeout=WAIT)
    qtbot.keyPress(page.view, Key.Key_I)
    qtbot.waitUntil(lambda: page.gauges.values["Main engine"] == 1, timeout=WAIT)
    qtbot.keyClick(page.view, Key.Key_Escape)
    qtbot.waitUntil(lambda: drive(studio).session is None, timeout=WAIT)
    qtbot.mouseClick(page.empty.action, LEFT)  # remembered for this environment
    qtbot.waitUntil(lambda: ready(studio) == "paused", timeout=WAIT)
    assert drive(studio).session.scheme.keys["main engine"] == ("up", "i", "left")


def test_what_cannot_be_driven_says_why_and_where_to_go(qtbot, open_studio):
    studio = open_studio(begin=False)
    studio.services.document.set("env.id", "BipedalWalker-v3")
    studio.window.show_page("drive")
    page = studio.window.pages["drive"].widget
    qtbot.mouseClick(page.empty.action, LEFT)
    qtbot.waitUntil(lambda: drive(studio).session is None and page.refused.isVisible(), timeout=WAIT)
    assert "cannot be driven by keys" in page.refused._words.text()
    studio.services.document.set("env.id", "CartPole-v1")
    assert page.empty.isVisible()


def test_a_model_drives_and_any_key_takes_over(qtbot, at_the_wheel, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    run = jobs.finish(train(jobs.experiment(train={"epochs": 1}), workspace))["run"]
    workspace.close()
    studio = at_the_wheel("CartPole-v1")
    page = studio.window.pages["drive"].widget
    assert not page.hand_over.isEnabled()
    qtbot.keyClick(page.view, Key.Key_M)
    assert "no model on board" in page.said
    page.model.setCurrentIndex(page.model.findData(run))
    page.model.activated.emit(page.model.currentIndex())
    qtbot.waitUntil(lambda: page.hand_over.isEnabled(), timeout=WAIT)
    qtbot.mouseClick(page.record, LEFT)
    qtbot.keyClick(page.view, Key.Key_M)
    with qtbot.waitSignal(page.episode_kept, timeout=WAIT):
        qtbot.waitUntil(lambda: shown(studio).driver == "model" and shown(studio).steps > 2, timeout=WAIT)
        assert page.hand_over.text() == "Take over"
        qtbot.keyPress(page.view, Key.Key_Left)
    qtbot.waitUntil(lambda: shown(studio).driver == "person", timeout=WAIT)
    manual = np.concatenate([recorded(studio).episode(n).manual for n in range(len(recorded(studio)))])
    assert not manual[0]  # the model began


def test_the_newest_model_of_a_run_is_watched_and_the_next_takes_over(qtbot, at_the_wheel, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    jobs.finish(train(jobs.experiment(env={"max_episode_steps": 40}), workspace))
    workspace.close()
    studio = at_the_wheel("CartPole-v1")
    studio.services.show_run(studio.services.workspace.runs()[0].name)
    studio.window.actions_by_name["watch_live"].trigger()
    assert studio.window.page == "drive"
    qtbot.waitUntil(lambda: shown(studio).driver == "model" and shown(studio).steps > 2, timeout=WAIT)
    assert shown(studio).step_limit == 40  # the run's own settings
    controller = studio.window.pages["drive"].controller
    newest = studio.services.shown.run.newest_model()
    controller._followed = studio.services.shown.run.folder  # as where it is still in training
    before = drive(studio).session.snapshot.episode
    relieved = []
    load = drive(studio).session._load
    drive(studio).session._load = lambda command: relieved.append(command.path) or load(command)
    studio.jobs.events.emit([CheckpointSaved(str(newest), 999, 1.0, True)])
    qtbot.waitUntil(lambda: relieved == [newest], timeout=WAIT)
    qtbot.waitUntil(lambda: shown(studio).episode > before + 1, timeout=WAIT)
    assert shown(studio).driver == "model"


def test_see_it_play_has_the_model_of_the_run_that_is_shown_drive(qtbot, open_studio, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    run = jobs.finish(train(jobs.experiment(env={"max_episode_steps": 40}), workspace))["run"]
    without = workspace.create_run("CartPole-v1", "train", Experiment().to_toml())
    without.finish("stopped")
    workspace.close()
    studio = open_studio(begin=False)
    side = studio.window.pages["train"].side
    studio.services.show_run(without.name)
    assert not side.play.isVisible()
    studio.services.show_run(run)
    qtbot.mouseClick(side.play, LEFT)
    assert studio.window.page == "drive"
    qtbot.waitUntil(lambda: shown(studio).driver == "model" and shown(studio).steps > 2, timeout=WAIT)
    assert (shown(studio).copilot, shown(studio).step_limit) == (run, 40)


def test_models_that_come_with_the_studio_may_drive(qtbot, at_the_wheel):
    studio = at_the_wheel("CartPole-v1")
    page = studio.window.pages["drive"].widget
    page.model.setCurrentIndex(page.model.findData("cartpole"))
    page.model.activated.emit(page.model.currentIndex())
    qtbot.waitUntil(lambda: shown(studio).copilot == "cartpole", timeout=WAIT)


def test_a_drive_survives_another_page_and_ends_with_the_window(qtbot, at_the_wheel):
    studio = at_the_wheel("CartPole-v1")
    page = studio.window.pages["drive"].widget
    qtbot.mouseClick(page.record, LEFT)
    qtbot.keyPress(page.view, Key.Key_Left)
    qtbot.waitUntil(lambda: shown(studio).steps >= 3, timeout=WAIT)
    studio.window.show_page("train")
    session = drive(studio).session
    qtbot.waitUntil(lambda: session.snapshot.state in ("paused", "ended"), timeout=WAIT)
    assert studio.window.panel.isVisible()
    studio.window.show_page("drive")
    assert page.view.hasFocus()
    assert not studio.window.panel.isVisible()  # what was driven is listed where it would be
    assert studio.window.pages["drive"].controller.panel.isVisible()
    studio.window.close()
    assert session.snapshot.state == "over"
    assert recorded(studio).step_count >= 3


def test_the_page_alone_records_until_there_are_frames_enough(qtbot, tmp_path):
    workspace = Workspace(tmp_path / "ws")
    made = Experiment.from_dict({"env": {"id": "CarRacing-v3"}, "pretrain": {"mode": "manual"}, "data": {"frames": 40}})
    window = DriveWindow(made, workspace, lambda: False)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    window.begin()
    qtbot.waitUntil(lambda: window.drive.session.snapshot.state == "paused", timeout=WAIT)
    qtbot.keyPress(window.page.view, Key.Key_Up)
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=WAIT)
    assert Recording(workspace.recordings_folder / window.recording).step_count == 40
    workspace.close()


def test_the_clock_counts_minutes():
    assert [clock(s) for s in (0, 6.44, 59.96, 61.25)] == ["0:00.0", "0:06.4", "0:59.9", "1:01.2"]


def test_manual_pretraining_drives_first_and_then_trains_on_that(qtbot, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))

    def press():
        for window in QApplication.topLevelWidgets():
            if isinstance(window, DriveWindow) and window.drive.session is not None:
                qtbot.keyClick(window.page.view, Key.Key_Left)
                qtbot.keyClick(window.page.view, Key.Key_Right)

    timer = QTimer(interval=20)
    timer.timeout.connect(press)
    timer.start()
    flags = ["--frames", "60", "--epochs", "1", "--memory", "LSTMMemory", "--manual-mode-delay", "0.005", "--json"]
    small = ["--set", "memory.hidden_dim=8", "--set", "data.held_out=0.5"]
    code = cli.main(["pretrain", "--pretrain-mode", "manual", *flags, *small])
    timer.stop()
    assert code == 0
    result = json.loads(capfd.readouterr().out)
    (folder,) = (tmp_path / "ws" / "recordings").iterdir()
    assert Recording(folder).step_count == 60
    assert result["env_steps"] >= 60
    run = Experiment.from_toml(tmp_path / "ws" / "runs" / result["run"] / "experiment.toml")
    assert run.data.recording == folder.name


def test_nothing_recorded_is_nothing_to_pretrain_on(qtbot, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))

    def close():
        for window in QApplication.topLevelWidgets():
            if isinstance(window, DriveWindow):
                window.close()

    timer = QTimer(interval=300)
    timer.timeout.connect(close)
    timer.start()
    code = cli.main(["pretrain", "--pretrain-mode", "manual", "--memory", "LSTMMemory"])
    timer.stop()
    assert code == 2
    assert "nothing was recorded" in capfd.readouterr().err
    assert not list((tmp_path / "ws" / "runs").glob("*"))


def test_without_a_screen_manual_pretraining_says_what_works_instead(tmp_path, monkeypatch, capfd):
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    assert cli.main(["pretrain", "--pretrain-mode", "manual"]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert "needs a screen" in said
    assert "--recording NAME" in said
    assert "ewm-studio record" in said
