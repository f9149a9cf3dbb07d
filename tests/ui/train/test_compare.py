"""Runs laid over one another: each keeps its color and its words, and runs of several seeds become one."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.analysis.history import REWARD
from ewm_studio.analysis.seeds import band_over
from ewm_studio.analysis.settings_diff import differences
from ewm_studio.settings import Experiment
from ewm_studio.ui.train.differences_dialog import DifferencesDialog

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def compared(open_studio):
    """A studio with four runs: three that differ by their seed alone, then one of another learning rate."""
    studio = open_studio(begin=False)
    names = []
    for seed, lr in ((1, 0.001), (2, 0.001), (3, 0.001), (1, 0.01)):
        experiment = Experiment().with_values(("run.seed", seed), ("ppo.lr", lr), ("vision.name", "IdentityVision"))
        run = studio.services.workspace.create_run("CartPole-v1", "train", experiment.to_toml(), {}, seed)
        for number in range(50):
            run.log_episode(20 * (number + 1), 0.1 * number, float(10 * seed + number), 20)
        run.finish("finished")
        names.append(run.name)
    studio.names = names
    return studio


def legend(studio):
    return studio.window.pages["train"].widget.legend


def lay(studio, name):
    studio.services.shown.toggle_compared(studio.services.workspace.run(name))


def color_of(studio, name):
    """The color that the legend names a run in."""
    entry = next(part for part in legend(studio).text.split("<br>") if f">{name}<" in part)
    return entry.split("color:")[1].split('"')[0]


def drawn(studio):
    """The colors of the lines on the first plot: the shown run's, then the others'."""
    card = studio.window.pages["train"].widget.cards[0]
    card.redraw()
    return [curve.opts["pen"].color().name() for curve in (card.canvas.smooth, *card.overlay.lines)]


def test_a_run_keeps_its_color_and_its_words_whatever_is_done(compared):
    studio, shown = compared, compared.services.shown
    first, second, third, other = studio.names
    shown.group_seeds(False)
    studio.services.show_run(first)
    for name in (second, third, other):
        lay(studio, name)
    colors = {name: color_of(studio, name) for name in studio.names}
    assert len(set(colors.values())) == 4
    assert drawn(studio) == [colors[name] for name in (first, second, third, other)]
    assert "seed 2 · IdentityVision + auto + auto" in legend(studio).text
    lay(studio, second)  # taken away: the others stay as they are
    assert drawn(studio) == [colors[name] for name in (first, third, other)]
    studio.services.show_run(third)  # changes places with the one that was shown
    assert {history.name for history in shown.plots.compared} == {first, other}
    assert drawn(studio)[0] == colors[third]
    assert {name: color_of(studio, name) for name in (first, third, other)} == {
        name: colors[name] for name in (first, third, other)
    }
    renamed = studio.services.workspace.rename_run(first, "renamed")
    shown.follow(first, renamed)
    assert color_of(studio, "renamed") == colors[first]
    lay(studio, second)  # comes back as it was
    assert color_of(studio, second) == colors[second]
    studio.services.workspace.delete_run(third)  # the shown one: another takes its place
    shown.follow(third, None)
    assert shown.history.name in (other, "renamed")
    assert shown.run is not None
    assert third not in legend(studio).text
    assert {name: color_of(studio, name) for name in (second, other)} == {n: colors[n] for n in (second, other)}


def test_the_last_run_on_the_plots_goes_with_its_deletion(compared):
    studio, name = compared, compared.names[0]
    studio.services.show_run(name)
    studio.services.workspace.delete_run(name)
    studio.services.shown.follow(name, None)
    assert studio.services.shown.history.name == ""
    assert studio.window.run_label.text() == ""


def test_runs_that_differ_by_their_seed_alone_become_a_mean_in_a_band(qtbot, compared):
    studio = compared
    first, second, third, other = studio.names
    studio.services.show_run(first)
    for name in (second, third, other):
        lay(studio, name)
    text = legend(studio).text
    assert "CartPole-v1, mean of 3 seeds (1, 2, 3)" in text
    assert "band: lowest to highest seed" in text
    assert f">{other}<" in text
    assert f">{second}<" not in text
    page = studio.window.pages["train"].widget
    page.smoothing.setValue(0)
    card = page.cards[0]
    card.redraw()
    assert len(card.overlay.means) == 1
    _, mean = card.overlay.means[0].getOriginalDataset()
    rewards = [card.history[REWARD].value, *(h[REWARD].value for h in card.options.compared[:2])]
    assert mean[-1] == pytest.approx(np.mean([values[-1] for values in rewards]))
    low, high, _ = card.overlay.bands[0]
    assert (low.getOriginalDataset()[1][-1], high.getOriginalDataset()[1][-1]) == (59.0, 79.0)
    qtbot.mouseClick(legend(studio).seeds, LEFT)
    card.redraw()
    assert card.overlay.means == []
    assert f">{second}<" in legend(studio).text
    qtbot.mouseClick(legend(studio).seeds, LEFT)
    assert "mean of 3 seeds" in legend(studio).text


def test_what_differs_between_the_runs_is_listed(qtbot, compared):
    studio = compared
    first, *_, other = studio.names
    studio.services.show_run(first)
    lay(studio, other)
    qtbot.mouseClick(legend(studio).differences, LEFT)
    shown = next(w for w in QApplication.topLevelWidgets() if isinstance(w, DifferencesDialog) and w.isVisible())
    rows = [[shown.table.item(0, place).text() for place in range(3)]]
    assert shown.table.rowCount() == 1
    assert rows == [["Learning rate (ppo)", "0.001", "0.01"]]
    shown.accept()


def test_settings_of_parts_that_one_lacks_are_told_apart():
    one = Experiment().with_values(("vision.name", "ConvVAE"), ("vision.latent_dim", 7), ("run.seed", 1))
    other = Experiment().with_values(("vision.name", "IdentityVision"), ("run.seed", 2))
    found = {each.path: each.values for each in differences([one, other])}
    assert found == {
        "vision.name": ("ConvVAE", "IdentityVision"),
        "vision.latent_dim": ("7", "–"),
        "run.seed": ("1", "2"),
    }
    assert differences([one, one]) == []


def test_a_band_is_where_all_have_values():
    a = np.array([0.0, 10.0]), np.array([0.0, 10.0])
    b = np.array([2.0, 6.0]), np.array([4.0, 4.0])
    band = band_over([a, b])
    assert (band.x[0], band.x[-1]) == (2.0, 6.0)
    assert band.mean[[0, -1]].tolist() == [3.0, 5.0]
    assert band.low[[0, -1]].tolist() == [2.0, 4.0]
    assert band.high[[0, -1]].tolist() == [4.0, 6.0]
    assert len(band_over([a, (np.empty(0), np.empty(0))]).x) == 0
