"""What the window keeps, what it asks before it forgets, and what it says of what it did."""

import shlex

import numpy as np
import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.kit.dialogs import FailureDialog, Question
from ewm_studio.ui.kit.log_file import KEPT, NAME, LogFile
from ewm_studio.workspace.models import save_model
from ewm_studio.workspace.replays import EvaluationWriter, Replay

WAIT = 120_000
LEFT, CTRL, SHIFT = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def dialog(kind):
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()), None)


def activate(qtbot, studio):
    """Have the keys go to the window."""
    studio.window.activateWindow()
    qtbot.waitUntil(studio.window.isActiveWindow)


def editor_of(studio, path):
    section = studio.window.panel.sections[path.partition(".")[0]]
    section.header.setChecked(True)
    return next(row.editor for row in section.build().rows if row.field.path == path)


def type_into(qtbot, studio, path, text):
    """Type into a field and leave it as it is: nothing is confirmed, the focus stays."""
    activate(qtbot, studio)
    editor = editor_of(studio, path)
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, text)
    return editor


def test_ctrl_n_asks_before_what_was_changed_is_gone(qtbot, open_studio):
    studio = open_studio(begin=False)
    document, window = studio.services.document, studio.window
    activate(qtbot, studio)
    qtbot.keyClick(window, Qt.Key.Key_N, CTRL)
    assert dialog(Question) is None  # nothing is lost
    document.set("ppo.lr", 0.125)
    qtbot.keyClick(window, Qt.Key.Key_N, CTRL)
    qtbot.mouseClick(dialog(Question).no, LEFT)
    assert document.experiment.ppo.lr == 0.125
    qtbot.keyClick(window, Qt.Key.Key_N, CTRL)
    qtbot.mouseClick(dialog(Question).yes, LEFT)
    assert document.experiment == Experiment()


def test_the_command_line_holds_what_is_being_typed_and_says_that_it_was_copied(qtbot, open_studio):
    studio = open_studio(begin=False)
    type_into(qtbot, studio, "train.total_steps", "7777")
    assert studio.services.document.experiment.train.total_steps != 7777
    qtbot.keyClick(studio.window, Qt.Key.Key_C, CTRL | SHIFT)
    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[words.index("--total-steps") + 1] == "7777"
    assert studio.window.said_label.text() == "The command line is on the clipboard"


