"""The Study page: a study is made by clicks, watched, and read; what is shown is what its folder says."""

import contextlib
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QApplication, QPushButton

from ewm_studio.analysis.history import RunHistory
from ewm_studio.jobs.studies.tuned import TUNED
from ewm_studio.settings.study_file import read_study
from ewm_studio.ui.kit.dialogs import Question
from ewm_studio.ui.kit.theme import theme, ui_font
from ewm_studio.ui.page import Activity
from ewm_studio.ui.study.part_picker import LOADING
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.studies import Pace, StudyFolder
from tests.support.geometry import faults
from tests.support.studies import TWO_MEMORIES, written_study
from tests.ui.conftest import WAIT
from tests.ui.study.steps import choose, controller, settled, tick, type_into

ALL = {(f"{memory} + {controller}", seed) for memory in ("none", "LSTM") for controller in ("linear", "deep")
       for seed in range(6)}  # fmt: skip
LEFT = Qt.MouseButton.LeftButton
SHIPPED = Path(__file__).parents[3] / "workspaces" / "which-memory-drives"
SIZES = ((960, 500), (960, 600), (1280, 800), (1920, 1080))


def test_a_study_is_made_by_clicks_and_saved_as_it_is_shown(qtbot, making):
    page = controller(making).page
    assert page.making
    tick(qtbot, page.form.pickers["memory"], "NoMemory")
    tick(qtbot, page.form.pickers["memory"], "last 4 z")
    tick(qtbot, page.form.pickers["memory"], "untrained LSTMMemory")
    tick(qtbot, page.form.pickers["controller"], "LinearController")
    qtbot.mouseClick(page.form.settings.add, LEFT)
    (row,) = page.form.settings.rows
    type_into(qtbot, row.path, "ppo.lr")
    type_into(qtbot, row.values, "0.001, 0.0003")
    type_into(qtbot, page.form.numbers["seeds"].edit, "3")
    type_into(qtbot, page.form.numbers["frames"].edit, "2000")
    qtbot.keyClick(page.form.numbers["episodes"].edit, Qt.Key.Key_Up)
    type_into(qtbot, page.form.name, "memories")
    type_into(qtbot, page.form.question, "Does it remember?")
    settled(qtbot, making)
    assert page._runs.text() == "2 ppo.lr × 3 M × 3 seeds = 18 runs"
    assert page._time.text().startswith("about")
    qtbot.mouseClick(page.save, LEFT)
    file = read_study(making.services.workspace.path / "memories.study.toml")
    assert file.study.title == "Does it remember?"
    assert {cell.options["memory"] for cell in file.cells} == {"NoMemory", "last 4 z", "untrained LSTMMemory"}
    assert (file.study.seeds.reported, file.study.budget.frames, file.study.judge.episodes) == ([0, 1, 2], 2000, 21)
    frozen = [plan.experiment for plan in file.check() if "untrained" in plan.cell.name]
    assert all(e.memory.given["frozen"] and e.controller.name == "LinearController" for e in frozen)
    # Opened again, the form says the same.
    choose(qtbot, page.open, page.open_menu, "New study")
    settled(qtbot, making)
    assert page.form.name.text() != "memories"
    assert not page.form.pickers["memory"].picked
    choose(qtbot, page.open, page.open_menu, "memories")
    settled(qtbot, making)
    assert controller(making).making.draft().study == file.study


def test_parts_that_are_not_known_yet_look_like_loading(qtbot, open_studio):
    studio = open_studio(begin=False)
    qtbot.mouseClick(studio.window._rail_buttons["study"], LEFT)
    picker = controller(studio).page.form.pickers["memory"]
    assert [picker.list.item(n).text() for n in range(picker.list.count())] == [LOADING]
    tick(qtbot, picker, LOADING)
    assert not picker.picked
    studio.begin()
    qtbot.waitUntil(lambda: picker.list.count() > 1, timeout=WAIT)
    assert not picker.list.findItems(LOADING, Qt.MatchFlag.MatchExactly)


