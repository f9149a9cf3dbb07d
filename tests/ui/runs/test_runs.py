"""The Runs page: everything that can be done with a run, by clicks and keys."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.analysis.history import REWARD
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import Question, TextQuestion
from ewm_studio.ui.runs.page import PARTS
from ewm_studio.ui.runs.table import TITLES

WAIT = 120_000
LEFT = Qt.MouseButton.LeftButton


def dialog(kind):
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()), None)


def cells(page, title):
    """A column as it is shown."""
    model = page.view.model()
    return [model.index(line, TITLES.index(title)).data() for line in range(model.rowCount())]


def click_header(qtbot, page, title):
    header = page.view.horizontalHeader()
    index = TITLES.index(title)
    page.view.scrollTo(page.view.model().index(0, index))
    x = header.sectionViewportPosition(index) + header.sectionSize(index) // 2
    at = header.viewport().rect().center()
    at.setX(x)
    qtbot.mouseClick(header.viewport(), LEFT, pos=at)


def pick(qtbot, menu, action):
    """Choose an entry of a menu by mouse."""
    menu.popup(menu.parent().mapToGlobal(menu.parent().rect().center()))
    qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())


@pytest.fixture
def with_runs(open_studio):
    """A studio on a workspace with three runs, as the engine writes them; the last one was stopped."""
    studio = open_studio(begin=False)
    for seed, env, best in ((1, "CartPole-v1", 90.0), (2, "Acrobot-v1", 100.0), (3, "CartPole-v1", 9.5)):
        experiment = Experiment().with_values(("env.id", env), ("ppo.lr", seed / 100), ("run.seed", seed))
        parts = {kind: {"name": f"{kind}{seed}"} for kind in ("vision", "memory", "controller")}
        run = studio.services.workspace.create_run(env, "train", experiment.to_toml(), parts, seed)
        run.log_episode(20, 1.0, best, 20)
        run.flush()
        run.finish("stopped" if seed == 3 else "finished", best_reward=best, steps=1000 * seed)
    studio.window.show_page("runs")
    return studio


@pytest.fixture
def trained(qtbot, studio):
    """A studio with one real, short run that has a model."""
    studio.services.document.set("train.total_steps", 2000)
    studio.services.document.set("controller.name", "DeepDiscreteController")
    studio.services.document.set("controller.hidden_size", 24)
    studio.services.start("train")
    qtbot.waitUntil(lambda: not studio.jobs.running and len(studio.services.workspace.runs()) == 1, timeout=WAIT)
    studio.window.show_page("runs")
    return studio


def test_columns_sort_by_value_and_not_by_text(qtbot, with_runs):
    page = with_runs.window.pages["runs"].widget
    assert cells(page, "Parts")[0].startswith("vision")
    click_header(qtbot, page, "Best reward")
    first = cells(page, "Best reward")
    click_header(qtbot, page, "Best reward")
    assert cells(page, "Best reward") == first[::-1]
    assert sorted(first, key=float) in (first, first[::-1])
    click_header(qtbot, page, "Environment")
    assert sorted(cells(page, "Environment")) in (cells(page, "Environment"), cells(page, "Environment")[::-1])


def test_filtering_looks_at_every_column_and_keeps_the_choice_right(qtbot, with_runs):
    page = with_runs.window.pages["runs"].widget
    qtbot.mouseClick(page.search, LEFT)
    qtbot.keyClicks(page.search, "acro")
    assert cells(page, "Environment") == ["Acrobot-v1"]
    page.view.selectRow(0)
    assert page.chosen.env == "Acrobot-v1"
    page.search.clear()
    qtbot.keyClicks(page.search, "memory3")
    assert cells(page, "Seed") == ["3"]


def test_the_important_columns_fit_a_small_window(with_runs):
    page = with_runs.window.pages["runs"].widget
    header = page.view.horizontalHeader()
    last = TITLES.index("Started")
    assert header.sectionViewportPosition(last) + header.sectionSize(last) <= page.view.viewport().width()


def test_comparing_from_the_table_lays_a_run_over_the_plots(qtbot, with_runs):
    studio = with_runs
    page = studio.window.pages["runs"].widget
    newest, other, _ = (run.name for run in studio.services.workspace.runs())
    page.choose(newest)
    qtbot.mouseClick(page._buttons["compare"], LEFT)  # nothing is plotted yet: it is shown itself
    assert studio.services.shown.history.name == newest
    studio.window.show_page("runs")
    page.choose(other)
    qtbot.mouseClick(page._buttons["compare"], LEFT)
    assert studio.window.page == "train"
    assert [history.name for history in studio.window.pages["train"].widget.options.compared] == [other]
    studio.window.show_page("runs")
    page.choose(other)
    qtbot.mouseClick(page._buttons["compare"], LEFT)
    assert studio.window.pages["train"].widget.options.compared == []


def test_a_queued_run_that_begins_turns_no_page(qtbot, with_runs):
    studio = with_runs
    started, window = [], studio.window
    window.show_page("runs")
    studio.jobs.started.connect(started.append)
    studio.jobs.at_once = False  # as where a job before it has just ended
    studio.jobs.started.emit("train")
    assert window.page == "runs"
    studio.jobs.at_once = True
    studio.jobs.started.emit("train")
    studio.jobs.at_once = False
    assert window.page == "train"
    assert started == ["train", "train"]


def test_renaming_reaches_the_plots(qtbot, with_runs):
    studio = with_runs
    page = studio.window.pages["runs"].widget
    name = studio.services.workspace.runs()[0].name
    studio.services.show_run(name)
    studio.window.show_page("runs")
    page.choose(name)
    rename(qtbot, page, "better")
    assert studio.services.workspace.info("better").seed == 3
    assert page.chosen.name == "better"
    assert studio.services.shown.history.name == "better"
    assert "better" in studio.window.run_label.text()
    assert len(studio.services.shown.history[REWARD]) == 1
    page.ask("rename")
    asked = dialog(TextQuestion)
    asked.line.setText("no/good")
    qtbot.keyClick(asked.line, Qt.Key.Key_Return)
    assert asked.isVisible()  # it cannot be called so
    assert "not “/”" in asked.problem.text()
    asked.reject()
    assert studio.services.workspace.info("better").name == "better"


def test_notes_are_written_and_searched(qtbot, with_runs):
    studio = with_runs
    page = studio.window.pages["runs"].widget
    page.choose(studio.services.workspace.runs()[1].name)
    pick(qtbot, page.more.menu(), page.actions_by_name["note"])
    qtbot.keyClicks(dialog(TextQuestion).line, "good one")
    qtbot.keyClick(dialog(TextQuestion).line, Qt.Key.Key_Return)
    qtbot.keyClicks(page.search, "good one")
    assert cells(page, "Seed") == ["2"]


def test_deleting_asks_and_moves_to_the_bin(qtbot, with_runs):
    studio = with_runs
    page = studio.window.pages["runs"].widget
    name = studio.services.workspace.runs()[1].name
    studio.services.show_run(studio.services.workspace.runs()[0].name)
    studio.services.shown.toggle_compared(studio.services.workspace.run(name))
    studio.window.show_page("runs")
    page.choose(name)
    page.view.setFocus()
    qtbot.keyClick(page.view, Qt.Key.Key_Delete)
    qtbot.mouseClick(dialog(Question).no, LEFT)
    assert name in [run.name for run in studio.services.workspace.runs()]
    qtbot.keyClick(page.view, Qt.Key.Key_Delete)
    qtbot.mouseClick(dialog(Question).yes, LEFT)
    assert name not in [run.name for run in studio.services.workspace.runs()]
    assert (studio.services.workspace.bin_folder / name).is_dir()
    assert studio.window.pages["train"].widget.options.compared == []
    assert page.view.model().rowCount() == 2


def test_keys_mean_the_chosen_run_as_soon_as_the_page_is_turned_to(qtbot, with_runs):
    window = with_runs.window
    window.activateWindow()
    window.show_page("train")
    page = window.pages["train"].widget
    page.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_7, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.page == "runs", timeout=WAIT)  # a button pressed by its key stays down for a moment
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Delete)
    qtbot.mouseClick(dialog(Question).no, LEFT)


def test_headings_are_read_to_the_edge_of_a_small_window(with_runs):
    page = with_runs.window.pages["runs"].widget
    with_runs.window.resize(1280, 800)
    with_runs.window.show_page("runs")
    QApplication.processEvents()
    header = page.view.horizontalHeader()
    for index, title in enumerate(TITLES):
        begins = header.sectionViewportPosition(index)
        if begins < page.view.viewport().width():
            assert header.fontMetrics().horizontalAdvance(title) + 8 <= page.view.viewport().width() - begins, title


def test_what_needs_a_model_waits_for_one(with_runs):
    page = with_runs.window.pages["runs"].widget
    page.choose(with_runs.services.workspace.runs()[0].name)
    assert not any(page.actions_by_name[what].isEnabled() for what in ("resume", "continue", "load", *PARTS))
    assert page.actions_by_name["settings"].isEnabled()


def test_settings_of_a_run_come_into_the_panel(qtbot, with_runs):
    studio = with_runs
    page = studio.window.pages["runs"].widget
    page.choose(next(run.name for run in studio.services.workspace.runs() if run.seed == 2))
    pick(qtbot, page.more.menu(), page.actions_by_name["settings"])
    assert studio.services.document.experiment.env.id == "Acrobot-v1"
    assert studio.services.document.experiment.ppo.lr == 0.02


def test_loading_a_model_takes_its_parts_and_leaves_the_rest(qtbot, trained):
    studio = trained
    page, (run,) = studio.window.pages["runs"].widget, studio.services.workspace.runs()
    studio.services.document.replace(Experiment())
    studio.services.document.set("env.id", "Acrobot-v1")
    studio.services.document.set("ppo.lr", 0.02)
    page.choose(run.name)
    qtbot.mouseClick(page._buttons["load"], LEFT)
    now = studio.services.document.experiment
    assert (now.env.id, now.controller.given["hidden_size"], now.ppo.lr) == ("CartPole-v1", 24, 0.02)
    assert now.start.load_path == run.name
    note = studio.window.panel.start_note
    assert not note.isHidden()
    assert run.name in note.text
    studio.services.document.set("start.patch_load_path", "2026-11-28-an-environment-of-a-long-name-v3-12")
    studio.services.document.set("start.patch", "vm")
    model, patch = note.lines
    studio.window.show_page("train")  # which the panel stands beside
    qtbot.waitUntil(patch.isVisible, timeout=WAIT)
    assert model.seen.endswith(run.name[-5:])
    assert patch.seen.startswith("Vision, memory")
    assert "…" in patch.seen  # it has not all of the room,
    assert patch.seen.endswith("v3-12")  # and runs differ at their ends
    qtbot.mouseClick(note.clear, LEFT)
    assert studio.services.document.experiment.start.load_path is None
    assert note.isHidden()


def test_the_model_that_is_loaded_keeps_its_name_right(qtbot, trained):
    studio, document = trained, trained.services.document
    page, (run,) = studio.window.pages["runs"].widget, studio.services.workspace.runs()
    note, model = studio.window.panel.start_note, studio.services.workspace.resolve_model(run.name)
    page.choose(run.name)
    qtbot.mouseClick(page._buttons["load"], LEFT)
    document.set("start.patch_load_path", str(model))
    document.set("start.patch", "v")
    document.edit(Experiment())
    rename(qtbot, page, "my-best")
    for _ in range(2):
        document.undo()  # what can be had back names it as well
    document.undo()
    start = document.experiment.start
    assert start.load_path == "my-best"
    assert studio.services.workspace.resolve_model(start.load_path) == studio.services.workspace.resolve_model(
        start.patch_load_path
    )
    assert note.text.startswith("Starts from my-best; Vision from ")
    assert "there is no model" not in note.text
    document.set("start.patch_load_path", None)
    page.view.setFocus()
    qtbot.keyClick(page.view, Qt.Key.Key_Delete)
    qtbot.mouseClick(dialog(Question).yes, LEFT)
    assert note.text == "There is no model my-best"
    entry(studio.window.menus["Workspace"], "Restore a deleted run", "my-best").trigger()
    assert note.text == "Starts from my-best"


def rename(qtbot, page, name):
    page.view.setFocus()
    qtbot.keyClick(page.view, Qt.Key.Key_F2)
    asked = dialog(TextQuestion)
    asked.line.selectAll()
    qtbot.keyClicks(asked.line, name)
    qtbot.keyClick(asked.line, Qt.Key.Key_Return)


def test_parts_are_taken_from_a_run(qtbot, trained):
    studio = trained
    page, (run,) = studio.window.pages["runs"].widget, studio.services.workspace.runs()
    studio.services.document.replace(Experiment())
    page.choose(run.name)
    pick(qtbot, page.parts.menu(), page.actions_by_name["patch_c"])
    assert studio.services.document.experiment.start.patch_load_path == run.name
    assert studio.services.document.experiment.start.patch == "c"
    assert studio.services.document.experiment.controller.given["hidden_size"] == 24
    pick(qtbot, page.parts.menu(), page.actions_by_name["patch_v"])
    assert studio.services.document.experiment.start.patch == "vc"
    studio.services.document.set("train.total_steps", 1000)
    studio.services.start("train")  # the engine takes it
    qtbot.waitUntil(lambda: not studio.jobs.running and len(studio.services.workspace.runs()) == 2, timeout=WAIT)
    assert studio.services.workspace.runs()[0].state == "finished"


def test_continuing_trains_a_new_run_from_the_best_model(qtbot, trained):
    studio = trained
    page, (run,) = studio.window.pages["runs"].widget, studio.services.workspace.runs()
    studio.services.document.replace(Experiment())
    page.choose(run.name)
    qtbot.mouseClick(page._buttons["continue"], LEFT)
    qtbot.waitUntil(lambda: not studio.jobs.running and len(studio.services.workspace.runs()) == 2, timeout=WAIT)
    made = next(info for info in studio.services.workspace.runs() if info.name != run.name)
    assert made.state == "finished"
    written = Experiment.from_toml(studio.services.workspace.run(made.name).folder / "experiment.toml")
    assert written.start.load_path == run.name
    assert written.train.total_steps == 2000
    assert written.controller.given["hidden_size"] == 24


def test_a_deleted_run_comes_back_from_the_bin(qtbot, with_runs):
    studio = with_runs
    page, name = studio.window.pages["runs"].widget, studio.services.workspace.runs()[0].name
    studio.window.pages["runs"].controller._deleted(name)
    assert name not in [info.name for info in studio.services.workspace.runs()]
    (menu,) = (a.menu() for a in studio.window.menus["Workspace"].actions() if a.text() == "Restore a deleted run")
    menu.aboutToShow.emit()
    (action,) = menu.actions()
    assert action.text() == name
    action.trigger()
    assert page.chosen.name == name
    menu.aboutToShow.emit()
    assert [a.text() for a in menu.actions()] == ["The bin is empty"]


def entry(menu, *texts):
    """An entry of a menu that fills itself, by the texts on the way to it."""
    for text in texts:
        menu.aboutToShow.emit()
        action = next(action for action in menu.actions() if action.text() == text)
        menu = action.menu()
    return action


def test_shipped_models_are_loaded_and_give_parts(studio):
    page, document = studio.window.pages["runs"].widget, studio.services.document
    document.set("ppo.lr", 0.02)
    entry(page.others, "cartpole-without-velocities", "Load as model").trigger()
    now = document.experiment
    assert (now.start.load_path, now.memory.name, now.ppo.lr) == ("cartpole-without-velocities", "LSTMMemory", 0.02)
    entry(studio.window.menus["Run"], "Start from another model", "cartpole", "Take controller").trigger()
    start = document.experiment.start
    assert (start.patch_load_path, start.patch) == ("cartpole", "c")
    assert document.experiment.controller.name == "DeepDiscreteController"


def test_what_replaces_changed_settings_asks_and_can_be_taken_back(qtbot, with_runs):
    studio, page = with_runs, with_runs.window.pages["runs"].widget
    document, undo = studio.services.document, studio.window.actions_by_name["undo"]
    page.choose(next(run.name for run in studio.services.workspace.runs() if run.seed == 2))
    use = page.actions_by_name["settings"]
    document.replace(Experiment())
    document.set("ppo.lr", 0.123)
    pick(qtbot, page.more.menu(), use)
    dialog(Question).no.click()
    assert document.experiment.ppo.lr == 0.123
    pick(qtbot, page.more.menu(), use)
    qtbot.mouseClick(dialog(Question).yes, LEFT)
    assert (document.experiment.env.id, document.experiment.ppo.lr) == ("Acrobot-v1", 0.02)
    assert undo.isEnabled()
    undo.trigger()
    assert document.experiment.ppo.lr == 0.123
    assert document.edited
    undo.trigger()
    assert document.experiment.ppo.lr == 0.02
    pick(qtbot, page.more.menu(), use)  # nothing was changed: nothing is asked
    assert document.experiment.ppo.lr == 0.02
