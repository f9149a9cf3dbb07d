"""The Replay page on really played episodes, with real key and mouse events."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication

from ewm_studio.jobs import infer, train
from ewm_studio.ui.kit.dialogs import FailureDialog
from ewm_studio.ui.plots.lanes import curve
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment, finish
from tests.workspace.test_replays import RACING

LEFT = Qt.MouseButton.LeftButton
WAIT = 120_000


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A workspace with two CarRacing runs and a CartPole run; the last evaluation is of the first CarRacing run."""
    folder = tmp_path_factory.mktemp("played") / "workspace"
    workspace = Workspace(folder)
    runs = [
        finish(train(experiment(**sections), workspace))["run"]
        for sections in (RACING, {**RACING, "run": {"seed": 1}}, {"memory": {"name": "LSTMMemory", "hidden_dim": 8}})
    ]
    for run, episodes in ((runs[2], 3), (runs[0], 2)):
        env = RACING["env"] if run == runs[0] else {}
        asked = experiment(env=env, run={"seed": 5}, infer={"episodes": episodes}, start={"load_path": run})
        finish(infer(asked, workspace))
    workspace.close()
    return folder, runs


@pytest.fixture
def opened(qtbot, tmp_path, open_studio, played):
    """A studio on a copy of the workspace, on the Replay page, the newest evaluation's first episode shown."""
    shutil.copytree(played[0], tmp_path / "copy")
    studio = open_studio(tmp_path / "copy", begin=False)
    studio.window.show_page("replay")
    page = studio.window.pages["replay"].widget
    wait(qtbot, studio)
    assert page.watched is not None
    return studio, page


def wait(qtbot, studio):
    qtbot.waitUntil(lambda: studio.window.pages["replay"].controller.watching.idle, timeout=WAIT)


def test_an_empty_workspace_teaches_and_has_the_button(qtbot, open_studio):
    studio = open_studio(begin=False)
    studio.window.show_page("replay")
    wait(qtbot, studio)
    page = studio.window.pages["replay"].widget
    assert page.empty_shown
    qtbot.mouseClick(page.empty.action, LEFT)  # nothing to play either: one line says so
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, FailureDialog) and w.isVisible())
    assert "no model to play" in dialog._failure.what
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)


def test_the_newest_evaluation_is_shown_with_its_figures(opened, played):
    studio, page = opened
    evaluation = studio.services.workspace.evaluations()[0]
    assert evaluation.run == played[1][0]
    rewards = [e.reward for e in evaluation.episodes()]
    assert page.table.episodes.rowCount() == 2
    assert page._spread.text().startswith(f"{np.mean(rewards):.3g}")
    assert [caption.text() for _, _, caption in page.plates] == ["what happened", "what it saw", "what it expected"]
    assert [lane.name for lane in page.lanes.lanes] == [
        "reward", "value", "entropy", "steer", "gas", "brake", "surprise",
    ]  # fmt: skip
    assert page.lanes.value_of(page.lanes.lanes[0]) == 0
    page.player.go(90)
    assert page.lanes.value_of(page.lanes.lanes[0]) == pytest.approx(rewards[0])


def test_keys_step_and_jump_and_play(qtbot, opened):
    studio, page = opened
    trace = page.watched.trace
    studio.window.activateWindow()
    page.player.slider.setFocus()
    for key, frame in ((Qt.Key.Key_Right, 1), (Qt.Key.Key_Right, 2), (Qt.Key.Key_Left, 1), (Qt.Key.Key_End, 90)):
        qtbot.keyClick(page.player.slider, key)
        assert page.player.frame == frame
        assert np.array_equal(page.plates[0][1].array, trace.frames[frame])
        assert np.array_equal(page.plates[1][1].array, trace.reconstruction[trace.decision_of[frame]])
        assert np.array_equal(page.plates[2][1].array, trace.prediction[trace.decision_of[frame]])
    page.table.setFocus()  # from anywhere on the page
    qtbot.keyClick(page.table, Qt.Key.Key_Home)
    assert page.player.frame == 0
    paused = []
    studio.window.space_pressed.connect(lambda: paused.append(1))
    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    assert page.player.playing
    qtbot.waitUntil(lambda: page.player.frame > 3, timeout=WAIT)
    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    assert not page.player.playing
    assert paused == []  # the job's pause has the same key elsewhere


