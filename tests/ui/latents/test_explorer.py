"""The latent explorer on really played episodes, with real key and mouse events."""

import shutil

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from ewm_studio.analysis.latent_space import LatentSpace, peaks_of
from ewm_studio.jobs import infer, train
from ewm_studio.ui.kit.drawn import Drawn
from ewm_studio.ui.kit.ramps import ramp, steps_of
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.latents.explorer import LatentExplorer
from ewm_studio.ui.latents.heat_map import heat_map
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment, finish
from tests.ui.vision.test_page import drag
from tests.workspace.test_replays import RACING

LEFT, SHIFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
WAIT = 120_000
KINDS = {
    "CarRacing": RACING,
    "CartPole": {"memory": {"name": "LSTMMemory", "hidden_dim": 8}},
    "NoMemory": {"memory": {"name": "NoMemory"}},
}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A workspace with an evaluation of every kind of model: kind -> its folder's name."""
    folder = tmp_path_factory.mktemp("played") / "workspace"
    workspace, names = Workspace(folder), {}
    for kind, sections in KINDS.items():
        run = finish(train(experiment(**sections), workspace))["run"]
        asked = experiment(
            env=sections.get("env", {}), run={"seed": 5}, infer={"episodes": 3}, start={"load_path": run}
        )
        finish(infer(asked, workspace))
        names[kind] = run
    workspace.close()
    return folder, names


@pytest.fixture
def open_on(qtbot, tmp_path, open_studio, played):
    """Opens a studio on a copy of the workspace, the first episode of a kind of model in the explorer."""

    def make(kind):
        shutil.copytree(played[0], tmp_path / "copy")
        studio = open_studio(tmp_path / "copy", begin=False)
        page = studio.window.pages["replay"].widget
        studio.window.show_page("replay")
        wait(qtbot, studio)
        (evaluation,) = studio.services.workspace.run(played[1][kind]).evaluations()
        studio.window.pages["replay"].controller.watching.show(evaluation.folder)
        wait(qtbot, studio)
        page.player.pause()  # it plays by itself
        page.player.go(0)
        qtbot.mouseClick(page.views._buttons["latents"], LEFT)
        wait(qtbot, studio)
        assert page.explorer.exploration.trace is page.watched.trace
        return studio, page, page.explorer

    return make


def wait(qtbot, studio):
    replay = studio.window.pages["replay"].controller
    qtbot.waitUntil(lambda: replay.watching.idle and replay.latents.idle, timeout=WAIT)


def click(qtbot, widget, at, modifier=NONE):
    qtbot.mouseClick(widget, LEFT, modifier, at.toPoint() if isinstance(at, QPointF) else at)


def apart(explorer, path=0):
    """A decision whose point stands alone, so that a click can only mean it."""
    points = np.concatenate(explorer.plane.points)
    own = explorer.plane.points[path]
    distance = np.square(own[:, None] - points[None]).sum(-1)
    return int(np.sort(distance, axis=1)[:, 1].argmax())


# Without a window


def test_directions_are_the_widest_and_back_is_where_it_came_from():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    widths = np.array([5, 3, 2, 0.5, 0.2, 0.1])
    z = (rng.standard_normal((4000, 6)) * widths) @ basis.T + 7
    space = LatentSpace.of(z.astype(np.float32))
    assert np.allclose(np.abs(space.axes @ basis[:, :3]), np.eye(3), atol=0.05)
    assert np.allclose(space.share, widths[:3] ** 2 / np.square(widths).sum(), atol=0.02)
    assert np.allclose(space.project(z).var(0) / z.var(0).sum(), space.share, atol=1e-6)
    place = np.array([1.5, -4.0])
    moved = space.moved(z[0], place, (0, 2))
    assert np.allclose(space.project(moved)[[0, 2]], place, atol=1e-4)
    assert space.project(moved)[1] == pytest.approx(space.project(z[0])[1], abs=1e-4)
    assert np.allclose((moved - z[0]) @ basis[:, 3:], 0, atol=0.6)  # other directions stay


def test_directions_that_are_not_there_are_zero():
    flat = LatentSpace.of(np.ones((5, 4), np.float32))
    assert np.array_equal(flat.share, np.zeros(3))
    assert np.array_equal(flat.project(np.ones((5, 4))), np.zeros((5, 3)))
    line = LatentSpace.of(np.arange(5, dtype=np.float32)[:, None])
    assert line.share.tolist() == [1, 0, 0]


def test_peaks_are_apart_and_the_greatest_comes_first():
    values = np.full(200, 0.1, np.float32)
    values[[0, 40, 41, 120]] = [0, 3, 2.9, 5]
    assert peaks_of(values)[:2] == (120, 40)
    assert 41 not in peaks_of(values)
    assert peaks_of(np.full(10, np.nan, np.float32)) == ()


