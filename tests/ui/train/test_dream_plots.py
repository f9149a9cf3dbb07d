"""Plots of what dreams are worth while a memory is trained."""

import numpy as np

from ewm_studio.analysis.history import RunHistory
from ewm_studio.events import Metrics
from ewm_studio.ui.plots.card import PlotCard
from ewm_studio.ui.plots.quantities import STAYING, PlotOptions
from ewm_studio.ui.train.page import TrainPage
from ewm_studio.ui.train.side_panel import SidePanel


def test_beside_a_dreams_error_stands_that_of_what_stays(qtbot):
    card = PlotCard("memory/dream_error_16", PlotOptions())
    qtbot.addWidget(card)
    card.resize(320, 200)
    card.show()
    history = RunHistory("run", "pretrain")
    for epoch, error in enumerate((1.8, 1.2, 0.8), 1):
        values = {"memory/dream_error_16": error, "memory/stays_error_16": 2.11, "memory/total": 5.0}
        history.add_metrics(Metrics(100 * epoch, epoch, float(epoch), values))
    card.show_history(history)
    card.redraw()
    assert card._unit.text() == "dashed: staying 2.11"
    assert card._unit.toolTip() == STAYING
    _, dashed = card._beside.getData()
    assert np.asarray(dashed).tolist() == [2.11] * 3
    assert card._beside.isVisible()
    card.show_quantity("memory/total")
    assert not card._beside.isVisible()
    assert card._unit.text() == ""


def dreaming() -> RunHistory:
    history = RunHistory("run", "train")
    values = {"dream/worth": 0.25, "dream/real_worth": 0.75, "real/greedy": 526.0, "real/sampled": 570.0}
    history.add_metrics(Metrics(1600, 5, 60.0, values | {"dream/reward": 0.5, "dream/entropy": 2.0}))
    return history


def test_a_run_in_dreams_shows_dream_and_reality_where_ppo_has_its_losses(qtbot):
    page = TrainPage(PlotOptions())
    qtbot.addWidget(page)
    page.show_history(dreaming())
    dreamt, judged = page.cards[2], page.cards[3]
    assert (dreamt.quantity.tag, judged.quantity.tag) == ("dream/worth", "real/greedy")
    for card in (dreamt, judged):
        card.redraw()
    assert (dreamt._unit.text(), judged._unit.text()) == ("dashed: real 0.750", "dashed: sampled 570")
    page.show_history(RunHistory("another", "train"))
    assert [card.quantity.tag for card in page.cards[2:4]] == ["ppo/policy_loss", "ppo/value_loss"]


def test_the_figures_are_those_of_the_learner(qtbot):
    panel = SidePanel()
    qtbot.addWidget(panel)
    panel.show_history(dreaming())
    shown = {title.text(): value.text() for title, value in panel._lines if title.text()}
    assert shown["Judged, greedy"] == "526"
    assert shown["Dreamt reward"] == "0.500 a decision"
    assert "KL divergence" not in shown