def test_keys_mean_the_episode_as_soon_as_the_page_is_turned_to(qtbot, opened):
    """Wherever the focus is, as it is on the rail after a click there; a line of text keeps its own keys."""
    studio, page = opened
    window = studio.window
    window.activateWindow()
    paused = []
    window.space_pressed.connect(lambda: paused.append(1))
    for turn in ("key", "click"):
        window.show_page("train")
        window.bar.train.setFocus()
        if turn == "key":
            qtbot.keyClick(window.bar.train, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
        else:
            qtbot.mouseClick(window._rail_buttons["replay"], LEFT)
        qtbot.waitUntil(lambda: window.page == "replay", timeout=WAIT)
        page.player.go(0)
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Right)
        assert page.player.frame == 1
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_End)
        assert page.player.frame == page.player.frames
        page.player.go(0)
        window._rail_buttons["replay"].setFocus()
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Space)
        assert page.player.playing
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Space)
        assert not page.player.playing
    assert paused == []
    window.columns.open_panel()
    search = window.panel.search
    search.setFocus()
    qtbot.keyClicks(search, "lr")
    page.player.go(3)
    qtbot.keyClick(search, Qt.Key.Key_Home)
    qtbot.keyClick(search, Qt.Key.Key_Right)
    assert (search.cursorPosition(), page.player.frame) == (1, 3)
    search.clear()
    window.show_page("train")  # where they mean something else, or nothing
    qtbot.keyClick(window.bar.train, Qt.Key.Key_Right)
    assert page.player.frame == 3


def test_playing_ends_at_the_end_or_begins_again(qtbot, opened):
    _, page = opened
    qtbot.mouseClick(page.player.speed._buttons["4"], LEFT)
    qtbot.mouseClick(page.player.play, LEFT)
    qtbot.waitUntil(lambda: not page.player.playing, timeout=WAIT)
    assert page.player.frame == 90
    qtbot.mouseClick(page.player.loop, LEFT)
    qtbot.mouseClick(page.player.play, LEFT)
    qtbot.waitUntil(lambda: page.player.frame > 45, timeout=WAIT)
    qtbot.waitUntil(lambda: page.player.frame < 45, timeout=WAIT)
    assert page.player.playing
    page.window().show_page("train")
    assert not page.player.playing


def test_a_click_and_a_drag_in_a_lane_jump(qtbot, opened):
    _, page = opened
    lanes = page.lanes
    at = QPoint(round(lanes.x_of(30)), 20)
    qtbot.mousePress(lanes, LEFT, pos=at)
    assert abs(page.player.frame - 30) <= 1
    qtbot.mouseMove(lanes, QPoint(round(lanes.x_of(60)), 60))
    qtbot.mouseRelease(lanes, LEFT, pos=QPoint(round(lanes.x_of(60)), 60))
    assert lanes.frame_at(-100) == 0
    assert lanes.frame_at(10_000) == 90
    before = lanes.grab().toImage()
    page.player.go(10)
    assert lanes.grab().toImage() != before


def test_lanes_are_drawn_once(opened):
    _, page = opened
    page.lanes.grab()
    drawn = page.lanes._drawn.cacheKey()
    for frame in range(0, 90, 7):
        page.player.go(frame)
        page.lanes.grab()
    assert page.lanes._drawn.cacheKey() == drawn


def test_episodes_are_sorted_and_picked(qtbot, opened):
    studio, page = opened
    page.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    best = max(page.table.episodes.episodes, key=lambda e: e.reward)
    rect = page.table.visualRect(page.table.model().index(0, 0))
    qtbot.mouseClick(page.table.viewport(), LEFT, pos=rect.center())
    wait(qtbot, studio)
    assert page.table.chosen == best
    assert page.watched.replay.seed == best.seed


def test_laps_are_told_where_there_are_laps(opened):
    _, page = opened
    assert page._laps.text() == "no lap finished"
    evaluation, (first, second) = page._evaluations[0], page.table.episodes.episodes
    page.show_episodes(evaluation, [replace(first, lap_finished=True), second])
    cells = [page.table.model().index(row, 2).data() for row in range(2)]
    assert cells == [f"✓ {first.frames}", str(second.frames)]
    assert page._laps.text() == "✓ 50% of laps finished"


def test_another_evaluation_of_numbers(qtbot, opened):
    studio, page = opened
    page.choice.setFocus()
    qtbot.keyClick(page.choice, Qt.Key.Key_Down)
    page.choice.activated.emit(page.choice.currentIndex())
    wait(qtbot, studio)
    assert page.watched.replay.env.id == "CartPole-v1"
    assert [plate.isHidden() for plate, _, _ in page.plates] == [False, True, True]
    assert page.table.episodes.rowCount() == 3
    assert page._laps.isHidden()


def test_two_agents_on_one_seed(qtbot, opened, played):
    studio, page = opened
    page.compare_wanted.emit()
    actions = [action for action in page.compare_menu.actions() if action.isEnabled()]
    assert [action.text().split()[0] for action in actions] == [
        played[1][1],
        "carracing",
        "carracing-dream",
    ]  # neither itself nor CartPole
    actions[0].trigger()
    wait(qtbot, studio)
    assert page.rival.replay.seed == page.watched.replay.seed
    assert [caption.text() for _, _, caption in page.plates][:2] == played[1][:2]
    page.player.go(40)
    assert np.array_equal(page.plates[1][1].array, page.rival.trace.frames[40])
    assert [lane.name for lane in page.lanes.lanes][:2] == ["reward", "rival"]
    assert page.lanes.lanes[0].bounds == page.lanes.lanes[1].bounds
    page.compare_wanted.emit()
    page.compare_menu.actions()[0].trigger()
    assert page.rival is None
    assert page.player.frame == 40


