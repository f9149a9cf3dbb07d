"""Training from the window, with a real mouse on the real engine."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.analysis.history import REWARD, RunHistory
from ewm_studio.ui.kit.dialogs import FailureDialog, Question

WAIT = 120_000
LEFT = Qt.MouseButton.LeftButton


def dialog(kind):
    """The open dialog of a kind."""
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()), None)


def type_steps(qtbot, studio, steps):
    """Type a number of steps into the form."""
    row = next(r for r in studio.window.panel.sections["train"].rows.rows if r.field.path == "train.total_steps")
    row.editor.setFocus()
    row.editor.selectAll()
    qtbot.keyClicks(row.editor, str(steps))
    qtbot.keyClick(row.editor, Qt.Key.Key_Return)
    assert studio.services.document.experiment.train.total_steps == steps


def test_train_cartpole_to_the_end_evaluate_and_find_it_again(qtbot, studio, open_studio):
    window = studio.window
    type_steps(qtbot, studio, 4000)
    qtbot.mouseClick(window.bar.train, LEFT)
    qtbot.waitUntil(lambda: studio.jobs.running and len(studio.services.shown.history[REWARD]) > 0, timeout=WAIT)
    assert not window.bar.train.isEnabled()
    assert window.bar.stop.isVisible()
    assert window.panel.next_note.isVisible()
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)

    (run,) = studio.services.workspace.runs()
    assert run.state == "finished"
    assert run.steps == 4000
    stored = RunHistory.load(studio.services.workspace.run(run.name))
    assert stored[REWARD].value.tolist() == studio.services.shown.history[REWARD].value.tolist()
    assert len(studio.services.shown.history["ppo/policy_loss"]) == run.epochs
    qtbot.waitUntil(lambda: not any(card.dirty for card in window.pages["train"].widget.cards), timeout=WAIT)
    drawn = window.pages["train"].widget.cards[0].canvas.raw.getOriginalDataset()
    assert len(drawn[0]) == run.episodes

    qtbot.mouseClick(window.bar.infer, LEFT)
    qtbot.waitUntil(lambda: studio.jobs.running, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert "over 10 episodes" in studio.window.pages["train"].widget.log.lines[0].text
    assert len(studio.services.shown.history[REWARD]) == run.episodes  # playing leaves the run's curve alone

    window.close()
    again = open_studio(studio.services.workspace.path)
    assert [info.name for info in again.services.workspace.runs()] == [run.name]
    assert again.services.document.experiment.train.total_steps == 4000
    again.services.show_run(run.name)
    assert len(again.services.shown.history[REWARD]) == run.episodes


def test_pause_resume_stop_and_go_on(qtbot, studio):
    window = studio.window
    type_steps(qtbot, studio, 1_000_000)
    qtbot.mouseClick(window.bar.train, LEFT)
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > 1, timeout=WAIT)
    qtbot.mouseClick(window.bar.pause, LEFT)
    assert window.bar.pause.text() == "Resume"
    qtbot.wait(300)  # what was on its way arrives
    rows = len(studio.services.shown.history["ppo/entropy"])
    qtbot.wait(400)
    assert len(studio.services.shown.history["ppo/entropy"]) == rows
    qtbot.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > rows, timeout=WAIT)
    qtbot.mouseClick(window.bar.stop, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    (run,) = studio.services.workspace.runs()
    assert run.state == "stopped"
    assert run.checkpoint

    before = len(studio.services.shown.history["ppo/entropy"])
    studio.services.resume(run.name)
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > before, timeout=WAIT)
    qtbot.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert [info.name for info in studio.services.workspace.runs()] == [run.name]


def test_stop_while_paused_ends_the_run(qtbot, studio):
    studio.services.document.set("train.total_steps", 1_000_000)
    studio.services.start("train")
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > 0, timeout=WAIT)
    studio.jobs.toggle_pause()
    studio.jobs.stop()
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert studio.services.workspace.runs()[0].state == "stopped"


def test_closing_during_a_run_asks_then_stops_it(qtbot, studio):
    studio.services.document.set("train.total_steps", 1_000_000)
    studio.services.start("train")
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > 0, timeout=WAIT)
    assert not studio.window.close()
    question = dialog(Question)
    qtbot.mouseClick(question.no, LEFT)
    assert studio.jobs.running
    assert studio.window.isVisible()
    studio.window.close()
    qtbot.waitUntil(lambda: dialog(Question) is not None)
    qtbot.mouseClick(dialog(Question).yes, LEFT)
    qtbot.waitUntil(lambda: not studio.window.isVisible(), timeout=WAIT)
    assert not studio.jobs.running
    assert studio.services.workspace.runs()[0].state == "stopped"


def put_away_failure(qtbot, said, kind):
    """Wait for the dialog about a failure, read it, copy it, close it."""
    qtbot.waitUntil(lambda: dialog(FailureDialog) is not None, timeout=WAIT)
    shown = dialog(FailureDialog)
    assert said in shown._failure.what
    qtbot.mouseClick(shown.more, LEFT)
    qtbot.mouseClick(shown.copy, LEFT)
    assert kind in QApplication.clipboard().text()
    qtbot.mouseClick(shown.close_button, LEFT)
    qtbot.waitUntil(lambda: dialog(FailureDialog) is None)


def train_shortly(qtbot, studio, *settings):
    """Click on Train for a few steps."""
    for path, value in (("env.batch_size", 2), ("train.total_steps", 256), *settings):
        studio.services.document.set(path, value)
    qtbot.mouseClick(studio.window.bar.train, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)


@pytest.mark.parametrize(
    ("env", "said", "kind"),
    [
        ("CartPoll-v1", "CartPole-v1", "UserError"),
        ("tests.support.odd_envs:Broken-v0", "ValueError: the bolt is loose", "JobError"),
    ],
)
def test_what_a_job_fails_of_gives_a_dialog_and_the_window_trains_again(qtbot, studio, env, said, kind):
    train_shortly(qtbot, studio, ("env.id", env))
    put_away_failure(qtbot, said, kind)
    assert studio.window.bar.train.isEnabled()
    lines = [line for line in studio.window.pages["train"].widget.log.lines if line.level == "error"]
    assert said in lines[0].text
    train_shortly(qtbot, studio, ("env.id", "CartPole-v1"))
    assert studio.services.workspace.runs()[0].state == "finished"


def test_an_exception_that_nobody_caught_gives_a_dialog(qtbot, open_studio):
    studio = open_studio(begin=False)
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        studio.services.notices.fail(error)
    put_away_failure(qtbot, "ZeroDivisionError: division by zero", "ZeroDivisionError")


def test_a_flood_of_events_keeps_all_episodes_and_the_last_progress(qtbot, studio):
    steps = 20_000
    train_shortly(qtbot, studio, ("env.id", "tests.support.odd_envs:Short-v0"), ("train.total_steps", steps))
    rewards = studio.services.shown.history[REWARD].value
    assert len(rewards) == studio.services.workspace.runs()[0].episodes == steps
    assert sorted(rewards.tolist()) == sorted([*range(1, steps // 2 + 1)] * 2)  # of two environments
    progress = studio.window.bar.progress
    assert progress.value() == progress.maximum()


def test_jobs_queue_up(qtbot, studio):
    studio.services.document.set("train.total_steps", 256)
    for seed in (3, 1, 2):
        studio.services.document.set("run.seed", seed)
        studio.services.enqueue("train")
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    runs = reversed(studio.services.workspace.runs())
    assert [(run.seed, run.state) for run in runs] == [(3, "finished"), (1, "finished"), (2, "finished")]


def choose(menu, words):
    """Pick the entry of a menu that holds these words."""
    (action,) = [a for a in menu.actions() if words in a.text()]
    action.trigger()


def test_jobs_wait_with_the_settings_of_their_time_and_follow_when_one_is_stopped(qtbot, studio):
    window = studio.window
    type_steps(qtbot, studio, 1_000_000)
    qtbot.mouseClick(window.bar.train, LEFT)
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > 0, timeout=WAIT)
    type_steps(qtbot, studio, 2000)  # settings stay open: they are those of the next run
    for seed in (5, 6, 7):
        studio.services.document.set("run.seed", seed)
        choose(window.bar.queue_menu, "Train after this")
    choose(window.bar.queue_menu, "Evaluate after this")
    assert window.bar.queue.text() == "Queue · 4"
    choose(window.bar.queue_menu, "seed 6")  # takes it out again
    assert window.bar.queue.text() == "Queue · 3"
    qtbot.mouseClick(window.bar.stop, LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    runs = list(reversed(studio.services.workspace.runs()))
    assert [(run.seed, run.state) for run in runs] == [(0, "stopped"), (5, "finished"), (7, "finished")]
    assert [run.steps for run in runs[1:]] == [2000, 2000]
    assert "over 10 episodes" in window.pages["train"].widget.log.lines[0].text
    assert not window.bar.queue.isVisible()


def test_a_run_resumed_from_the_queue_goes_on_with_its_curves(qtbot, studio):
    studio.services.document.set("train.total_steps", 1_000_000)
    studio.services.start("train")
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > 1, timeout=WAIT)
    first = studio.services.shown.history.name
    studio.services.enqueue("train")
    studio.jobs.stop()
    qtbot.waitUntil(
        lambda: studio.services.shown.history.name != first and len(studio.services.shown.history["ppo/entropy"]) > 1,
        timeout=WAIT,
    )
    studio.services.resume(first)
    studio.jobs.stop()
    qtbot.waitUntil(lambda: studio.services.shown.history.name == first, timeout=WAIT)
    before = len(studio.services.shown.history["ppo/entropy"])
    assert before > 1
    qtbot.waitUntil(lambda: len(studio.services.shown.history["ppo/entropy"]) > before, timeout=WAIT)
    studio.jobs.stop()
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    stored = RunHistory.load(studio.services.workspace.run(first))
    assert stored[REWARD].value.tolist() == studio.services.shown.history[REWARD].value.tolist()
    assert len(stored["ppo/entropy"]) == len(studio.services.shown.history["ppo/entropy"])


def test_evaluating_without_a_model_says_what_to_do(qtbot, studio):
    qtbot.mouseClick(studio.window.bar.infer, LEFT)
    shown = dialog(FailureDialog)
    assert "train one" in shown._failure.what
    shown.accept()