def test_where_it_runs_and_whether_it_searches_are_in_the_form(qtbot, making):
    page = controller(making).page
    for name in ("NoMemory", "LSTMMemory"):
        tick(qtbot, page.form.pickers["memory"], name)
    assert not page.form.numbers["trials"].isEnabled()
    qtbot.mouseClick(page.form.search, LEFT)
    type_into(qtbot, page.form.numbers["trials"].edit, "4")
    type_into(qtbot, page.form.numbers["threads"].edit, "2")
    type_into(qtbot, page.form.numbers["on"].edit, "ray://127.0.0.1:10001")
    settled(qtbot, making)
    assert page._runs.text() == "4 trials × 3 seeds, then 2 × 5: at most 22 runs"
    study = controller(making).making.draft().study
    assert (study.search.on, study.search.trials) == (True, 4)
    assert (study.place.threads, study.place.on) == (2, "ray://127.0.0.1:10001")
    type_into(qtbot, page.form.numbers["on"].edit, "nowhere")
    settled(qtbot, making)
    assert "Where" in page._problem.text() or "place.on" in page._problem.text()
    assert not page.start.isEnabled()


def test_a_search_is_watched_as_the_two_cells_that_it_reports(qtbot, open_studio, tmp_path):
    text = TWO_MEMORIES + "[search]\non = true\n"
    workspace = tmp_path / "workspace"
    folder = written_study(workspace, text, waiting=ALL)[1]
    write_text(folder.path / TUNED, "[memory]\nname = 'LSTMMemory'\n")
    studio = open_studio(begin=False)
    qtbot.mouseClick(studio.window._rail_buttons["study"], LEFT)
    qtbot.waitUntil(lambda: controller(studio).watching.idle and not studio.services.background.busy, timeout=WAIT)
    assert controller(studio).page.results.grid.runs.cells == ["base", "tuned"]


def test_what_is_wrong_is_said_and_nothing_can_be_started(qtbot, making):
    page = controller(making).page
    (making.services.workspace.path).mkdir(parents=True, exist_ok=True)
    (making.services.workspace.path / "taken.study.toml").write_text(TWO_MEMORIES)
    cases = [
        (page.form.name, "taken", "taken"),
        (page.form.name, "a/b", "Name"),
        (page.form.numbers["seeds"].edit, "0", "Seeds"),
        (page.form.numbers["frames"].edit, "many", "Frames a run"),
    ]
    for edit, text, words in cases:
        before = edit.text()
        type_into(qtbot, edit, text)
        settled(qtbot, making)
        assert words in page._problem.text()
        assert page._problem.isVisible()
        assert not page.start.isEnabled()
        type_into(qtbot, edit, before) if before else edit.clear()
        settled(qtbot, making)
        assert page.start.isEnabled()
        assert not page._problem.isVisible()


def test_parts_that_do_not_fit_the_base_cannot_be_ticked(qtbot, making):
    page = controller(making).page
    tick(qtbot, page.form.pickers["vision"], "ConvVAE")
    assert not page.form.pickers["vision"].picked
    making.services.document.set("env.pixels", True)
    settled(qtbot, making)
    tick(qtbot, page.form.pickers["vision"], "ConvVAE")
    tick(qtbot, page.form.pickers["vision"], "random V")
    picked = page.form.pickers["vision"].picked
    assert list(picked) == ["ConvVAE", "random V"]
    assert picked["random V"]["vision"]["frozen"] is True


def test_escape_in_a_number_brings_back_what_stood_there(qtbot, making):
    edit = controller(making).page.form.numbers["seeds"].edit
    for typed in ("12x", "7"):
        type_into(qtbot, edit, typed)
        qtbot.keyClick(edit, Qt.Key.Key_Escape)
        assert edit.text() == "5"
        assert edit.property("invalid") != "true"
    type_into(qtbot, edit, "8")
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    type_into(qtbot, edit, "9")
    qtbot.keyClick(edit, Qt.Key.Key_Escape)
    assert edit.text() == "8"


