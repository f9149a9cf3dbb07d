"""One number a quantity: plots, side panel, list of runs, log and result say the same of a run."""

import json

import numpy as np
import pytest
from PySide6.QtCore import Qt

from ewm_studio.analysis.figures import EPISODES, MEAN_REWARD, figure, taken_over
from ewm_studio.analysis.history import LENGTH, REWARD, RunHistory
from ewm_studio.cli import main
from ewm_studio.events import EpisodeFinished, Finished, Metrics
from ewm_studio.formatting import count, significant
from ewm_studio.ui.plots.axis import QuietAxis
from ewm_studio.ui.plots.card import PlotCard
from ewm_studio.ui.plots.quantities import PlotOptions
from ewm_studio.ui.runs.table import TITLES
from ewm_studio.ui.train.side_panel import SidePanel

WAIT = 120_000
LEFT = Qt.MouseButton.LeftButton


def with_episodes(rewards, job="train"):
    history = RunHistory("run", job)
    for number, reward in enumerate(rewards, 1):
        history.add_episode(EpisodeFinished(10 * number, reward, 10))
    return history


def figures_of(panel):
    """What the side panel says, by its names."""
    return {title.text(): value.text() for title, value in panel._lines if title.text()}


def heads_of(page):
    """What stands in the heads of the plots, by their titles."""
    return {card.title.text(): (card._value.text(), card._unit.text()) for card in page.cards}


def cell(page, title):
    return page.view.model().index(0, TITLES.index(title)).data()


def test_the_first_number_is_that_of_the_last_episodes_and_says_so(qtbot):
    history = with_episodes([0.0] * 200 + [50.0] * 10)
    assert (figure(history, REWARD), taken_over(history, REWARD)) == (50.0, "last 10 episodes")
    assert (figure(history, MEAN_REWARD), taken_over(history, MEAN_REWARD)) == (5.0, "last 100 episodes")
    assert figure(history, EPISODES) == 210
    card = PlotCard(REWARD, PlotOptions())
    qtbot.addWidget(card)
    card.show_history(history)
    card.redraw()
    assert (card._value.text(), card._unit.text()) == ("50", "last 10 episodes")
    panel = SidePanel()
    qtbot.addWidget(panel)
    panel.show_history(history)
    shown = figures_of(panel)
    assert (shown["Reward, last 10"], shown["Reward, last 100"]) == ("50", "5")
    panel.show_history(with_episodes([3.0, 5.0]))
    assert list(figures_of(panel).items())[:2] == [("Reward, last 2", "4"), ("Best episode", "5")]


def test_a_plots_head_is_the_latest_row_whatever_its_line_is_the_mean_of(qtbot):
    history = RunHistory("run", "train")
    for epoch in range(1, 41):
        value = 0.243 if epoch == 40 else -1.02
        history.add_metrics(Metrics(100 * epoch, epoch, float(epoch), {"ppo/explained_variance": value}))
    card = PlotCard("ppo/explained_variance", PlotOptions(smoothing=100))
    qtbot.addWidget(card)
    card.resize(400, 200)
    card.show()
    card.show_history(history)
    card.redraw()
    assert card._value.text() == "0.243"
    assert card.canvas.smooth.getData()[1][-1] < -0.8
    assert "Line: mean of the last 10 rows." in card.title.toolTip()
    panel = SidePanel()
    qtbot.addWidget(panel)
    panel.show_history(history)
    assert figures_of(panel)["Explained variance"] == "0.243"


def test_the_dashed_line_says_what_it_is(qtbot, studio):
    page = studio.window.pages["train"].widget
    run = studio.services.workspace.create_run("CartPole-v1", "train", studio.services.experiment.to_toml(), {}, 0)
    for number in range(3):
        run.log_episode(number, 1.0, 300.0 + 100 * number, 20)
    run.finish("finished")
    studio.services.show_run(run.name)  # it has episodes: as after a restart
    card = page.cards[0]
    card.redraw()
    qtbot.waitUntil(lambda: card.threshold == 475.0, timeout=WAIT)
    card.redraw()
    assert (card._line.isVisible(), card._line.value()) == (True, 475.0)
    assert card._line.label.format == "solved: 475"


def test_the_words_of_the_goal_stand_only_where_its_line_is_seen(qtbot):
    card = PlotCard(REWARD, PlotOptions(smoothing=0))
    qtbot.addWidget(card)
    card.resize(400, 200)
    card.show()
    card.threshold = 475.0
    for rewards, seen in (([20.0, 100.0], False), ([20.0, 500.0], True)):
        card.show_history(with_episodes(rewards))
        card.redraw()
        card.grab()  # the axis is fitted when it is drawn
        assert card._line.label.isVisible() is seen, rewards


