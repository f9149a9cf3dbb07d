"""Small things that are seen: whole texts, numbers under each other, buttons that stay, focus that has a shape."""

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QFontMetrics

from ewm_studio.analysis.history import REWARD, RunHistory
from ewm_studio.dreams.branches import BranchInfo, Place
from ewm_studio.driving.snapshot import Snapshot
from ewm_studio.events import EpisodeFinished
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.dream.branch_tree import BranchTree, words_of
from ewm_studio.ui.drive.page import DrivePage
from ewm_studio.ui.experiment.sections import Section
from ewm_studio.ui.kit.log_view import LogView
from ewm_studio.ui.kit.theme import color, theme, ui_font
from ewm_studio.ui.latents.explorer import CONTENT, LatentExplorer
from ewm_studio.ui.latents.sliders import LatentPanel
from ewm_studio.ui.plots.quantities import PlotOptions
from ewm_studio.ui.runs.page import RunsPage
from ewm_studio.ui.runs.table import COLUMNS, TITLES
from ewm_studio.ui.train.side_panel import SidePanel
from ewm_studio.workspace import Workspace
from tests.support.geometry import faults
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(params=["dark", "light"])
def dressed(qapp, request):
    """In both themes."""
    before = theme().mode
    theme().apply(request.param)
    yield request.param
    theme().apply(before)


def test_the_rail_says_which_page_is_shown_whoever_turned_it(qtbot, open_studio):
    window = open_studio(begin=False).window
    buttons = window._rail_buttons
    qtbot.mouseClick(buttons["drive"], LEFT)
    window.setFocus()
    clicked, left = buttons["drive"].grab().toImage(), buttons["runs"].grab().toImage()
    window.show_page("runs")  # as a page does that leads to another
    window.setFocus()
    assert buttons["runs"].grab().toImage() != left
    assert buttons["drive"].grab().toImage() != clicked
    window.show_page("drive")
    window.setFocus()
    assert buttons["drive"].grab().toImage() == clicked
    assert buttons["runs"].grab().toImage() == left


def test_the_log_has_a_scroll_bar_only_where_lines_are_more_than_its_room(qtbot):
    log = LogView()
    qtbot.addWidget(log)
    log.resize(500, 150)
    log.show()
    log.add("a line that is longer than the log is wide, and therefore goes on in a second one, which is seen whole")
    view = log._view
    assert not view.horizontalScrollBar().isVisible()
    assert view.verticalScrollBar().maximum() == 0
    for number in range(20):
        log.add(f"line {number}")
    assert not view.horizontalScrollBar().isVisible()
    assert view.verticalScrollBar().maximum() > 0


def test_every_state_of_a_run_is_whole_and_numbers_stand_under_each_other(qtbot, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    states = ("finished", "stopped", "failed", "interrupted")
    for state in states:
        workspace.create_run("CartPole-v1", "train", "", {}, 1).finish(state, best_reward=-123456.7)
    page = RunsPage()
    qtbot.addWidget(page)
    page.resize(1000, 400)
    page.show()
    page.show_runs(workspace.runs())
    state = TITLES.index("State")
    assert {page.table.index(line, state).data() for line in range(len(states))} == set(states)
    assert page.view.sizeHintForColumn(state) <= page.view.columnWidth(state)
    metrics = QFontMetrics(ui_font(12))
    assert all(metrics.horizontalAdvance(column.title) + 22 <= column.width for column in COLUMNS)
    sides = {
        title: page.table.index(0, TITLES.index(title)).data(Qt.ItemDataRole.TextAlignmentRole)
        for title in ("Best reward", "Steps", "Time", "Mean reward", "Seed")
    }
    assert set(sides.values()) == {int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)}
    header, wide = page.view.horizontalHeader().viewport(), page.view.columnWidth(0)
    heading = ink(header.grab(QRect(0, 0, wide, header.height() - 2)).toImage(), "panel")
    cell = ink(page.view.viewport().grab(QRect(0, 37, wide, 32)).toImage(), "panel")
    assert abs(heading[0] - cell[0]) <= 1  # a heading stands over what is under it
    workspace.close()


def ink(image, surface):
    """The columns of pixels in which something stands on a surface."""
    ground = color(surface).name()
    lines, columns = range(image.height()), range(image.width())
    return [x for x in columns if any(image.pixelColor(x, y).name() != ground for y in lines)]


def test_the_figures_of_a_plot_stand_at_its_edge_at_every_width(qtbot):
    from ewm_studio.ui.plots.card import PlotCard

    options, history = PlotOptions(), RunHistory("one")
    for episode in range(1, 13):
        history.add_episode(EpisodeFinished(20 * episode, 21.0, 20))
    card = PlotCard(REWARD, options)
    qtbot.addWidget(card)
    card.show()
    card.show_history(history)
    card.redraw()
    seen = set()
    for width in range(240, 420, 6):
        card.resize(width, 160)
        qtbot.wait(1)
        unit = card._unit
        seen.add(unit.seen)
        drawn = unit.mapTo(card, QPoint(unit.fontMetrics().horizontalAdvance(unit.seen), 0)).x()
        assert card.width() - 15 <= drawn <= card.width() - 12, (width, unit.seen)
    assert {"last 10", "last 10 episodes"} <= seen