def fill_in(qtbot, studio):
    """Make a study that is in no file; gives what the form says then."""
    form = controller(studio).page.form
    for name in ("LSTMMemory", "MDNRNN"):
        tick(qtbot, form.pickers["memory"], name)
    type_into(qtbot, form.question, "Does a memory help here?")
    type_into(qtbot, form.name, "does-memory-help")
    type_into(qtbot, form.numbers["seeds"].edit, "10")
    type_into(qtbot, form.numbers["frames"].edit, "many")  # what is wrong is work as well
    qtbot.mouseClick(form.settings.add, LEFT)
    type_into(qtbot, form.settings.rows[0].path, "ppo.lr")
    type_into(qtbot, form.settings.rows[0].values, "0.001, ")
    settled(qtbot, studio)
    return form.state()


def test_another_study_takes_the_place_of_one_that_is_in_no_file_only_when_told_to(qtbot, making):
    page, made = controller(making).page, controller(making).making
    assert not made.edited
    filled = fill_in(qtbot, making)
    for entry in ("New study", "Ready-made: cartpole-memories"):
        choose(qtbot, page.open, page.open_menu, entry)
        qtbot.mouseClick(question().no, LEFT)
        assert page.form.state() == filled
    choose(qtbot, page.open, page.open_menu, "New study")
    qtbot.mouseClick(question().yes, LEFT)
    settled(qtbot, making)
    assert page.form.question.text() == ""
    assert not made.edited
    choose(qtbot, page.open, page.open_menu, "Ready-made: cartpole-memories")
    settled(qtbot, making)
    assert page.form.name.text() == "cartpole-memories"
    type_into(qtbot, page.form.question, "Which?")
    settled(qtbot, making)
    qtbot.mouseClick(page.save, LEFT)
    choose(qtbot, page.open, page.open_menu, "New study")  # it is in a file
    assert question() is None
    assert page.form.question.text() == ""


def question():
    return next((w for w in QApplication.topLevelWidgets() if isinstance(w, Question) and w.isVisible()), None)


@pytest.mark.parametrize("study", ["none", "one that was run", "ready-made"])
def test_a_study_that_is_filled_in_outlives_the_window(qtbot, open_studio, tmp_path, study):
    if study == "one that was run":
        written_study(tmp_path / "workspace")
    studio = open_studio()
    qtbot.mouseClick(studio.window._rail_buttons["study"], LEFT)
    page = controller(studio).page
    if study != "none":
        entry = "Ready-made: cartpole-memories" if study == "ready-made" else "New study"
        choose(qtbot, page.open, page.open_menu, entry)
    settled(qtbot, studio)
    if study == "ready-made":
        type_into(qtbot, page.form.numbers["seeds"].edit, "3")
        filled = page.form.state()
    else:
        filled = fill_in(qtbot, studio)
    studio.window.close()
    again = open_studio()
    qtbot.mouseClick(again.window._rail_buttons["study"], LEFT)
    settled(qtbot, again)
    page = controller(again).page
    assert page.making
    assert page.form.state() == filled
    assert controller(again).making.edited
    if study == "ready-made":
        draft = controller(again).making.draft()
        expected = read_study("cartpole-memories").study
        assert draft.study.vary == expected.vary
        assert len(draft.study.seeds.reported) == 3
    elif study == "one that was run":  # which is shown again once the form may go
        choose(qtbot, page.open, page.open_menu, "s")
        qtbot.mouseClick(question().yes, LEFT)
        qtbot.waitUntil(lambda: controller(again).watching.idle and not page.making, timeout=WAIT)
        again.window.close()
        assert not controller(open_studio(begin=False)).page.making


