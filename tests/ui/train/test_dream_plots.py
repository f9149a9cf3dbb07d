"""Plots of what dreams are worth while a memory is trained."""

import numpy as np

from ewm_studio.analysis.history import RunHistory
from ewm_studio.events import Metrics
from ewm_studio.ui.plots.card import BESIDE, PlotCard
from ewm_studio.ui.plots.quantities import PlotOptions


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
    assert card._unit.text() == "staying: 2.11"
    assert card._unit.toolTip() == BESIDE
    _, dashed = card._beside.getData()
    assert np.asarray(dashed).tolist() == [2.11] * 3
    assert card._beside.isVisible()
    card.show_quantity("memory/total")
    assert not card._beside.isVisible()
    assert card._unit.text() == ""