@pytest.mark.parametrize("mode", ["dark", "light"])
def test_a_ramp_is_even_to_the_eye(qapp, mode):
    theme().apply(mode)
    shades = ramp("accent").astype(float)
    light = shades @ [0.2126, 0.7152, 0.0722]
    steps = np.diff(light) * (1 if mode == "dark" else -1)
    assert np.all(steps > -1)
    assert abs(light[-1] - light[0]) > 100
    assert steps_of(np.array([0.0, 1.0, np.nan, 9.0]), 0, 1).tolist() == [0, 63, 0, 63]


# The explorer in the window


def test_an_explorer_without_an_episode_teaches(qtbot):
    explorer = LatentExplorer()
    qtbot.addWidget(explorer)
    explorer.show()
    assert explorer.empty_shown
    with qtbot.waitSignal(explorer.evaluate_asked):
        qtbot.mouseClick(explorer.empty.action, LEFT)
    for widget in (explorer.plane, explorer.time):  # nothing to point at is no reason to fail
        click(qtbot, widget, QPoint(30, 30))
        qtbot.keyClick(widget, Qt.Key.Key_Right)


def test_hover_shows_the_frame_of_a_point_and_a_click_jumps_there(qtbot, open_on):
    _, page, explorer = open_on("CarRacing")
    decision = apart(explorer)
    at = explorer.plane.place_of(0, decision)
    qtbot.mouseMove(explorer.plane, at.toPoint())
    qtbot.waitUntil(lambda: explorer.plane.hovered == (0, decision))
    explorer.plane.grab()
    click(qtbot, explorer.plane, at)
    assert page.player.frame == decision * 4
    assert explorer.decision == decision
    trace = page.watched.trace
    assert np.array_equal(explorer.frame_picture.array, trace.frames[decision * 4])
    assert np.array_equal(explorer.reconstruction.array, trace.reconstruction[decision])


def test_the_cursor_is_shared_with_the_player(qtbot, open_on):
    _, page, explorer = open_on("CarRacing")
    page.player.go(41)
    assert explorer.decision == 10
    click(qtbot, explorer.time, QPoint(round(explorer.time.x_of(15)), 40))
    assert page.player.frame == 60
    for key, frame in ((Qt.Key.Key_Right, 64), (Qt.Key.Key_Left, 60), (Qt.Key.Key_Left, 56)):
        qtbot.keyClick(explorer.time, key)
        assert page.player.frame == frame
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_Right)  # elsewhere a frame, as in the player
    assert page.player.frame == 57
    qtbot.mouseClick(page.views._buttons["player"], LEFT)
    page.player.go(8)
    qtbot.mouseClick(page.views._buttons["latents"], LEFT)
    assert explorer.decision == 2


def test_sliders_turn_z_and_come_back(qtbot, open_on):
    _, page, explorer = open_on("CarRacing")
    panel, trace = explorer.panel, page.watched.trace
    assert panel.isVisible()
    page.player.go(20)
    assert np.array_equal(panel.z, trace.z[5])
    qtbot.waitUntil(lambda: np.abs(panel.picture.array.astype(int) - trace.reconstruction[5]).max() <= 1)
    index = int(explorer.exploration.editable.order[0])
    assert index == int(trace.z.var(0).argmax())
    drag(qtbot, panel.sliders[0], 0.9)
    assert panel.z[index] > 1
    qtbot.waitUntil(lambda: np.array_equal(panel.picture.array, panel.editable.decode(panel.z)))
    assert np.array_equal(explorer.plane.turned_z, panel.z)
    qtbot.mouseClick(panel.from_frame, LEFT)
    assert np.array_equal(panel.z, trace.z[5])
    qtbot.waitUntil(lambda: explorer.plane.turned_z is None)


