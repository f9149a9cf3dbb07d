"""What people do, from one end to the other: real key and mouse events on the real engine."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.analysis.history import REWARD, RunHistory

WAIT = 120_000
LONG = 900_000
LEFT = Qt.MouseButton.LeftButton


def pick_environment(qtbot, studio, typed):
    """Open the list of environments, type a part of a name, and take the first that is left."""
    card = studio.window.panel.environment
    qtbot.mouseClick(card.button, LEFT)
    qtbot.keyClicks(card.popup.search, typed)
    qtbot.keyClick(card.popup.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)


def pick_component(qtbot, studio, kind, name):
    """Choose a component by keys, as the picker takes them."""
    picker = studio.window.panel.cards[kind].picker
    picker.setFocus()
    qtbot.keyClicks(picker, name)
    qtbot.keyClick(picker, Qt.Key.Key_Return)
    picker.activated.emit(picker.currentIndex())
    assert getattr(studio.services.document.experiment, kind).name == name


def set_number(qtbot, studio, path, value):
    """Type a number into the form, found by its search."""
    panel = studio.window.panel
    section = path.partition(".")[0]
    rows = panel.sections[section].build()
    panel.sections[section].header.setChecked(True)
    row = next(r for r in rows.rows if r.field.path == path)
    row.editor.setFocus()
    row.editor.selectAll()
    qtbot.keyClicks(row.editor, str(value))
    qtbot.keyClick(row.editor, Qt.Key.Key_Return)


def test_a_run_of_the_command_line_shows_while_it_goes(qtbot, studio):
    folder = studio.services.workspace.path
    line = ["train", "--env", "CartPole-v1", "--total-steps", "100000000", "--workspace", str(folder)]
    page, card = studio.window.pages["runs"].widget, studio.window.pages["train"].widget.cards[0]
    with subprocess.Popen([sys.executable, "-m", "ewm_studio", *line], stderr=subprocess.DEVNULL) as process:
        try:
            studio.window.show_page("runs")
            qtbot.waitUntil(lambda: [info.state for info in page.table.runs] == ["running"], timeout=WAIT)
            qtbot.mouseClick(page._buttons["show"], LEFT)
            assert studio.window.page == "train"
            qtbot.waitUntil(lambda: len(studio.services.shown.history[REWARD]) > 10, timeout=WAIT)
            card.canvas.zoomed = True
            box = card.canvas.getPlotItem().getViewBox()
            box.setXRange(100.0, 900.0, padding=0)
            rows = len(studio.services.shown.history["ppo/entropy"])
            qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > rows + 3, timeout=WAIT)
            assert box.viewRange()[0] == [100.0, 900.0]  # what someone looks at closely stays in view
            assert not studio.jobs.running
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    (run,) = studio.services.workspace.runs()
    assert run.state == "stopped"
    stored = RunHistory.load(studio.services.workspace.run(run.name))
    qtbot.waitUntil(lambda: len(studio.services.shown.history[REWARD]) == len(stored[REWARD]), timeout=WAIT)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_newcomer_trains_cartpole_to_500(qtbot, open_studio, tmp_path):
    studio = open_studio(tmp_path / "new")
    window = studio.window
    pick_environment(qtbot, studio, "cartpole-v1")
    qtbot.mouseClick(window.pages["train"].widget.empty.action, LEFT)
    qtbot.waitUntil(lambda: studio.jobs.running and len(studio.services.shown.history[REWARD]) > 5, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=LONG)
    assert max(studio.services.shown.history["reward/mean_100"].value) > 400
    qtbot.mouseClick(window.bar.infer, LEFT)
    qtbot.waitUntil(lambda: studio.jobs.running, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=LONG)
    assert window.pages["train"].widget.log.lines[0].text == "Evaluated: 500 ± 0 over 10 episodes"
    name = studio.services.shown.history.name
    window.close()
    again = open_studio(tmp_path / "new")
    assert again.services.shown.history.name == name
    assert len(again.services.shown.history[REWARD]) == again.services.workspace.runs()[0].episodes


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_carracing_is_pretrained_then_trained_paused_resumed_and_stopped(qtbot, studio):
    window = studio.window
    pick_environment(qtbot, studio, "carracing-v3")
    pick_component(qtbot, studio, "vision", "ConvVAE")
    for path, value in (("data.frames", 1500), ("pretrain.epochs", 6), ("env.action_repeat", 4)):
        set_number(qtbot, studio, path, value)
    window.show_page("vision")
    qtbot.mouseClick(window.pages["vision"].widget.empty.action, LEFT)
    errors = []

    def watch(events):
        shown = window.pages["vision"].widget._pictures
        if "reconstruction" in shown and (not errors or shown is not watch.last):
            watch.last = shown
            apart = shown["original"].astype(float) - shown["reconstruction"]
            errors.append(float(np.mean((apart / 255) ** 2)))

    studio.jobs.events.connect(watch)
    qtbot.waitUntil(lambda: studio.jobs.running, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=LONG)
    assert len(errors) > 3
    assert errors[-1] < 0.5 * errors[0]  # the reconstructions got sharp
    held_out = studio.services.shown.history["vision/held_out_mse"].value
    assert held_out[-1] < 0.01

    window.show_page("runs")
    qtbot.mouseClick(window.pages["runs"].widget._buttons["load"], LEFT)
    set_number(qtbot, studio, "train.total_steps", 1_000_000)
    qtbot.mouseClick(window.bar.train, LEFT)
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > 0, timeout=LONG)
    qtbot.mouseClick(window.bar.pause, LEFT)
    qtbot.wait(1000)
    rows = len(studio.services.shown.history["ppo/entropy"])
    qtbot.wait(3000)
    assert len(studio.services.shown.history["ppo/entropy"]) == rows
    qtbot.mouseClick(window.bar.pause, LEFT)
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > rows, timeout=LONG)
    qtbot.mouseClick(window.bar.stop, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=LONG)
    assert studio.services.workspace.runs()[0].state == "stopped"
    assert not [w for w in QApplication.topLevelWidgets() if w.isVisible() and w is not window]
