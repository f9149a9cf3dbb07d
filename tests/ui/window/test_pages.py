"""The pages: pictures, runs, comparison, export."""

import csv

import numpy as np
import pytest
from PySide6.QtCore import Qt

from ewm_studio.analysis.history import REWARD, RunHistory
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.images import difference
from ewm_studio.ui.runs.table import TITLES

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def with_runs(tmp_path, open_studio):
    """A studio on a workspace with two finished runs, as the engine writes them."""
    studio = open_studio(begin=False)
    for seed in (1, 2):
        run = studio.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, seed)
        for n in range(50):
            run.log_episode(20 * (n + 1), n * 0.1, float(seed * n), n + 1)
            run.log_metrics(20 * (n + 1), n + 1, n * 0.1, {"ppo/entropy": 1.0 / (n + 1)})
        run.flush()
        run.finish("finished", best_reward=float(49 * seed))
    return studio


def test_pictures_are_shown_with_their_difference(qtbot, open_studio):
    page = open_studio(begin=False).window.pages["vision"].widget
    assert page.empty_shown
    rng = np.random.default_rng(0)
    original, made = (rng.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    page.show_pictures({"original": original, "reconstruction": made}, 100)
    assert not page.empty_shown
    page.choose(3)
    assert np.array_equal(page.large["original"].array, original[3])
    expected = np.minimum(np.abs(original[3].astype(int) - made[3].astype(int)) * 4, 255)
    assert np.array_equal(page.large["difference"].array, expected)


def test_difference_saturates_and_is_symmetric():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert difference(black, white).max() == 255
    assert np.array_equal(difference(black, white), difference(white, black))


def test_vision_without_reconstruction_still_shows_frames(qtbot, open_studio):
    page = open_studio(begin=False).window.pages["vision"].widget
    page.show_pictures({"original": np.zeros((2, 16, 16, 1), np.uint8)}, 1)
    assert page.large["original"].array.shape == (16, 16, 3)
    assert page.large["reconstruction"].array is None


def test_runs_are_listed_sorted_filtered_and_shown(qtbot, with_runs):
    studio = with_runs
    studio.window.show_page("runs")
    page = studio.window.pages["runs"].widget
    names = [run.name for run in studio.services.workspace.runs()]
    assert page.view.model().rowCount() == 2
    page.view.sortByColumn(TITLES.index("Best reward"), Qt.SortOrder.DescendingOrder)
    assert page.view.model().index(0, TITLES.index("Best reward")).data() == "98"
    qtbot.keyClicks(page.search, names[1])
    assert page.view.model().rowCount() == 1
    page.search.clear()
    page.choose(names[0])
    qtbot.mouseClick(page._buttons["show"], LEFT)
    assert studio.window.page == "train"
    assert studio.services.shown.history.name == names[0]
    assert len(studio.services.shown.history[REWARD]) == 50


def test_runs_are_compared_and_exported(qtbot, with_runs, tmp_path):
    studio = with_runs
    first, second = (run.name for run in studio.services.workspace.runs())
    studio.services.show_run(first)
    studio.services.shown.toggle_compared(studio.services.workspace.run(second))
    page = studio.window.pages["train"].widget
    assert second in page.legend.text
    files = page.export("csv", tmp_path / "out.csv")
    rows = list(csv.DictReader(files[0].open()))
    assert {row["run"] for row in rows} == {first, second}
    assert len(rows) == 100
    for kind in ("png", "svg"):
        (file,) = page.export(kind, tmp_path / f"out.{kind}")
        assert file.stat().st_size > 1000
    studio.services.shown.toggle_compared(studio.services.workspace.run(second))
    assert page.options.compared == []


def test_only_one_plot_is_drawn_at_a_time(qtbot, with_runs):
    studio = with_runs
    studio.services.show_run(studio.services.workspace.runs()[0].name)
    page = studio.window.pages["train"].widget
    qtbot.waitUntil(lambda: all(card.isVisible() for card in page.cards))
    page.mark_all()
    drawn = []
    while page.redraw_one():
        drawn.append(sum(card.dirty for card in page.cards))
    assert drawn == [5, 4, 3, 2, 1, 0]


def test_every_axis_and_the_logarithmic_scale(qtbot, with_runs):
    studio = with_runs
    studio.services.show_run(studio.services.workspace.runs()[0].name)
    page = studio.window.pages["train"].widget
    card = page.cards[4]
    for key, last in (("epoch", 50), ("seconds", 4.9), ("step", 1000)):
        qtbot.mouseClick(page.axis._buttons[key], LEFT)
        card.redraw()
        assert card.canvas.raw.getOriginalDataset()[0][-1] == pytest.approx(last)
    qtbot.mouseClick(page.scale, LEFT)
    card.redraw()
    assert card.canvas.getPlotItem().getViewBox().viewRange()[1][0] < 0  # powers of ten


def test_a_run_that_goes_on_elsewhere_is_read_again(with_runs):
    studio = with_runs
    run = studio.services.workspace.create_run("CartPole-v1", "train", Experiment().to_toml())
    before = RunHistory.load(run)
    run.log_episode(2000, 9.0, 5.0, 5)
    run.flush()
    assert len(RunHistory.load(run)[REWARD]) == len(before[REWARD]) + 1
    run.finish("finished")


def test_the_log_filters_by_level_and_words(qtbot, open_studio):
    log = open_studio(begin=False).window.pages["train"].widget.log
    log.add("one")
    log.add("two <b>", "warning")
    log.add("three", "error")
    assert log._view.toPlainText().splitlines()[0].endswith("three")
    qtbot.mouseClick(log.levels._buttons["warning"], LEFT)
    assert [line.split(" ", 1)[1] for line in log._view.toPlainText().splitlines()] == ["three", "two <b>"]
    qtbot.keyClicks(log.search, "TWO")
    assert log._view.toPlainText().endswith("two <b>")


def test_many_points_are_thinned_to_their_extremes():
    from ewm_studio.ui.plots.card import thinned

    rng = np.random.default_rng(0)
    x, y = np.arange(123_457.0), rng.standard_normal(123_457)
    y[77_777], y[5] = 50.0, -50.0
    few_x, few_y = thinned(x, y)
    assert len(few_x) < 2100
    assert (np.diff(few_x) >= 0).all()
    assert {50.0, -50.0} <= set(few_y)
    assert few_x[0] < 150
    assert few_x[-1] == x[-1]
    assert np.array_equal(thinned(x[:100], y[:100])[1], y[:100])


def test_the_focus_of_what_is_hidden_goes_to_the_page_and_to_no_button(qtbot, open_studio):
    window = open_studio(begin=False).window
    window.activateWindow()
    for inside in (window.panel.search, window.pages["train"].widget.empty.action):
        window.show_page("train")
        inside.setFocus()
        assert window.focusWidget() is inside
        window.show_page("runs")  # which stands without the panel
        assert window.focusWidget() is window.pages["runs"].widget
    window.show_page("train")
    window.panel.search.setFocus()
    window.actions_by_name["panel"].trigger()
    assert not window.columns.panel_open
    assert window.focusWidget() is window.pages["train"].widget


def test_a_job_that_begins_or_ends_leaves_no_ring_on_a_button_nobody_tabbed_to(open_studio):
    window = open_studio(begin=False).window
    bar = window.bar
    bar.train.setFocus()
    bar.show_running("train")
    assert window.focusWidget() is bar
    bar.stop.setFocus()
    bar.show_idle("Finished")
    assert window.focusWidget() is bar
    window.panel.search.setFocus()
    bar.show_running("train")
    assert window.focusWidget() is window.panel.search  # whoever types goes on