def test_each_workspace_keeps_the_study_that_was_filled_in_there(qtbot, making, tmp_path):
    page, here = controller(making).page, making.services.workspace.path
    type_into(qtbot, page.form.question, "Which?")
    making.workspaces.open(tmp_path / "other")
    assert page.form.question.text() == ""
    making.workspaces.open(here)
    assert page.form.question.text() == "Which?"


def test_the_keyboard_ticks_parts(qtbot, making):
    picker = controller(making).page.form.pickers["memory"]
    picker.list.setFocus()
    qtbot.keyClick(picker.list, Qt.Key.Key_Space)
    qtbot.keyClick(picker.list, Qt.Key.Key_Down)
    qtbot.keyClick(picker.list, Qt.Key.Key_Space)
    assert len(picker.picked) == 2
    qtbot.keyClick(picker.list, Qt.Key.Key_Space)
    assert len(picker.picked) == 1


def test_a_ready_made_study_is_taken_into_the_form(qtbot, making):
    page = controller(making).page
    choose(qtbot, page.open, page.open_menu, "Ready-made: cartpole-memories")
    settled(qtbot, making)
    ready = read_study("cartpole-memories")
    assert page.form.name.text() == "cartpole-memories"
    assert controller(making).making.draft().study == ready.study
    assert page._runs.text() == "6 M × 10 seeds = 60 runs"


def test_the_grid_says_how_every_run_stands(qtbot, watching):
    page = controller(watching).page
    assert not page.making
    grid = page.results.grid.runs
    texts = {
        (cell, seed): grid.index(line, 1 + place).data()
        for line, cell in enumerate(grid.cells)
        for place, seed in enumerate(grid.seeds)
    }
    assert texts[("none + linear", 0)] == "21.5"
    assert texts[("none + linear", 1)] == "failed"
    assert texts[("LSTM + deep", 4)] == "stopped"  # nobody runs it
    assert texts[("LSTM + deep", 5)] == ""
    assert page.go_on.isVisible()
    assert not page.stop.isVisible()
    assert "22 of 24 done" in page._time.text()


def test_tables_and_plots_are_those_of_the_report(qtbot, watching):
    from ewm_studio.jobs.studies.figures import study_figures
    from ewm_studio.jobs.studies.tables import better_table, matrix, scores_table

    results = controller(watching).page.results
    path = watching.services.workspace.path
    file = read_study(path / "s.study.toml")
    figures = study_figures(file, StudyFolder(path, "s"), watching.services.workspace)
    assert results.scores.shown == scores_table(file, figures)
    assert results.matrix.shown == matrix(figures)
    assert results.better.shown == better_table(figures)
    assert results.scores.shown.rows[0][1] == "6 of 6\n1 failed"
    assert [len(plot._series) for plot in (results.by_frames, results.by_minutes, results.profiles)] == [4, 4, 4]
    assert "LSTM + deep" in results.intervals.accessibleDescription()
    before = results.intervals.grab().toImage()
    results.intervals.show_bars(results.intervals._bars[:2], (0, 100))
    assert results.intervals.grab().toImage() != before


def test_a_click_on_a_run_shows_it_among_all_runs(qtbot, watching):
    grid = controller(watching).page.results.grid
    index = grid.runs.index(2, 4)
    grid.scrollTo(index)
    qtbot.mouseClick(grid.viewport(), LEFT, pos=grid.visualRect(index).center())
    assert watching.window.page == "runs"
    chosen = watching.window.pages["runs"].widget.chosen
    assert chosen.name == grid.runs.boxes[2][3].run
    watching.window.show_page("study")
    grid.setCurrentIndex(grid.runs.index(3, 6))  # one that never began
    qtbot.keyClick(grid, Qt.Key.Key_Return)
    assert watching.window.page == "study"


