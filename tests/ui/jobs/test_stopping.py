"""A job that was asked to stop: what is said meanwhile, and what can be done about one that does not answer."""

import signal

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.events import Progress
from ewm_studio.ui.kit.dialogs import FailureDialog, Question
from tests.support.scripted import ScriptedProcesses
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton
FAR = Progress("train", 200, 1000, "steps", 400.0, 240.0)


def dialogs(kind):
    """The open dialogs of a kind."""
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()]


@pytest.fixture
def deaf(qtbot, open_studio):
    """A studio with a job that does not answer; its processes are `deaf.processes`."""
    processes = ScriptedProcesses(answers=False)
    studio = open_studio(begin=False, processes=processes)
    studio.processes = processes
    qtbot.mouseClick(studio.window.bar.train, LEFT)
    qtbot.waitUntil(lambda: bool(processes.taken))
    yield studio
    for process in processes.taken:
        process.finish()
    qtbot.waitUntil(lambda: not studio.jobs.running)


def test_what_comes_after_stop_leaves_that_it_stops(qtbot, deaf):
    bar = deaf.window.bar
    deaf.processes.last.say(FAR)
    qtbot.waitUntil(lambda: "left" in bar._figures.text())
    qtbot.mouseClick(bar.stop, LEFT)
    assert bar._stage.text() == "Stopping: saving first"
    deaf.processes.last.say(Progress("train", 300, 1000, "steps", 400.0, 200.0))
    qtbot.waitUntil(lambda: bar._figures.text() == "300 of 1,000 steps")
    assert bar._stage.text() == "Stopping: saving first"
    assert not bar.stop.isEnabled()
    deaf.processes.last.finish()
    qtbot.waitUntil(lambda: not deaf.jobs.running)
    assert bar._stage.text() == "Stopped after 1 s"


def test_a_job_that_does_not_stop_can_be_ended_at_once_and_the_next_follows(qtbot, deaf):
    bar = deaf.window.bar
    bar._patience.setInterval(1)
    deaf.services.enqueue("train")
    qtbot.waitUntil(lambda: not deaf.services.background.busy, timeout=WAIT)
    qtbot.mouseClick(bar.stop, LEFT)
    qtbot.waitUntil(lambda: bar.stop.text() == "End now")
    qtbot.mouseClick(bar.stop, LEFT)
    (question,) = dialogs(Question)
    qtbot.mouseClick(question.no, LEFT)
    assert not deaf.processes.last.killed
    qtbot.keyClick(deaf.window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    (question,) = dialogs(Question)
    qtbot.mouseClick(question.yes, LEFT)
    qtbot.waitUntil(lambda: len(deaf.processes.taken) == 2)
    assert [process.killed for process in deaf.processes.taken] == [True, False]
    assert not dialogs(FailureDialog)  # it is what was wanted
    assert (bar.stop.text(), bar.stop.isEnabled()) == ("Stop", True)
    assert "Ended without saving" in [line.text for line in deaf.window.pages["train"].widget.log.lines]
    deaf.processes.last.finish()
    qtbot.waitUntil(lambda: not deaf.jobs.running)


def test_a_job_that_ends_while_that_is_asked_takes_the_question_back(qtbot, deaf):
    deaf.window.bar._patience.setInterval(1)
    qtbot.mouseClick(deaf.window.bar.stop, LEFT)
    qtbot.waitUntil(lambda: deaf.window.bar.stop.text() == "End now")
    qtbot.mouseClick(deaf.window.bar.stop, LEFT)
    assert len(dialogs(Question)) == 1
    deaf.processes.last.finish()
    qtbot.waitUntil(lambda: not deaf.jobs.running)
    assert not dialogs(Question)
    assert deaf.window.isVisible()


def test_a_window_whose_job_does_not_answer_is_closed_by_the_second_try(qtbot, deaf):
    window = deaf.window
    window.close()
    qtbot.mouseClick(dialogs(Question)[0].yes, LEFT)
    assert window.isVisible()
    window.close()
    window.close()  # asked already
    (question,) = dialogs(Question)
    assert question.windowTitle() == "End without saving?"
    qtbot.mouseClick(question.yes, LEFT)
    qtbot.waitUntil(lambda: not window.isVisible())
    assert not deaf.jobs.running
    assert not dialogs(FailureDialog)


def test_the_second_signal_ends_what_does_not_answer(qtbot, deaf, monkeypatch):
    deaf.obey(signal.SIGTERM)
    deaf.obey(signal.SIGTERM)  # so soon the same request, to the group as well
    monkeypatch.setattr("ewm_studio.processes.endings.AGAIN_SECONDS", 0.0)
    deaf.obey(signal.SIGHUP)  # the terminal is gone: nobody is impatient
    assert deaf.window.isVisible()
    assert not deaf.processes.last.killed
    deaf.obey(signal.SIGTERM)
    qtbot.waitUntil(lambda: not deaf.window.isVisible())
    assert deaf.processes.last.killed


def test_a_simulator_that_hangs_holds_neither_its_run_nor_the_window(qtbot, studio):
    for path, value in (("env.id", "tests.support.odd_envs:Hanging-v0"), ("env.batch_size", 1), ("env.workers", 0)):
        studio.services.document.set(path, value)
    qtbot.mouseClick(studio.window.bar.train, LEFT)
    qtbot.waitUntil(lambda: bool(studio.services.workspace.runs()), timeout=WAIT)
    studio.window.close()
    qtbot.mouseClick(dialogs(Question)[0].yes, LEFT)
    studio.window.close()
    qtbot.mouseClick(dialogs(Question)[0].yes, LEFT)
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=WAIT)
    assert studio.services.workspace.runs()[0].state == "interrupted"
