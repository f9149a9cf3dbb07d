"""Errors where they arise, in the words of what was done, once, and without flags."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import FailureDialog, TextQuestion
from ewm_studio.ui.kit.wording import without_flags
from ewm_studio.workspace.workspace import name_problem

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


def test_an_unknown_environment_is_said_once(qtbot, studio):
    studio.services.document.set("env.id", "NoSuchEnv-v0")
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    panel = studio.window.panel
    assert "not a registered environment" in panel.environment.problem
    assert panel._problem.isHidden()