def test_a_run_started_by_a_key_goes_by_what_is_being_typed(qtbot, studio):
    type_into(qtbot, studio, "train.total_steps", "300")
    qtbot.keyClick(studio.window, Qt.Key.Key_R, CTRL)
    qtbot.waitUntil(lambda: studio.jobs.running, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert studio.services.workspace.runs()[0].steps < 400


def test_a_value_that_is_being_typed_outlives_the_window(qtbot, open_studio):
    studio = open_studio(begin=False)
    type_into(qtbot, studio, "train.total_steps", "4321")
    studio.window.close()
    assert open_studio(begin=False).services.document.experiment.train.total_steps == 4321


@pytest.mark.parametrize("start", ["Train", "Queue", "Ctrl+R", "Study"])
def test_nothing_starts_while_a_field_holds_what_could_not_be_taken(qtbot, open_studio, start):
    studio = open_studio(begin=False)
    window = studio.window
    editor = type_into(qtbot, studio, "env.idle_limit", "12x")
    window.panel.sections["env"].header.setChecked(False)
    window.panel.search.setText("seed")
    if window.columns.panel_open:
        window.columns.toggle_panel()
    if start == "Train":
        qtbot.mouseClick(window.bar.train, LEFT)
    elif start == "Ctrl+R":
        qtbot.keyClick(window, Qt.Key.Key_R, CTRL)
    elif start == "Queue":
        window.bar.queue_menu.asked.emit("train")
    else:
        window.show_page("study")
        window.pages["study"].widget.start_asked.emit()
    assert not studio.jobs.running
    assert studio.window.said_label.text() == "Idle limit: Should be a number, or nothing"
    qtbot.waitUntil(lambda: editor.hasFocus() and not editor.visibleRegion().isEmpty(), timeout=WAIT)
    assert editor.selectedText() == "12x"  # ready to be typed over


def test_a_value_that_no_line_can_show_is_none_that_could_not_be_taken(open_studio):
    studio = open_studio(begin=False)
    for section in studio.window.panel.sections.values():
        section.build()
    studio.services.document.set("start.load_path", " two\nlines ")
    studio.services.document.set("env.kwargs", {"a": [1, {"b": "x y"}]})
    assert studio.window.all_taken()


def test_a_draft_outlives_a_process_that_is_killed(qtbot, open_studio, tmp_path):
    studio = open_studio(begin=False)
    studio.services.document.set("ppo.lr", 0.125)
    qtbot.waitUntil(lambda: not studio.workspaces._draft.isActive())
    other = open_studio(begin=False)  # the first one never closed
    assert other.services.document.experiment.ppo.lr == 0.125


def written(path, *values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Experiment().with_values(*values).to_toml())
    return path


def test_after_a_restart_ctrl_s_writes_the_file_that_was_open(qtbot, open_studio, tmp_path):
    own = written(tmp_path / "workspace" / "experiment.toml", ("train.total_steps", 777_777))
    trial = written(tmp_path / "trial.toml", ("train.total_steps", 5000))
    text = own.read_text()
    first = open_studio(begin=False)
    assert first.window.panel._file.text() == "experiment.toml"
    first.services.document.open(trial)
    first.services.document.set("run.seed", 3)
    first.window.close()
    second = open_studio(begin=False)
    assert second.window.panel._file.text() == "trial.toml · edited"
    activate(qtbot, second)
    qtbot.keyClick(second.window, Qt.Key.Key_S, CTRL)
    assert second.window.panel._file.text() == "trial.toml"
    assert Experiment.from_toml(trial).run.seed == 3
    assert own.read_text() == text


@pytest.mark.parametrize("edited", [False, True])
def test_a_new_experiment_is_in_no_file_after_a_restart(qtbot, open_studio, tmp_path, monkeypatch, edited):
    asked = []
    monkeypatch.setattr("ewm_studio.ui.window.commands.ask_save", lambda *given: asked.append(given))
    own = written(tmp_path / "workspace" / "experiment.toml", ("train.total_steps", 777_777))
    text = own.read_text()
    first = open_studio(begin=False)
    activate(qtbot, first)
    qtbot.keyClick(first.window, Qt.Key.Key_N, CTRL)
    if edited:
        first.services.document.set("run.seed", 3)
    first.window.close()
    second = open_studio(begin=False)
    assert second.window.panel._file.text() == "not saved"
    assert second.services.document.edited is edited
    activate(qtbot, second)
    qtbot.keyClick(second.window, Qt.Key.Key_S, CTRL)
    assert len(asked) == 1
    assert own.read_text() == text


def test_a_file_that_was_changed_between_two_starts_is_shown_as_it_is(open_studio, tmp_path):
    own = written(tmp_path / "workspace" / "experiment.toml", ("run.seed", 1))
    open_studio(begin=False).window.close()
    written(own, ("run.seed", 2))
    document = open_studio(begin=False).services.document
    assert (document.experiment.run.seed, document.path, document.edited) == (2, own, False)


def test_the_log_survives_a_restart(open_studio):
    studio = open_studio(begin=False)
    studio.services.workspace.make()
    studio.services.notices.say("it went well", good=True)
    studio.services.notices.say("it did not", "error")
    studio.window.close()
    again = open_studio(begin=False)
    lines = again.window.pages["train"].widget.log.lines
    assert [(line.text, line.level, line.good) for line in lines] == [
        ("it did not", "error", False),
        ("it went well", "info", True),
    ]


def test_a_log_stays_small_and_a_broken_one_is_left(tmp_path):
    log = LogFile(tmp_path)
    for number in range(2 * KEPT + 5):
        log.add(f"line {number}", "info", False)
    (tmp_path / NAME).open("a").write('{"time": "x"}\nnothing\n[1]\n')
    lines = log.lines()
    assert lines[-1].text == f"line {2 * KEPT + 4}"
    assert len((tmp_path / NAME).read_text().splitlines()) == KEPT
    LogFile(tmp_path / "gone").add("never", "info", False)
    assert LogFile(tmp_path / "gone").lines() == []


def put_model(path):
    save_model(path, {"w": torch.ones(2)}, {"parts": {}})


def test_an_evaluation_stands_beside_its_run_after_a_restart(qtbot, open_studio):
    studio = open_studio(begin=False)
    run = studio.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, 0)
    run.log_episode(20, 1.0, 20.0, 20)
    run.finish("finished")
    writer = EvaluationWriter(run.folder / "replays", run.name, "A + B + C", put_model)
    for seed, reward in enumerate((10.0, 20.0)):
        rewards = np.array([reward])
        writer.add(Replay(Experiment().env, seed, True, np.zeros((1,), np.int64), rewards, 1, True))
    studio.services.show_run(run.name)
    side = studio.window.pages["train"].side
    qtbot.waitUntil(lambda: side._result.text() != "", timeout=WAIT)
    assert side._result.text() == "15 ± 5"
    assert "evaluation over 2 episodes, from 10 to 20" in side._result_words.text()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("env.id", "NoSuchEnv-v0", "not a registered environment"),
        ("vision.name", "ConvVAE", "does not fit"),
        ("start.load_path", "no-such-run", "no-such-run"),
        ("warm_up.recording", "nothing-driven", "nothing-driven"),
    ],
)
def test_what_is_queued_is_checked_when_it_is_queued(qtbot, studio, path, value, said):
    document, jobs = studio.services.document, studio.jobs
    document.set("train.total_steps", 1_000_000)
    qtbot.mouseClick(studio.window.bar.train, LEFT)
    qtbot.waitUntil(lambda: jobs.running, timeout=WAIT)
    studio.services.enqueue("train")  # a sound one stays
    document.set(path, value)
    studio.services.enqueue("train")
    qtbot.waitUntil(lambda: dialog(FailureDialog) is not None, timeout=WAIT)
    shown = dialog(FailureDialog)
    assert said in shown._failure.what
    assert shown.windowTitle().startswith("Could not queue")
    assert len(jobs.waiting) == 1
    shown.accept()
    jobs.clear()
    jobs.stop()
    qtbot.waitUntil(lambda: not jobs.running, timeout=WAIT)


def test_auto_keeps_no_values_of_the_part_it_chose_before(qtbot, studio):
    document = studio.services.document
    assert document.experiment == Experiment()  # rows were made for it, and nobody changed anything
    document.set("controller.hidden_size", 24)  # of the controller that auto chose for CartPole
    studio.services.fitting.inspect_soon()
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    assert document.experiment.controller.given == {"hidden_size": 24}
    document.set("env.id", "Acrobot-v1")  # the same controller: what was set holds
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    assert document.experiment.controller.given == {"hidden_size": 24}
    document.set("env.pixels", True)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    document.set("vision.latent_dim", 7)
    document.set("env.id", "CartPole-v1")
    document.set("env.pixels", False)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    qtbot.waitUntil(lambda: document.experiment.vision.given == {}, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    assert studio.window.panel._problem.isHidden()


def test_another_environment_leaves_the_recordings_of_the_last_one():
    document = ExperimentDocument()
    document.set("data.recording", "laps")
    document.set("warm_up.recording", "laps")
    document.set("env.id", "Acrobot-v1")
    assert (document.experiment.data.recording, document.experiment.warm_up.recording) == (None, None)