def test_shift_turns_z_to_a_place_of_the_plane(qtbot, open_on):
    _, page, explorer = open_on("CarRacing")
    at = QPoint(explorer.plane.width() // 3, explorer.plane.height() // 3)
    place = explorer.plane._to_plane(QPointF(at))
    click(qtbot, explorer.plane, at, SHIFT)
    assert np.allclose(explorer.exploration.space.project(explorer.panel.z)[:2], place, atol=1e-3)
    assert page.player.frame == 0


def test_arrows_on_a_slider_turn_it_and_leave_the_cursor(qtbot, open_on):
    _, page, explorer = open_on("CarRacing")
    slider = explorer.panel.sliders[0]
    before = slider.value()
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert slider.value() > before
    assert page.player.frame == 0


def test_moments_jump_to_the_peaks_of_the_curve(qtbot, open_on):
    _, page, explorer = open_on("CarRacing")
    peaks = explorer.exploration.peaks
    assert peaks[0] == int(page.watched.trace.surprise.argmax())
    assert explorer.moments.count() == len(peaks)
    item = explorer.moments.item(0)
    qtbot.mouseClick(explorer.moments.viewport(), LEFT, pos=explorer.moments.visualItemRect(item).center())
    assert explorer.decision == peaks[0]
    page.player.go(0)
    qtbot.keyClick(explorer.moments, Qt.Key.Key_Return)
    assert explorer.decision == peaks[0]


def test_all_episodes_lie_in_one_plane_and_a_point_opens_its_own(qtbot, open_on):
    studio, page, explorer = open_on("CarRacing")
    alone = explorer.exploration.space
    qtbot.mouseClick(explorer.overlay, LEFT)
    wait(qtbot, studio)
    shown = explorer.exploration
    assert [path.seed for path in shown.paths] == [5, 6, 7]
    assert not np.array_equal(shown.space.mean, alone.mean)
    assert np.allclose(shown.space.mean, np.concatenate([path.z for path in shown.paths]).mean(0), atol=1e-5)
    explorer.plane.grab()
    decision = apart(explorer, 2)
    click(qtbot, explorer.plane, explorer.plane.place_of(2, decision))
    wait(qtbot, studio)
    assert page.watched.replay.seed == 7
    assert page.table.chosen.seed == 7
    assert explorer.decision == decision
    assert [path.seed for path in explorer.exploration.paths] == [7, 5, 6]
    assert np.array_equal(explorer.exploration.paths[0].z, shown.paths[2].z)
    qtbot.mouseClick(explorer.overlay, LEFT)
    wait(qtbot, studio)
    assert len(explorer.exploration.paths) == 1


def test_the_wheel_zooms_about_the_pointer_and_a_double_click_shows_all(qtbot, open_on):
    _, page, explorer = open_on("CarRacing")
    plane = explorer.plane
    at = QPointF(60, 50)
    under, before = plane._to_plane(at), plane.place_of(0, 3)
    turn = QWheelEvent(
        at, plane.mapToGlobal(at), QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton, NONE,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(plane, turn)
    assert np.allclose(plane._to_plane(at), under)
    assert plane.place_of(0, 3) != before
    qtbot.mousePress(plane, LEFT, pos=QPoint(100, 100))
    qtbot.mouseMove(plane, QPoint(150, 120))
    qtbot.mouseRelease(plane, LEFT, pos=QPoint(150, 120))
    assert page.player.frame == 0  # moved, not picked
    qtbot.mouseDClick(plane, LEFT, pos=QPoint(5, 5))
    assert plane.place_of(0, 3) == before


def test_axes_and_colors_are_chosen_and_said(qtbot, open_on):
    _, _, explorer = open_on("CarRacing")
    qtbot.mouseClick(explorer.pair._buttons["23"], LEFT)
    assert explorer.plane.pair == (1, 2)
    before = explorer.plane.grab().toImage()
    qtbot.mouseClick(explorer.shade._buttons["surprise"], LEFT)
    assert explorer.plane.grab().toImage() != before
    assert explorer._high.text().startswith("≥ ")
    qtbot.mouseClick(explorer.shade._buttons["time"], LEFT)
    assert (explorer._low.text(), explorer._high.text()) == ("start", "end")


def test_the_heat_map_has_the_numbers_that_vary_most_on_top(open_on):
    _, page, explorer = open_on("CarRacing")
    variance = page.watched.trace.z.var(0)
    assert np.all(np.diff(variance[explorer.exploration.order]) <= 0)
    heat = heat_map(explorer.exploration)
    assert heat.shape == (len(variance), len(page.watched.trace.z), 3)
    assert heat[0].astype(float).std() > heat[-1].astype(float).std()


def test_numbers_have_rendered_frames_and_no_sliders(qtbot, open_on):
    _, page, explorer = open_on("CartPole")
    assert not explorer.panel.isVisible()
    assert not explorer._reconstruction_plate.isVisible()
    assert explorer.frame_picture.isVisible()
    decision = apart(explorer)
    click(qtbot, explorer.plane, explorer.plane.place_of(0, decision))
    assert page.player.frame == decision
    click(qtbot, explorer.plane, QPoint(40, 40), SHIFT)  # nothing to turn


def test_a_model_without_a_memory_says_so(qtbot, open_on):
    _, _, explorer = open_on("NoMemory")
    assert not explorer._moments_side.isVisible()
    qtbot.mouseClick(explorer.shade._buttons["surprise"], LEFT)
    assert explorer._low.text() == "memory predicts nothing"
    explorer.time.grab()


def test_a_hover_draws_nothing_anew(qtbot, open_on, monkeypatch):
    _, _, explorer = open_on("CarRacing")
    explorer.plane.grab()
    explorer.time.grab()
    drawn = []
    for kind in (type(explorer.plane), type(explorer.time)):
        monkeypatch.setattr(kind, "draw", lambda self, painter: drawn.append(self))
    for widget in (explorer.plane, explorer.time):
        assert isinstance(widget, Drawn)
        qtbot.mouseMove(widget, QPoint(80, 60))
        widget.grab()
        QApplication.sendEvent(widget, QEvent(QEvent.Type.Leave))
    assert drawn == []
