"""Where there is little room: a plot keeps its title, and what is pressed is seen to be."""

import pytest
from PySide6.QtWidgets import QWidget

from ewm_studio.analysis.history import LENGTH, RunHistory
from ewm_studio.events import EpisodeFinished
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.kit.widgets import Elided, button
from ewm_studio.ui.plots.card import PlotCard
from ewm_studio.ui.plots.quantities import PlotOptions
from ewm_studio.ui.window.app import make_app


@pytest.fixture
def dressed(qtbot):
    """The application in its clothes."""
    make_app()
    return qtbot


@pytest.mark.parametrize("width", [240, 260, 400])
def test_a_plots_title_is_whole_and_its_unit_gives_way(dressed, width):
    history = RunHistory("a run")
    for step in range(1, 30):
        history.add_episode(EpisodeFinished(20 * step, 123.4, 97))
    card = PlotCard(LENGTH, PlotOptions())
    dressed.addWidget(card)
    card.show_history(history)
    card.resize(width, 140)
    card.show()
    card.redraw()
    dressed.wait(20)
    assert card._unit.text() == "last 10 episodes"
    assert card.title.width() >= card.title.sizeHint().width()
    assert card._value.width() >= card._value.sizeHint().width()
    assert (card._unit.width() >= card._unit.sizeHint().width()) == (width == 400)
    assert card._unit.geometry().right() <= card.width()


@pytest.mark.parametrize("mode", ["dark", "light"])
def test_a_button_that_is_on_looks_different(dressed, mode):
    theme().apply(mode)
    made = button("Race it")
    made.setCheckable(True)
    dressed.addWidget(made)
    made.show()
    off = made.grab().toImage()
    made.setChecked(True)
    assert made.grab().toImage() != off
    theme().apply("dark")


def test_a_line_that_is_cut_says_itself_whole_unless_it_says_more(dressed):
    line, holder = Elided("a long line of words"), QWidget()
    dressed.addWidget(holder)
    line.setParent(holder)
    line.resize(30, 20)
    line.grab()
    assert line.toolTip() == "a long line of words"
    line.setText("another")
    line.grab()
    assert line.toolTip() == "another"
    line.setToolTip("what it means")
    line.grab()
    assert line.toolTip() == "what it means"
