"""Several runs at once, tags, the filter that counts, and the pane beside the table, by clicks and keys."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel

from ewm_studio.analysis.run_detail import NOT_GIVEN, compared, defaults_of, differences
from ewm_studio.analysis.run_tags import retagged, tags_of, with_tags, words_without
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import Question, TextQuestion
from ewm_studio.ui.runs.detail import difference_words
from tests.ui.conftest import WAIT

LEFT, SHIFT, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def dialog(kind):
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible())


@pytest.fixture
def with_runs(open_studio):
    """A studio on a workspace with three runs of several learning rates."""
    studio = open_studio(begin=False)
    for seed in (1, 2, 3):
        experiment = Experiment().with_values(("ppo.lr", seed / 100), ("run.seed", seed))
        run = studio.services.workspace.create_run("CartPole-v1", "train", experiment.to_toml(), {}, seed)
        run.log_episode(20, 1.0, 10.0 * seed, 20)
        run.flush()
        run.finish("finished", best_reward=10.0 * seed)
    studio.window.activateWindow()
    studio.window.show_page("runs")
    return studio


def select(qtbot, page, first, last=None):
    """Click on a line, and on another with Shift."""
    view = page.view
    for line, keys in ((first, Qt.KeyboardModifier.NoModifier), (last, SHIFT)):
        if line is not None:
            at = view.visualRect(view.model().index(line, 0)).center()
            qtbot.mouseClick(view.viewport(), LEFT, keys, at)


def words_of(pane):
    return " | ".join(part.text() for part in pane.findChildren(QLabel) if part.isVisible())


def test_the_filter_counts_and_every_word_must_be_found(qtbot, with_runs):
    page = with_runs.window.pages["runs"].widget
    assert page.count.text() == "3 in this workspace"
    qtbot.keyClicks(page.search, "cartpole-v1-2 FINISHED")
    assert page.count.text() == "1 of 3 in this workspace"
    qtbot.keyClicks(page.search, " failed")
    assert page.count.text() == "0 of 3 in this workspace"
    page.search.clear()
    assert page.count.text() == "3 in this workspace"


def test_several_runs_are_compared_at_once(qtbot, with_runs):
    page = with_runs.window.pages["runs"].widget
    select(qtbot, page, 0, 2)
    assert len(page.chosen_all) == 3
    assert not page.actions_by_name["rename"].isEnabled()
    qtbot.mouseClick(page._buttons["compare"], LEFT)
    shown = with_runs.services.shown
    names = {shown.history.name, *(history.name for history in shown.plots.compared)}
    assert names == {run.name for run in with_runs.services.workspace.runs()}
    assert with_runs.window.page == "train"


def test_several_runs_are_deleted_at_once_and_leave_the_plots(qtbot, with_runs):
    page, workspace = with_runs.window.pages["runs"].widget, with_runs.services.workspace
    newest, _, oldest = (run.name for run in workspace.runs())
    with_runs.services.show_run(newest)
    with_runs.window.show_page("runs")
    select(qtbot, page, 0, 1)
    page.view.setFocus()
    qtbot.keyClick(page.view, Qt.Key.Key_Delete)
    assert "2 runs" in dialog(Question).windowTitle()
    qtbot.mouseClick(dialog(Question).yes, LEFT)
    assert [run.name for run in workspace.runs()] == [oldest]
    qtbot.waitUntil(lambda: with_runs.services.shown.history.name == oldest, timeout=WAIT)
    assert "deleted" not in with_runs.window.run_label.text()
    with_runs.window.pages["runs"].controller._restore(newest)
    assert newest in [run.name for run in workspace.runs()]


def test_tags_mark_several_and_are_found(qtbot, with_runs):
    page, workspace = with_runs.window.pages["runs"].widget, with_runs.services.workspace
    select(qtbot, page, 0, 1)
    page.view.setFocus()
    qtbot.keyClick(page.view, Qt.Key.Key_T)
    qtbot.keyClicks(dialog(TextQuestion).line, "baseline wide")
    qtbot.keyClick(dialog(TextQuestion).line, Qt.Key.Key_Return)
    assert [tags_of(run.note) for run in workspace.runs()] == [("baseline", "wide")] * 2 + [()]
    qtbot.keyClicks(page.search, "#wide")
    assert page.count.text() == "2 of 3 in this workspace"
    page.search.clear()
    select(qtbot, page, 0)
    pane = with_runs.window.pages["runs"].side
    assert pane.tags.isVisible()
    qtbot.mouseClick(pane.edit_tags, LEFT)
    dialog(TextQuestion).line.setText("wide")
    qtbot.keyClick(dialog(TextQuestion).line, Qt.Key.Key_Return)
    assert tags_of(workspace.runs()[0].note) == ("wide",)


def test_a_note_keeps_its_words_beside_its_tags():
    note = with_tags("worse after 10 k", ["a", "#b", "a"])
    assert note == "worse after 10 k #a #b"
    assert words_without(note) == "worse after 10 k"
    assert retagged(note, "c, -a") == "worse after 10 k #b #c"
    assert tags_of("number 5#6 is no tag") == ()


def test_the_pane_says_what_differs(qtbot, with_runs):
    runs = with_runs.window.pages["runs"]
    pane, page = runs.side, runs.widget
    select(qtbot, page, 0)
    qtbot.waitUntil(lambda: runs.controller.detail.idle and "0.03" in words_of(pane), timeout=WAIT)
    assert "0.03, not 0.001 | Learning rate (ppo)" in words_of(pane)  # against the defaults
    select(qtbot, page, 0, 1)
    qtbot.waitUntil(lambda: "0.03, not 0.02" in words_of(pane), timeout=WAIT)
    assert pane.rival.currentText() == page.chosen_all[1].name
    select(qtbot, page, 0)
    pane.rival.setFocus()
    qtbot.keyClick(pane.rival, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: "0.03, not 0.01" in words_of(pane), timeout=WAIT)


def test_the_pane_folds_the_settings_that_are_alike(qtbot, with_runs):
    runs = with_runs.window.pages["runs"]
    pane = runs.side
    select(qtbot, runs.widget, 0)
    qtbot.waitUntil(lambda: runs.controller.detail.idle and "0.03, not 0.001" in words_of(pane), timeout=WAIT)
    assert "Discount γ" not in words_of(pane)
    assert pane.others.text().startswith("Show the other ")
    qtbot.mouseClick(pane.others, LEFT)
    assert "Discount γ (ppo): 0.99" in words_of(pane)
    assert "Total steps: 100,000" in words_of(pane)
    assert "Learning rate (ppo): " not in words_of(pane)  # it differs, and stands above
    qtbot.keyClick(pane.others, Qt.Key.Key_Space)
    assert "Discount γ" not in words_of(pane)


def test_what_is_told_again_leaves_the_focus_where_it_is(qtbot, open_studio, dreams):
    studio = open_studio(dreams, begin=False)
    runs = studio.window.pages["runs"]
    studio.window.activateWindow()
    studio.window.show_page("runs")
    runs.widget.choose(studio.services.workspace.evaluations()[0].run)
    qtbot.waitUntil(lambda: runs.controller.detail.idle and " kB · best" in words_of(runs.side), timeout=WAIT)
    watch = next(b for b in runs.side.findChildren(type(runs.side.log)) if b.accessibleName().startswith("Watch"))
    watch.setFocus()
    runs.controller.watch()  # as it does every two seconds
    runs.controller.detail.refresh()
    qtbot.waitUntil(lambda: runs.controller.detail.idle, timeout=WAIT)
    assert watch.hasFocus()


def test_only_what_differs_from_a_parts_own_defaults_is_told():
    run = Experiment.from_dict(
        {
            "memory": {"name": "LSTMMemory", "hidden_dim": 7, "dropout": 0.0},
            "vision": {"name": "of-a-package-that-is-gone", "width": 3},
            "env": {"workers": 2},
        }
    )
    found = compared(run, defaults_of(run))
    told = [(d.path, d.here, d.there) for d in found.different]
    assert ("memory.name", "LSTMMemory", "auto") in told
    assert ("memory.hidden_dim", "7", "128") in told
    assert ("vision.width", "3", NOT_GIVEN) in told
    assert not {"memory.dropout", "env.workers"} & {path for path, *_ in told}
    assert ("memory.dropout", "0") in found.rest
    assert ("env.workers", "2") in found.rest  # auto found it


def test_evaluations_and_checkpoints_are_listed_and_watched(qtbot, open_studio, dreams):
    studio = open_studio(dreams, begin=False)
    runs = studio.window.pages["runs"]
    studio.window.show_page("runs")
    evaluation = studio.services.workspace.evaluations()[0]
    runs.widget.choose(evaluation.run)
    qtbot.waitUntil(lambda: runs.controller.detail.idle and " kB · best" in words_of(runs.side), timeout=WAIT)
    assert " in 2" in words_of(runs.side)
    watch = next(b for b in runs.side.findChildren(type(runs.side.log)) if b.accessibleName().startswith("Watch"))
    qtbot.mouseClick(watch, LEFT)
    assert studio.window.page == "replay"
    watching = studio.window.pages["replay"].controller.watching
    qtbot.waitUntil(lambda: watching.idle and watching.evaluation is not None, timeout=WAIT)
    assert watching.evaluation.folder == evaluation.folder


def test_differences_are_of_settings_alone():
    here, there = Experiment().with_values(("ppo.gamma", 0.9)), Experiment()
    assert [d.path for d in differences(here, there)] == ["ppo.gamma"]
    assert differences(there, there) == ()


def test_settings_that_only_one_has_come_last_and_are_not_said_to_be_otherwise():
    run = Experiment.from_dict({"memory": {"name": "LSTMMemory", "hidden_dim": 7}, "ppo": {"gamma": 0.9}})
    found = differences(run, Experiment())
    assert [(d.path, d.here, d.there) for d in found] == [
        ("memory.name", "LSTMMemory", "auto"),
        ("ppo.gamma", "0.9", "0.99"),
        ("memory.hidden_dim", "7", NOT_GIVEN),
    ]
    assert [difference_words(d) for d in found] == ["LSTMMemory, not auto", "0.9, not 0.99", "7"]
    (*_, other) = differences(Experiment(), run)
    assert difference_words(other) == "only there: 7"


def add_runs(studio, count):
    for seed in range(count):
        run = studio.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, seed)
        run.finish("finished")


def test_several_stay_selected_and_in_view_when_a_run_appears_or_goes(qtbot, with_runs):
    studio = with_runs
    window = studio.window.pages["runs"]
    page, bar = window.widget, window.widget.view.verticalScrollBar()
    add_runs(studio, 40)
    window.controller.watch()
    qtbot.waitUntil(lambda: bar.maximum() > 9, timeout=WAIT)
    bar.setValue(9)
    select(qtbot, page, 12, 16)
    names, top = [info.name for info in page.chosen_all], page.view.rowAt(4)
    assert len(names) == 5
    seen = page.view.model().index(top, 0).data()
    add_runs(studio, 1)
    window.controller.watch()
    qtbot.waitUntil(lambda: bar.value() == 10, timeout=WAIT)
    assert [info.name for info in page.chosen_all] == names
    assert page.view.model().index(page.view.rowAt(4), 0).data() == seen
    studio.services.workspace.delete_run(names[2])
    window.controller.watch()
    assert [info.name for info in page.chosen_all] == [*names[:2], *names[3:]]
    for name in (*names[:2], *names[3:]):
        studio.services.workspace.delete_run(name)
    window.controller.watch()
    assert len(page.chosen_all) == 1  # the one that lies there now
    page.show_runs(list(reversed(studio.services.workspace.runs())))
    assert {info.name for info in page.table.runs} == {info.name for info in studio.services.workspace.runs()}
    assert page.table.runs[0].name == studio.services.workspace.runs()[-1].name


def test_a_run_with_a_title_is_renamed_where_it_is_seen(qtbot, with_runs):
    studio = with_runs
    window = studio.window.pages["runs"]
    page, pane = window.widget, window.controller.pane
    name = studio.services.workspace.runs()[1].name
    studio.services.workspace.describe_run(name, title="NoMemory, seed 2")
    window.controller.watch()
    page.choose(name)
    page.view.setFocus()
    qtbot.waitUntil(pane.isVisible, timeout=WAIT)
    assert name in words_of(pane)  # by which other places call it
    qtbot.keyClick(page.view, Qt.Key.Key_F2)
    asked = dialog(TextQuestion)
    assert asked.line.text() == "NoMemory, seed 2"
    asked.line.selectAll()
    qtbot.keyClicks(asked.line, "my best")
    qtbot.keyClick(asked.line, Qt.Key.Key_Return)
    assert page.view.selectionModel().selectedRows()[0].data() == "my best"
    assert pane.title.text() == "my best"
    assert studio.services.workspace.info(name).title == "my best"
    qtbot.keyClick(page.view, Qt.Key.Key_F2)
    asked = dialog(TextQuestion)
    asked.line.clear()
    qtbot.keyClick(asked.line, Qt.Key.Key_Return)
    assert page.view.selectionModel().selectedRows()[0].data() == name


def test_a_menu_that_offers_the_newest_runs_says_where_the_others_are(qtbot, with_runs):
    studio = with_runs
    page = studio.window.pages["train"].widget
    page.compare_wanted.emit()
    assert [action.text() for action in page.compare_menu.actions()][-1] != "All in Runs…"
    add_runs(studio, 20)
    studio.window.show_page("train")
    page.compare_menu.popup(page.mapToGlobal(page.rect().center()))
    last = page.compare_menu.actions()[-1]
    assert last.text() == "All in Runs…"
    qtbot.mouseClick(page.compare_menu, LEFT, pos=page.compare_menu.actionGeometry(last).center())
    assert studio.window.page == "runs"