def test_the_report_and_the_files_open_in_the_systems_programs(qtbot, watching, opened):
    page = controller(watching).page
    choose(qtbot, page.report, page.report.menu(), "Open the report")
    qtbot.waitUntil(lambda: len(opened) == 1, timeout=WAIT)
    folder = StudyFolder(watching.services.workspace.path, "s").path
    assert opened[0] == str((folder / "report.html").resolve())
    assert "Which remembers?" in (folder / "report.html").read_text()
    choose(qtbot, page.report, page.report.menu(), "Show the files")
    assert opened[1:] == [str(folder.resolve())]
    assert watching.window.said_label.text() == f"opened {folder}"
    assert not page._problem.isVisible()


def test_where_the_system_opens_nothing_it_is_said_where_the_report_is(qtbot, watching, monkeypatch):
    monkeypatch.setattr("ewm_studio.ui.study.controller.show_outside", lambda path: False)
    page = controller(watching).page
    choose(qtbot, page.report, page.report.menu(), "Open the report")
    qtbot.waitUntil(lambda: page._problem.isVisible(), timeout=WAIT)
    report = StudyFolder(watching.services.workspace.path, "s").path / "report.html"
    assert page._problem.text() == f"This system opened nothing to show it. It is there: {report}"
    assert report.is_file()


def test_one_button_leads_on_every_page(qtbot, watching):
    """The page's own where it has one, else that of training, beside the experiment and while nobody drives."""
    window = watching.window

    def leading():
        buttons = window.findChildren(QPushButton)
        return [made for made in buttons if made.property("role") == "primary" and made.isVisible()]

    for key, button in window._rail_buttons.items():
        qtbot.mouseClick(button, LEFT)
        own = [made for made in leading() if made is not window.bar.train]
        assert len(own) <= 1, key
        assert (window.bar.train in leading()) == (window.pages[key].beside_panel and not own), key
    plots = window.pages["train"].widget
    window.show_page("train")
    plots.history = RunHistory()
    plots.show_nothing(runs=True)
    assert leading() == [plots.empty.action]
    plots.show_history(RunHistory("one"))
    assert leading() == [window.bar.train]
    window.show_activity(Activity("Episode 1", "", None, False, ""))
    assert leading() == []
    window.show_activity(None)
    assert leading() == [window.bar.train]


def test_another_study_begins_with_what_this_one_says(qtbot, watching):
    page = controller(watching).page
    qtbot.mouseClick(page.another, LEFT)
    assert page.making
    draft = controller(watching).making.draft()
    assert draft.name == "s-2"
    assert draft.study == read_study(watching.services.workspace.path / "s.study.toml").study


def test_a_study_whose_file_was_edited_since_says_so_and_is_watched_on(qtbot, watching):
    folder, page = StudyFolder(watching.services.workspace.path, "s"), controller(watching).page
    path = watching.services.workspace.path / "s.study.toml"
    path.write_text(path.read_text().replace("episodes = 4", "episodes = 5"))
    with folder.held():  # as if somebody ran it
        choose(qtbot, page.open, page.open_menu, "s")
        qtbot.waitUntil(lambda: page._problem.isVisible(), timeout=WAIT)
        assert "judge.episodes is 5, but run" in page._problem.text()
        assert controller(watching).watching.running
        record = folder.read("lstm-deep-seed-4")
        record.state = "failed"
        folder.write(record)
        qtbot.waitUntil(lambda: "23 of 24" in page._time.text(), timeout=WAIT)
    assert page._problem.isVisible()