def test_what_is_shown_is_exported(qtbot, opened, tmp_path):
    studio, page = opened
    page.player.go(33)
    for kind in ("png", "gif", "mp4"):
        path = tmp_path / f"out.{kind}"
        studio.window.pages["replay"].controller.watching.export(path)
        wait(qtbot, studio)
        assert path.stat().st_size > 1000
        assert str(path) in page.status.text()
    with Image.open(tmp_path / "out.png") as picture:
        shown = np.array(picture)[8 : 8 + 384, 8 : 8 + 384]
    assert np.array_equal(shown[::4, ::4], page.watched.trace.frames[33])


def test_another_export_waits_for_the_one_before_and_both_say_where_they_are(qtbot, opened, tmp_path):
    studio, page = opened
    watching, logged = studio.window.pages["replay"].controller.watching, []
    studio.services.notices.said.connect(lambda text, *_: logged.append(text))
    paths = [tmp_path / f"{name}.gif" for name in ("one", "two", "three")]
    for path in paths:
        watching.export(path)
    assert "2 more to come" in page.status.text()
    page.table.selectRow(1)  # another episode is watched meanwhile
    wait(qtbot, studio)
    assert page.watched.replay.seed == 6
    for path in paths:
        assert path.stat().st_size > 1000
    assert logged == [f"exported {path}" for path in paths]
    assert page.status.text() == f"exported {paths[-1]}"


def test_an_export_that_fails_leaves_the_others_in_the_queue(qtbot, opened, tmp_path):
    studio, _ = opened
    watching, failed = studio.window.pages["replay"].controller.watching, []
    studio.services.notices.failed.disconnect()
    studio.services.notices.failed.connect(lambda failure: failed.append(failure.what))
    (tmp_path / "folder.png").mkdir()
    for name in ("folder.png", "after.png"):
        watching.export(tmp_path / name)
    wait(qtbot, studio)
    assert len(failed) == 1
    assert (tmp_path / "after.png").stat().st_size > 1000


def test_what_cannot_be_watched_is_said_in_one_line(qtbot, opened):
    studio, page = opened
    evaluation = studio.services.workspace.evaluations()[0]
    evaluation.model_path.unlink()
    page.table.selectRow(1)
    wait(qtbot, studio)
    assert page.watched is None
    assert "model.safetensors" in page.words.text()
    assert not page.exports["mp4"].isEnabled()


def test_turning_away_from_an_episode_that_is_being_made(qtbot, opened):
    studio, page = opened
    for row in (1, 0, 1):
        page.table.selectRow(row)
    wait(qtbot, studio)
    assert page.watched.replay.seed == page.table.chosen.seed == 6


def test_evaluate_in_the_window_and_watch(qtbot, open_studio, played, tmp_path):
    shutil.copytree(played[0], tmp_path / "copy")
    studio = open_studio(tmp_path / "copy")
    studio.services.document.set("infer.episodes", 2)
    studio.services.document.set("start.load_path", played[1][2])
    before = len(studio.services.workspace.evaluations())
    qtbot.mouseClick(studio.window.bar.infer, LEFT)
    qtbot.waitUntil(lambda: studio.jobs.running, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    assert len(studio.services.workspace.evaluations()) == before + 1
    qtbot.mouseClick(studio.window.pages["train"].side.watch, LEFT)
    assert studio.window.page == "replay"
    wait(qtbot, studio)
    page = studio.window.pages["replay"].widget
    assert page._evaluations[page.choice.currentIndex()].folder == studio.services.workspace.evaluations()[0].folder
    assert page.watched.replay.env.id == "CartPole-v1"


def test_watch_shows_the_evaluation_whose_result_it_stands_beside_and_plays_it(qtbot, opened, played):
    """Not the one that was watched before, and as often as it is pressed."""
    studio, page = opened
    cartpole = played[1][2]
    assert page.watched.replay.env.id != "CartPole-v1"
    studio.services.show_run(cartpole)
    side = studio.window.pages["train"].side
    qtbot.waitUntil(side.watch.isVisible, timeout=WAIT)
    for _ in range(2):
        qtbot.mouseClick(side.watch, LEFT)
        qtbot.waitUntil(lambda: page.watched is not None and page.watched.name == cartpole, timeout=WAIT)
        qtbot.waitUntil(lambda: page.player.playing, timeout=WAIT)
        qtbot.keyClick(page.player.slider, Qt.Key.Key_Space)
        assert not page.player.playing
        studio.window.show_page("train")


def test_curves_keep_peaks_and_part_where_nothing_is():
    values = np.zeros(10_000)
    values[5_000] = 7.0
    (line,) = curve(values, 300)
    assert len(line) == 600
    assert line[:, 1].max() == 7
    values[2_000:3_000] = np.nan
    assert len(curve(values, 300)) == 2
    assert curve(np.full(5, np.nan), 300) == []