def test_no_rows_of_dashes_stand_where_there_is_no_run(qtbot):
    side = SidePanel()
    qtbot.addWidget(side)
    side.show()
    side.show_history(RunHistory())
    assert not any(part.isVisible() for line in side._lines for part in line)
    side.show_history(RunHistory("one"))
    assert any(part.isVisible() for line in side._lines for part in line)


def test_the_words_of_a_branch_are_whole_where_there_is_room(qtbot):
    tree = BranchTree()
    qtbot.addWidget(tree)
    tree.resize(900, 60)
    info = BranchInfo(0, None, 0, 40, "", "", True, "recorded", "model", 1.0, -1234.5, -1250.25, True, True)
    tree.show_tree([info], Place(0, 40), "")
    words = QFontMetrics(ui_font(11, 600)).horizontalAdvance("★ " + words_of(info))
    assert words > 190
    assert tree.x_of(40) + words + 14 <= tree.width()
    tree.resize(300, 60)
    assert tree.x_of(40) >= 76 + 40  # the line stays where it is narrow


def test_the_longest_names_of_parts_are_whole_in_the_panel(qtbot, open_studio):
    studio = open_studio(begin=False)
    picker = studio.window.panel.cards["controller"].picker
    for name in ("DeepContinuousController", "DeepDiscreteController", "StochasticController"):
        studio.services.document.set("controller.name", name)
        room, words = picker.width() - 22, picker.fontMetrics()
        assert picker.shown_text == name
        assert min(words.horizontalAdvance(name), words.horizontalAdvance(picker.shorter)) <= room, name
        assert picker.shorter + "Controller" == name


def test_buttons_stay_when_recording_begins_and_rests(qtbot):
    page = DrivePage()
    qtbot.addWidget(page)
    page.resize(900, 500)
    page.show()
    page.show_starting("CartPole-v1")
    places = set()
    for state, recording in (("driving", ""), ("driving", "mine"), ("paused", "mine"), ("ended", "mine")):
        page.show_snapshot(Snapshot(state, recording=recording))
        page.layout().activate()
        qtbot.wait(10)
        buttons = (page.record, page.pause, page.restart, page.keep, page.discard)
        places.add(tuple(button.mapTo(page, QPoint()).x() for button in buttons))
    assert page.record.text() == "● Recording"
    assert len(places) == 1


@pytest.mark.parametrize(("env", "said"), [("CartPole-v1", False), ("CarRacing-v3", True)])
def test_what_takes_long_the_first_time_is_said(qtbot, env, said):
    page = DrivePage()
    qtbot.addWidget(page)
    page.show_starting(env)
    assert page.view.notice.title == f"Making {env}"
    assert ("first time" in page.view.notice.words) is said


def test_focus_on_a_heading_has_a_shape_and_not_a_color_alone(qtbot, dressed):
    section = Section("PPO", [], ExperimentDocument())
    qtbot.addWidget(section)
    section.resize(300, 40)
    section.show()
    section.activateWindow()
    middle = section.header.width() // 2
    edges = []
    for focused in (False, True):
        (section.header if focused else section).setFocus(Qt.FocusReason.TabFocusReason)
        if not focused:
            section.header.clearFocus()
        qtbot.waitUntil(lambda wanted=focused: section.header.hasFocus() == wanted, timeout=WAIT)
        picture = section.header.grab().toImage()
        edges.append([QColor(picture.pixel(middle, y)) for y in (0, picture.height() - 1)])
    assert edges[0] != edges[1]
    assert edges[1] == [color("accent")] * 2  # a ring


def test_the_latents_of_the_evaluation_before_are_gone_while_others_are_laid_out(qtbot):
    explorer = LatentExplorer()
    qtbot.addWidget(explorer)
    explorer.show()
    assert explorer.empty_shown
    explorer.show_loading()
    assert not explorer.empty_shown
    assert explorer.exploration is None
    assert not explorer.plane.isVisible()
    assert not explorer.panel.isVisible()


@pytest.mark.parametrize("surprised", [False, True])
def test_an_episode_in_latent_space_has_room_in_the_smallest_window(qtbot, surprised):
    explorer = LatentExplorer()
    qtbot.addWidget(explorer)
    explorer._stack.setCurrentIndex(CONTENT)
    explorer._surprise.setText("surprise 1.5: squared error of the predicted z over z's variance")
    explorer._surprise.setVisible(surprised)
    explorer._moments_side.setVisible(surprised)
    explorer.show()
    for height in (331, 431):
        explorer.resize(608, height)  # as it is in windows of 960x500 and 960x600
        qtbot.waitUntil(lambda: not faults(explorer), timeout=WAIT)
        assert (explorer.width(), explorer.height()) == (608, height)
        assert explorer.time._map().bottom() < explorer.time._curve().top()


def test_the_buttons_over_the_sliders_of_latents_are_whole(qtbot):
    panel = LatentPanel()
    qtbot.addWidget(panel)
    panel.resize(panel.width(), 500)
    panel.show()
    for button in (panel.from_frame, panel.random):
        qtbot.waitUntil(lambda b=button: b.width() >= b.minimumSizeHint().width(), timeout=WAIT)
    assert faults(panel) == []