def test_nothing_is_cut_or_overlaps_while_a_study_is_shown(qtbot, watching):
    folder = StudyFolder(watching.services.workspace.path, "s")
    folder.keep_pace(Pace({"lstm-deep-seed-4": 0.4}, 103.0, 1.0))
    with folder.held():  # as if somebody ran it
        controller(watching).watching.look()
        qtbot.waitUntil(lambda: controller(watching).watching.running, timeout=WAIT)
        for mode in ("dark", "light"):
            theme().apply(mode)
            for width, height in SIZES:
                watching.window.resize(width, height)
                with contextlib.suppress(qtbot.TimeoutError):
                    qtbot.waitUntil(lambda: not faults(watching.window), timeout=5000)
                assert faults(watching.window) == [], f"{width}x{height}"
        page = controller(watching).page
        assert page.stop.isVisible()
        assert not page.go_on.isVisible()
        assert page.results.grid.runs.index(3, 5).data() == "40%"
        assert page._time.text() == "22 of 24 done, about 1 min 40 s left"
        assert watching.window.bar._stage.text() == "Study · 22 of 24 runs done"
        folder.keep_pace(Pace({"lstm-deep-seed-4": 0.95}, 9.0, 2.0, {"lstm-deep-seed-4": "plays 50%"}))
        qtbot.waitUntil(lambda: page.results.grid.runs.index(3, 5).data() == "plays 50%", timeout=WAIT)
        assert watching.window.bar.isVisible()
        qtbot.mouseClick(page.stop, LEFT)
        assert folder.stop_asked
        assert not page.stop.isEnabled()
    controller(watching).watching.look()
    qtbot.waitUntil(lambda: not controller(watching).watching.running, timeout=WAIT)
    assert page.go_on.isVisible()


def test_a_study_whose_file_is_damaged_is_said_and_the_form_is_shown(qtbot, open_studio, tmp_path):
    written_study(tmp_path / "workspace")
    (tmp_path / "workspace" / "s.study.toml").write_text("[vary\n")
    studio = open_studio(begin=False)
    studio.window.show_page("study")
    assert controller(studio).page.making
    assert "not a TOML file" in studio.window.pages["train"].widget.log._view.toPlainText()
    assert "not a TOML file" in studio.window.said_label.text()


def test_every_part_of_the_page_has_a_name(qtbot, watching):
    page = controller(watching).page
    page.fill_open(["a"], [], lambda *_: None)
    for button in (page.open, page.another, page.report, page.stop, page.go_on, page.start, page.save):
        assert button.accessibleName()
        assert button.toolTip()
    assert QApplication.activeModalWidget() is None


def test_ten_seeds_and_every_score_have_room(qtbot, open_studio, tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "shipped")
    shutil.rmtree(tmp_path / "shipped" / "studies" / "carracing-memories")  # twelve cells have to scroll
    studio = open_studio(tmp_path / "shipped", begin=False)
    studio.window.show_page("study")
    watching, results = controller(studio).watching, controller(studio).page.results
    qtbot.waitUntil(lambda: watching.idle and results.scores.isVisible(), timeout=WAIT)
    tables, metrics = (results.grid, results.scores, results.better), QFontMetrics(ui_font(12))
    for width, panel in ((960, False), (1280, False), (1280, True)):
        studio.window.resize(width, 800)
        if panel:
            qtbot.mouseClick(studio.window.fold_buttons["panel"], LEFT)
            assert studio.window.panel.isVisible()
        for table in tables:
            heads = table.horizontalHeader()
            qtbot.waitUntil(lambda t=table, h=heads: h.length() <= t.viewport().width(), timeout=WAIT)
            for place in range(table.model().columnCount()):
                words = str(table.model().headerData(place, Qt.Orientation.Horizontal)).split("\n")
                assert heads.sectionSize(place) >= max(map(metrics.horizontalAdvance, words)) + 20, (width, words)
    heads = results.scores.model()
    texts = [heads.headerData(c, Qt.Orientation.Horizontal) for c in range(heads.columnCount())]
    assert "optimality\ngap" in texts


def test_a_long_question_is_read_from_its_beginning(qtbot, making):
    page = controller(making).page
    choose(qtbot, page.open, page.open_menu, "Ready-made: cartpole-memories")
    settled(qtbot, making)
    assert page.form.question.text()
    assert page.form.question.cursorPosition() == 0
