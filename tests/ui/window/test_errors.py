"""Errors where they arise, in the words of what was done, once, and without flags."""

import shutil

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import FailureDialog, Question, TextQuestion
from ewm_studio.ui.kit.wording import without_flags
from ewm_studio.workspace.workspace import name_problem
from tests.support.scripted import ScriptedProcesses

WAIT = 120_000


def dialog(kind):
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()), None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start.load_path: name the model to play, with --load-path FILE_OR_RUN", "“Load model”: name the model"),
        ("use --render-mode rgb_array", "use “Render mode” rgb_array"),
        ("env.kwargs (--env-arg): X takes no argument 'a'", "“Arguments”: X takes no argument 'a'"),
        ("add --set data.dreamt=true", "add “Dreamt” true"),
        ("env.id 'Odd-v1' is not registered", "“Environment” 'Odd-v1' is not registered"),
        ("/home/a/b-v1.c: no file there, 0.25 of 1", "/home/a/b-v1.c: no file there, 0.25 of 1"),
    ],
)
def test_the_window_names_fields_and_no_flags(text, said):
    assert said in without_flags(text)
    assert "--" not in without_flags(text)


@pytest.mark.parametrize(
    ("wrong", "known", "right"),
    [
        ("CartPoll-v1", ["Acrobot-v1", "CartPole-v0", "CartPole-v1", "Pusher-v5"], "CartPole-v1"),
        ("carracing", ["CarRacing-v3", "CartPole-v1"], "CarRacing-v3"),
        ("total-step", ["total-steps", "epochs"], "total-steps"),
    ],
)
def test_the_nearest_name_is_meant(wrong, known, right):
    assert nearest(wrong, known).startswith(f"did you mean {right}")


def test_what_is_near_nothing_is_not_guessed():
    assert "did you mean" not in nearest("NoSuchEnv", ["Pusher-v5", "Swimmer-v5", "Walker2d-v5", "CartPole-v1"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Give it a name."),
        ("a b", "not a blank"),
        ("a/b", "not “/”"),
        ("x" * 81, "at most 80 signs; this one has 81"),
        (".hidden", "begins"),
        ("taken", "is taken"),
        ("fine-1.b_c", ""),
    ],
)
def test_a_name_is_judged_in_a_sentence(name, said):
    found = name_problem(name, {"taken"})
    assert (said in found) if said else found == ""


def test_a_name_is_judged_while_it_is_typed(qtbot, open_studio):
    studio = open_studio(begin=False)
    for seed in (1, 2):
        run = studio.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, seed)
        run.finish("finished")
    first, second = (info.name for info in studio.services.workspace.runs())
    studio.window.show_page("runs")
    page = studio.window.pages["runs"].widget
    page.choose(first)
    studio.window.activateWindow()
    page.view.setFocus()
    qtbot.waitUntil(page.view.hasFocus)
    qtbot.keyClick(page.view, Qt.Key.Key_F2)
    asked = dialog(TextQuestion)
    assert asked.yes.isEnabled()
    for typed, said in (("my run", "not a blank"), (second, "is taken"), ("my-run", "")):
        asked.line.selectAll()
        qtbot.keyClicks(asked.line, typed)
        assert said in asked.problem.text()
        assert asked.yes.isEnabled() == (said == "")
    qtbot.keyClick(asked.line, Qt.Key.Key_Return)
    assert studio.services.workspace.info("my-run").name == "my-run"


def test_a_failure_is_told_in_the_words_of_what_was_done(qtbot, open_studio):
    studio = open_studio(begin=False)
    studio.services.notices.fail(UserError("episode-3: it has no step 9; see --frames"), "cut episode-3")
    shown = dialog(FailureDialog)
    assert shown.windowTitle() == "Could not cut episode-3"
    assert "job" not in shown._failure.what
    assert "--" not in shown._failure.what
    shown.accept()


def told(studio):
    """What the one failure dialog says: its title and its text. It is put away."""
    (shown,) = [w for w in QApplication.topLevelWidgets() if isinstance(w, FailureDialog) and w.isVisible()]
    shown.accept()
    return shown.windowTitle(), shown._failure.what


def chosen_run(studio):
    """A finished run, chosen on the page of runs; and that page."""
    run = studio.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, 1)
    run.finish("finished")
    studio.window.show_page("runs")
    page = studio.window.pages["runs"].widget
    page.choose(run.name)
    return run, page


@pytest.mark.parametrize(
    ("what", "doing"),
    [
        ("note", "write the note"),
        ("tags", "write the tags"),
        ("rename", "rename the run"),
        ("delete", "delete the run"),
    ],
)
def test_a_run_that_is_gone_is_told_in_the_words_of_what_was_asked(qtbot, open_studio, what, doing):
    studio = open_studio(begin=False)
    run, page = chosen_run(studio)
    shutil.rmtree(run.folder)
    page.ask(what)
    if (asked := dialog(TextQuestion) or dialog(Question)) is not None:
        if what == "rename":
            qtbot.keyClicks(asked.line, "other")
        qtbot.mouseClick(asked.yes, Qt.MouseButton.LeftButton)
    assert told(studio)[0] == f"Could not {doing}"


def test_a_run_that_goes_while_its_note_is_written_is_told_so(qtbot, open_studio):
    studio = open_studio(begin=False)
    run, page = chosen_run(studio)
    page.ask("note")
    shutil.rmtree(run.folder)
    qtbot.keyClicks(dialog(TextQuestion).line, "fine")
    qtbot.mouseClick(dialog(TextQuestion).yes, Qt.MouseButton.LeftButton)
    assert told(studio)[0] == "Could not write the note"


def test_jobs_that_fail_one_after_the_other_are_told_in_one_dialog(qtbot, open_studio):
    processes = ScriptedProcesses()
    studio = open_studio(begin=False, processes=processes)
    for seed in range(5):
        studio.services.document.set("run.seed", seed)
        studio.services.enqueue("train")
    qtbot.waitUntil(lambda: not studio.services.background.busy, timeout=WAIT)
    for number in range(5):
        qtbot.waitUntil(lambda number=number: len(processes.taken) == number + 1)
        processes.last.fail(OSError(28, "No space left on device") if number else ValueError("loose"))
    qtbot.waitUntil(lambda: not studio.jobs.running)
    title, what = told(studio)
    assert title == "5 things went wrong"
    assert what.count("No space left on device") == 1
    assert "(4 times)" in what
    assert "ValueError: loose" in what
    studio.services.notices.fail(UserError("gone"), "open it")
    assert told(studio) == ("Could not open it", "gone")  # what was read is not told again


def test_a_dialog_names_some_failures_and_counts_the_rest(qtbot, open_studio):
    studio = open_studio(begin=False)
    for number in range(9):
        studio.services.notices.fail(UserError(f"reason {number}"), "open it")
    title, what = told(studio)
    assert title == "9 things went wrong"
    assert "reason 5" in what
    assert "reason 6" not in what
    assert what.endswith("And 3 more: the log has them.")


def test_an_unknown_environment_is_said_once(qtbot, studio):
    studio.services.document.set("env.id", "NoSuchEnv-v0")
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    panel = studio.window.panel
    assert "not a registered environment" in panel.environment.problem
    assert panel._problem.isHidden()