@pytest.mark.parametrize(
    ("values", "spacing", "texts"),
    [
        ([-5.0, -2.5, 0.0], 2.5, ["-5.0", "-2.5", "0"]),
        ([15.0, 17.5, 20.0], 2.5, ["15.0", "17.5", "20.0"]),
        ([0.0, 5.0, 10.0], 5.0, ["0", "5", "10"]),
        ([0.25, 0.5], 0.25, ["0.25", "0.50"]),
        ([0.0, 2500.0, 5000.0], 2500.0, ["0", "2.5 k", "5 k"]),
    ],
)
def test_numbers_beside_an_axis_are_those_where_they_stand(qapp, values, spacing, texts):
    assert QuietAxis("left", 3).tickStrings(values, 1.0, spacing) == texts


@pytest.mark.parametrize("smoothing", [0, 100])
def test_a_trained_runs_numbers_agree_everywhere(qtbot, studio, smoothing, capsys):
    window, page = studio.window, studio.window.pages["train"].widget
    page.smoothing.setValue(smoothing)
    results = []
    studio.jobs.events.connect(lambda events: results.extend(e.result for e in events if isinstance(e, Finished)))
    studio.services.document.set("train.total_steps", 4000)
    studio.services.document.set("run.save_freq", 3)  # the best epoch is not a saved one
    qtbot.mouseClick(window.bar.train, LEFT)
    qtbot.waitUntil(lambda: bool(results) and not studio.jobs.running, timeout=WAIT)
    for card in page.cards:
        card.redraw()
    window.pages["train"].controller.side.show_history(studio.services.shown.history)
    (result,), side, heads = results, figures_of(window.pages["train"].side), heads_of(page)
    window.show_page("runs")
    runs = window.pages["runs"].widget
    mean, best = significant(result["mean_reward"]), significant(result["best_mean_reward"])
    over = taken_over(studio.services.shown.history, MEAN_REWARD)
    assert side[f"Reward, {over.removesuffix(' episodes')}"] == mean == cell(runs, "Mean reward")
    assert cell(runs, "Best reward") == best
    assert side["Reward, last 10"] == heads["Episode reward"][0]
    assert heads["Episode reward"][1] == "last 10 episodes"
    assert side["Length, last 10"].split()[0] == heads["Episode length"][0]
    assert side["Explained variance"] == heads["Explained variance"][0]
    assert side["Explained variance"] == significant(result["losses"]["ppo/explained_variance"])
    assert side["Episodes"] == count(result["episodes"])
    assert side["Steps"] == cell(runs, "Steps") == count(result["env_steps"])
    saved = [line.text for line in page.log.lines if "checkpoint at" in line.text and "best" in line.text]
    assert f"(best reward {best})" in saved[0]
    assert any(f"mean reward {mean} of the {over}" in line.text for line in page.log.lines)
    capsys.readouterr()
    main(["runs", "--json", "--workspace", str(studio.services.workspace.path)])
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["mean_reward"], listed["best_reward"]) == (result["mean_reward"], result["best_mean_reward"])


def test_pretraining_counts_the_frames_it_trains_on_everywhere(qtbot, studio):
    results = []
    studio.jobs.events.connect(lambda events: results.extend(e.result for e in events if isinstance(e, Finished)))
    for path, value in (
        ("data.frames", 400),
        ("memory.name", "MDNRNN"),
        ("pretrain.epochs", 2),
        ("env.batch_size", 2),
    ):
        studio.services.document.set(path, value)
    qtbot.waitUntil(studio.window.bar.pretrain.isEnabled, timeout=WAIT)
    qtbot.mouseClick(studio.window.bar.pretrain, LEFT)
    qtbot.waitUntil(lambda: bool(results) and not studio.jobs.running, timeout=WAIT)
    (result,), (info,) = results, studio.services.workspace.runs()
    assert info.steps == result["frames_seen"] > result["env_steps"] > 0
    studio.window.pages["train"].controller.side.show_history(studio.services.shown.history)
    assert figures_of(studio.window.pages["train"].side)["Frames trained on"] == count(info.steps)
    studio.window.show_page("runs")
    assert cell(studio.window.pages["runs"].widget, "Steps") == f"{count(info.steps)} frames"
    log = studio.window.pages["train"].widget.log.lines
    assert any(f"checkpoint at {count(info.steps)} frames trained on" in line.text for line in log)


def test_lengths_are_taken_over_as_many_episodes_as_rewards():
    history = with_episodes(np.arange(30.0))
    assert taken_over(history, LENGTH) == taken_over(history, REWARD)
