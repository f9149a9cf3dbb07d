"""Dreams driven in the window by real keys and clicks: begun, branched, gone back in, edited, swapped, kept."""

import contextlib
import math

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QFileDialog

from ewm_studio.data.recordings import Recording
from ewm_studio.dreams.branches import Place
from ewm_studio.dreams.limits import graded
from ewm_studio.ui.dream.branch_tree import words_of
from ewm_studio.ui.kit.dialogs import TextQuestion
from ewm_studio.ui.kit.keys_dialog import KeysDialog, chosen_keys
from tests.support.geometry import faults
from tests.ui.conftest import WAIT

LEFT = Qt.MouseButton.LeftButton
Key = Qt.Key


class Dreaming:
    """The Dream page of a window, and what a person does on it."""

    def __init__(self, qtbot, studio):
        self.qtbot, self.studio = qtbot, studio
        found = studio.window.pages["dream"]
        self.page, self.controller = found.widget, found.controller

    @property
    def standing(self):
        return self.controller.dream.standing

    def until(self, true):
        self.qtbot.waitUntil(true, timeout=WAIT)

    def click(self, widget, at=None):
        self.qtbot.mouseClick(widget, LEFT, pos=at or QPoint())

    def open(self):
        """Turn to the page by the rail and wait until there is something to begin from."""
        self.studio.window.activateWindow()
        self.click(self.studio.window._rail_buttons["dream"])
        self.until(lambda: self.page.start.previewed)

    def begin(self):
        """Dream, and wait until the wheel can be taken."""
        self.click(self.page.dream)
        self.until(lambda: self.standing is not None and self.page.strip.caps.isVisible())

    def drive(self, steps, key=Key.Key_Right):
        """Hold a key until so many steps are there, then rest."""
        self.qtbot.keyPress(self.page.view, key)
        if self.standing.state != "driving":
            self.qtbot.keyClick(self.page.view, Key.Key_Space)
        self.until(lambda: self.standing.steps >= steps or self.standing.state == "ended")
        self.qtbot.keyRelease(self.page.view, key)
        self.rest()

    def rest(self):
        if self.standing.state == "driving":
            self.qtbot.keyClick(self.page.view, Key.Key_Space)
        self.until(lambda: self.standing.state != "driving")
        self.settle()

    def settle(self):
        """Wait until the page shows how the dream stands."""
        self.until(lambda: self.page.branches.tree.branches == self.standing.branches)

    def go(self, branch, step):
        """Click on a step of a branch."""
        tree = self.page.branches.tree
        self.click(tree, QPoint(round(tree.x_of(step)), round(tree.y_of(branch))))
        self.until(lambda: self.standing.place == Place(branch, step))
        self.settle()


@pytest.fixture
def dreaming(qtbot, open_studio, dreams):
    """The page on a dream that waits for its driver."""
    made = Dreaming(qtbot, open_studio(dreams, begin=False))
    made.open()
    made.page.start.track.line.setText("3")
    made.until(lambda: "track 3" in made.page.start._words.text())
    made.begin()
    return made


def auto_repeat(view, kind, key):
    QApplication.sendEvent(view, QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, "", True))


def answer(dialog, text):
    """Write into the question that is open and agree."""
    found = next(w for w in QApplication.topLevelWidgets() if isinstance(w, dialog) and w.isVisible())
    found.line.setText(text)
    found.accept()


# Beginning


def test_from_the_first_start_to_driving_a_shipped_models_dream_in_two_clicks_and_a_key(qtbot, open_studio):
    made = Dreaming(qtbot, open_studio(begin=False))
    made.open()
    assert "comes with the studio" in made.page.strip.model.currentText()
    made.begin()
    assert made.page.view.hasFocus()
    assert made.standing.state == "paused"
    assert made.standing.steps == 0
    qtbot.keyPress(made.page.view, Key.Key_Right)
    made.until(lambda: made.standing.steps > 3)


def test_the_page_begins_with_the_model_that_the_experiment_starts_from(qtbot, open_studio, dreams):
    made = Dreaming(qtbot, open_studio(dreams, begin=False))
    document, starts = made.studio.services.document, made.controller.starts
    run = starts.page.strip
    document.set("start.load_path", "carracing-dream")
    made.open()
    made.until(lambda: starts.idle)
    assert starts.model.name == run.model.currentData() == "carracing-dream"
    other = next(model.name for model in starts.models if not model.shipped)
    starts.choose_model(other)  # what was chosen here stays ...
    for path, name in (
        (None, other),
        ("carracing-dream", "carracing-dream"),
        (other, other),
    ):  # ... until another loads
        made.studio.window.show_page("train")
        document.set("start.load_path", path)
        made.studio.window.show_page("dream")
        starts.refresh()
        made.until(lambda: starts.idle)
        assert starts.model.name == name


def test_the_page_says_how_to_get_a_model_where_none_can_dream(qtbot, open_studio, monkeypatch):
    monkeypatch.setattr("ewm_studio.dreams.dream_models.pretrained_models", list)
    made = Dreaming(qtbot, open_studio(begin=False))
    made.studio.window.show_page("dream")
    made.until(lambda: made.controller.starts.idle)
    assert made.page.empty_shown
    made.click(made.page.empty.action)
    assert made.studio.window.page == "vision"


def test_keys_drive_the_dream_and_reality_goes_beside_it(qtbot, dreaming):
    page = dreaming.page
    before = dreaming.standing.z.copy(), dreaming.standing.real.copy()
    qtbot.keyPress(page.view, Key.Key_Right)
    dreaming.until(lambda: dreaming.standing.steps >= 5)
    assert page.strip.caps.lit == ["right"]
    assert page.view.chips
    assert "Dreaming" in dreaming.studio.window.bar._stage.text()
    assert dreaming.studio.window.bar.progress.property("role") == "dream"
    qtbot.keyRelease(page.view, Key.Key_Right)
    dreaming.rest()
    now = dreaming.standing
    assert not np.array_equal(now.z, before[0])
    assert not np.array_equal(now.real, before[1])
    assert {int(step.action) for step in now.path.steps[: now.path.count]} <= {0, 1}
    assert now.path.steps[1].action == 1
    assert page.real.array is now.real
    assert page.timeline.lanes.frame == now.steps
    assert graded(now.trust) in ("good", "doubt", "bad")
    assert graded(math.nan) == "line"
    assert page.view.parted == (now.parted is not None and now.steps >= now.parted)


@pytest.mark.parametrize("size", [(960, 600), (1280, 800), (1920, 1080)])
def test_nothing_is_cut_while_a_dream_is_driven(qtbot, dreaming, size):
    window = dreaming.studio.window
    window.resize(*size)
    dreaming.drive(3)
    with contextlib.suppress(qtbot.TimeoutError):  # what is wrong still is named below
        qtbot.waitUntil(lambda: not faults(window), timeout=10_000)
    assert faults(window) == []


def test_a_dream_that_has_parted_from_reality_is_red_whatever_the_meter_says():
    assert [graded(trust) for trust in (1.0, 3.0, 9.0)] == [
        "good",
        "doubt",
        "bad",
    ]
    assert {graded(trust, True) for trust in (1.0, math.nan)} == {"bad"}


def test_the_keyboards_own_repeats_are_nothing_new(qtbot, dreaming):
    view, heard = dreaming.page.view, []
    view.key_pressed.connect(lambda key: heard.append(f"+{key}"))
    view.key_released.connect(lambda key: heard.append(f"-{key}"))
    view.commanded.connect(heard.append)
    qtbot.keyPress(view, Key.Key_Left)
    for _ in range(5):
        auto_repeat(view, QEvent.Type.KeyRelease, Key.Key_Left)
        auto_repeat(view, QEvent.Type.KeyPress, Key.Key_Left)
        auto_repeat(view, QEvent.Type.KeyPress, Key.Key_Backspace)
    qtbot.keyRelease(view, Key.Key_Left)
    assert heard == ["+left", "-left"]


def test_focus_lost_rests_and_escape_leaves(qtbot, dreaming):
    page = dreaming.page
    qtbot.keyPress(page.view, Key.Key_Left)
    dreaming.until(lambda: dreaming.standing.steps > 1)
    page.start.track.line.setFocus()
    dreaming.until(lambda: dreaming.standing.state == "paused")
    assert dreaming.standing.held == ()
    for key in (Key.Key_Tab, Key.Key_Backtab):
        dreaming.click(page.view)
        qtbot.keyClick(page.view, key)
        assert page.view.hasFocus()
    qtbot.keyClick(page.view, Key.Key_Escape)
    dreaming.until(lambda: not dreaming.controller.dream.dreaming)
    assert not page.dreaming
    assert page.dream.text() == "Dream"
    assert page.branches.tree.branches == ()


def test_one_step_at_a_time(qtbot, dreaming):
    page = dreaming.page
    for count in (1, 2):
        dreaming.click(page.step)
        dreaming.until(lambda count=count: dreaming.standing.steps == count and dreaming.standing.state == "paused")
    qtbot.keyClick(page.view, Key.Key_Period)
    dreaming.until(lambda: dreaming.standing.steps == 3 and dreaming.standing.state == "paused")


# Going back and other turns


def test_going_back_gives_the_same_frame_and_driving_on_is_a_branch(qtbot, dreaming):
    page = dreaming.page
    dreaming.drive(14)
    far = dreaming.standing.steps
    for button, steps in ((page.rewind, far - 10), (page.back, 0)):
        dreaming.click(button)
        dreaming.until(lambda steps=steps: dreaming.standing.steps == steps)
    dreaming.settle()
    dreaming.go(0, far)
    assert dreaming.standing.z is not None
    z = dreaming.standing.z.copy()
    dreaming.go(0, 4)
    dreaming.go(0, far)
    assert np.array_equal(dreaming.standing.z, z)
    dreaming.go(0, 4)
    dreaming.drive(9, Key.Key_Left)
    branches = dreaming.standing.branches
    assert [(info.parent, info.at) for info in branches] == [(None, 0), (0, 4)]
    assert branches[1].here
    assert "dreamt" in words_of(branches[1])


def test_the_timeline_goes_back_and_on_again(qtbot, dreaming):
    dreaming.drive(12)
    lanes, far = dreaming.page.timeline.lanes, dreaming.standing.steps
    dreaming.until(lambda: lanes.frame == far)
    for step in (3, far - 1):
        dreaming.click(lanes, QPoint(round(lanes.x_of(step)), 6))
        dreaming.until(lambda step=step: dreaming.standing.steps == step and lanes.frame == step)
    assert len(lanes.lanes[0].values) == far + 1


def test_branches_are_named_kept_and_deleted(qtbot, dreaming):
    page = dreaming.page
    dreaming.drive(6)
    dreaming.go(0, 3)
    dreaming.click(page.strip.fork)
    dreaming.until(lambda: len(dreaming.standing.branches) == 2)
    dreaming.drive(6)
    dreaming.click(page.branches.name)
    answer(TextQuestion, "the brave one")
    dreaming.until(lambda: dreaming.standing.branches[1].name == "the brave one")
    dreaming.settle()
    dreaming.click(page.branches.keep)
    dreaming.until(lambda: dreaming.standing.branches[1].kept)
    dreaming.settle()
    dreaming.click(page.branches.delete)
    dreaming.until(lambda: "is kept" in page.strip.said)
    dreaming.click(page.branches.keep)
    dreaming.until(lambda: not dreaming.standing.branches[1].kept)
    dreaming.settle()
    dreaming.click(page.branches.delete)
    dreaming.until(lambda: len(dreaming.standing.branches) == 1)
    assert not page.branches.delete.isEnabled() or dreaming.settle() is None


def test_the_tree_is_walked_by_keys(qtbot, dreaming):
    tree = dreaming.page.branches.tree
    dreaming.drive(6)
    dreaming.go(0, 3)
    dreaming.drive(6, Key.Key_Left)
    assert len(dreaming.standing.branches) == 2
    qtbot.keyClick(tree, Key.Key_Up)
    dreaming.until(lambda: dreaming.standing.place.branch == 0)
    dreaming.settle()
    step = dreaming.standing.steps
    qtbot.keyClick(tree, Key.Key_Left)
    dreaming.until(lambda: dreaming.standing.place == Place(0, step - 1))


# Others at the wheel


def test_the_controller_drives_until_a_key_is_pressed(qtbot, dreaming):
    page = dreaming.page
    dreaming.click(page.strip.driver._buttons["controller"])
    dreaming.until(lambda: dreaming.standing.driver == "controller" and dreaming.standing.steps > 1)
    assert page.view.hasFocus()
    qtbot.keyPress(page.view, Key.Key_Left)
    dreaming.until(lambda: dreaming.standing.driver == "person")
    qtbot.keyRelease(page.view, Key.Key_Left)
    dreaming.until(lambda: page.strip.driver.value() == "person")
    assert not page.strip.driver._buttons["recorded"].isEnabled()  # nothing is recorded after a fresh track


def test_the_controller_drives_the_same_start_beside_the_person(qtbot, dreaming):
    page = dreaming.page
    dreaming.click(page.strip.rival)
    dreaming.until(lambda: page.real.array is not None and page.real.array is dreaming.standing.rival)
    assert page.real.caption == "the same start, driven by the controller"
    assert dreaming.standing.rival_return == 0.0
    dreaming.drive(4)
    assert dreaming.standing.driver == "person"
    assert dreaming.standing.rival_return != 0.0
    assert page.real.chips[1][0] == "controller"
    dreaming.click(page.strip.rival)
    dreaming.until(lambda: page.real.array is not None and page.real.array is dreaming.standing.real)


def test_the_planner_shows_its_plan(qtbot, dreaming):
    dreaming.click(dreaming.page.strip.driver._buttons["planner"])
    dreaming.until(lambda: dreaming.page.view.plan is not None)
    dreaming.rest()


# Futures, latents, other models


def test_a_fan_of_futures_takes_the_place_of_the_lanes(qtbot, dreaming):
    page = dreaming.page
    dreaming.until(lambda: page.next.pictures.count == 7)
    page.strip.fan_menu.actions()[2].trigger()
    dreaming.until(lambda: page.futures.isVisible())
    assert [fan.words for fan in page.futures.fans] == ["left", "right"]
    assert page.futures.pictures.count == 14
    assert not page.timeline.isVisible()
    page.futures.step.setValue(2)
    assert page.futures.spread.frame == 2
    page.futures.closed.emit()
    assert page.timeline.isVisible()


def test_latents_turned_by_hand_begin_one_branch(qtbot, dreaming):
    page = dreaming.page
    dreaming.drive(4)
    dreaming.click(page.strip.edit)
    dreaming.until(lambda: bool(page.edit.sliders))
    before = dreaming.standing.z.copy()
    for slider, value in ((page.edit.sliders[0], 700), (page.edit.sliders[0], -600), (page.edit.sliders[1], 500)):
        slider.setValue(value)
        dreaming.until(lambda: np.allclose(dreaming.standing.z, page.edit.z, atol=1e-6))
    branches = dreaming.standing.branches
    assert len(branches) == 2
    assert branches[1].how.endswith("edited")
    changed = np.flatnonzero(dreaming.standing.z != before)
    assert set(changed) == set(page.edit.editable.order[:2])
    dreaming.click(page.strip.edit)
    dreaming.drive(dreaming.standing.steps + 2)
    assert len(dreaming.standing.branches) == 2


def test_another_models_memory_dreams_on(qtbot, dreaming):
    page, other = dreaming.page, dreaming.controller.starts.models[1].name
    dreaming.drive(3)
    page.strip.swap_menu.aboutToShow.emit()
    next(a for a in page.strip.swap_menu.actions() if a.text() == f"Memory of {other}").trigger()
    dreaming.until(lambda: dreaming.standing.model == other)
    dreaming.settle()
    assert "memory" in dreaming.standing.branches[-1].how
    dreaming.until(lambda: page.strip.model.currentData() == other)


def test_a_model_of_something_else_is_refused_in_a_line(qtbot, dreaming):
    page = dreaming.page
    foreign = next(model for model in dreaming.controller.starts.models if model.shipped)
    before = dreaming.standing.model
    page.strip.model.setCurrentIndex(page.strip.model.findData(foreign.name))
    page.strip.model.activated.emit(page.strip.model.currentIndex())
    dreaming.until(
        lambda: page.strip.said.strip() and "Loading" not in page.strip.said and "Space" not in page.strip.said
    )
    assert "\n" not in page.strip.said
    assert dreaming.standing.model == before
    assert page.strip.model.currentData() == before


def test_the_temperature_is_of_the_next_step(qtbot, dreaming):
    page = dreaming.page
    page.strip.temperature.setValue(0)
    dreaming.until(lambda: dreaming.standing.temperature == 0)
    dreaming.drive(3)
    assert dreaming.standing.path.steps[0].temperature == 0


# Keeping


def test_the_way_is_kept_as_a_recording_that_says_it_was_dreamt(qtbot, dreaming):
    page = dreaming.page
    dreaming.click(page.strip.keep)
    dreaming.until(lambda: "nothing" in page.strip.said)
    dreaming.drive(5)
    with qtbot.waitSignal(page.dream_kept, timeout=WAIT):
        dreaming.click(page.strip.keep)
    recording = Recording(dreaming.studio.services.workspace.recordings_folder / "dreams-CartPole-v1")
    assert recording.meta["source"] == "dream"
    assert recording.episodes[0].length == dreaming.standing.steps


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_a_film_is_made_while_the_dream_goes_on(qtbot, dreaming, tmp_path, monkeypatch, kind):
    path = tmp_path / f"dream.{kind}"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
    dreaming.drive(4)
    next(a for a in dreaming.page.strip.export_menu.actions() if kind.upper() in a.text()).trigger()
    dreaming.until(lambda: "filmed" in dreaming.page.strip.said)
    assert path.stat().st_size > 500
    assert dreaming.controller.keeping.idle


def test_the_whole_tree_is_saved(qtbot, dreaming, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(tmp_path / "kept"))
    dreaming.drive(2)
    dreaming.page.strip.export_menu.actions()[-1].trigger()
    dreaming.until(lambda: "saved in" in dreaming.page.strip.said)
    assert list((tmp_path / "kept").glob("*/tree.dream"))


# From elsewhere


def test_a_replays_frame_is_dreamt_on_from(qtbot, open_studio, dreams):
    made = Dreaming(qtbot, open_studio(dreams, begin=False))
    window = made.studio.window
    made.studio.services.document.set("start.load_path", "carracing-dream")  # whatever else is loaded
    window.show_page("replay")
    replay = window.pages["replay"].widget
    made.until(lambda: replay.watched is not None)
    replay.player.go(5)
    made.click(replay.dream)
    assert window.page == "dream"
    made.until(lambda: made.page.start.source is not None and made.page.start.source.frame == 5)
    made.until(lambda: "frame 5" in made.page.start._words.text())
    assert not made.controller.starts.model.shipped  # the model that played dreams
    made.begin()
    assert "frame 5" in made.standing.words
    made.click(made.page.strip.driver._buttons["recorded"])
    made.until(lambda: made.standing.steps > 1)
    assert made.standing.path.steps[0].driver == "recorded"


def test_a_drive_is_dreamt_on_from_once_it_is_recorded(qtbot, open_studio, dreams):
    made = Dreaming(qtbot, open_studio(dreams, begin=False))
    window = made.studio.window
    for path, value in (("env.id", "CartPole-v1"), ("env.pixels", True), ("env.max_episode_steps", 60)):
        made.studio.services.document.set(path, value)
    window.activateWindow()
    window.show_page("drive")
    drive = window.pages["drive"].widget
    made.click(drive.empty.action)
    made.until(lambda: drive.view.shown is not None and drive.view.shown.state == "paused")
    made.click(drive.dream)
    assert "press Record" in drive.said
    made.click(drive.record)
    qtbot.keyPress(drive.view, Key.Key_Right)
    made.until(lambda: drive.view.shown.episode_recorded > 2)
    made.click(drive.dream)
    made.until(lambda: window.page == "dream" and "recording" in made.page.start._words.text())


def test_a_start_that_cannot_be_is_said_in_a_line(qtbot, dreaming):
    page = dreaming.page
    qtbot.keyClick(page.view, Key.Key_Escape)
    dreaming.until(lambda: not dreaming.controller.dream.dreaming)
    source = page.start.source
    dreaming.click(page.start.kind._buttons["recording"])
    assert page.start.source is None
    dreaming.click(page.dream)
    assert "choose another start" in page.start.said
    dreaming.click(page.start.kind._buttons["random"])
    dreaming.until(lambda: "random" in page.start._words.text())
    dreaming.begin()
    assert dreaming.standing.real is None
    assert "No reality" in page.real.words
    assert source is not None


def test_keys_are_chosen_and_remembered(qtbot, dreaming):
    page = dreaming.page

    def choose():
        dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, KeysDialog) and w.isVisible())
        qtbot.keyClick(dialog.fields["left"], Key.Key_J)
        dialog.accept()

    dreaming.click(page.keys)
    QTimer.singleShot(0, choose)
    dreaming.until(lambda: "j" in dreaming.controller.dream.session.scheme.keys["left"])
    dreaming.studio.window.activateWindow()
    dreaming.until(page.view.hasFocus)
    assert "j" in chosen_keys("CartPole-v1")["left"]


def test_the_closed_picker_has_room_for_the_models_name(qtbot, dreaming):
    page, window = dreaming.page, dreaming.studio.window
    model = page.strip.model
    window.resize(1280, 800)
    assert model.shown_text == model.currentData()
    qtbot.waitUntil(lambda: model.fontMetrics().horizontalAdvance(model.shown_text) <= model.width() - 33, timeout=WAIT)
    model.setFocus()
    qtbot.keyClick(model, Key.Key_Down)
    assert model.shown_text == model.currentData()


def test_where_vision_draws_no_picture_no_box_stands_empty(qtbot, open_studio, dreams):
    page = open_studio(dreams, begin=False).window.pages["dream"].widget
    page.show_models_there(True)
    start, real = page.start, np.full((20, 30, 3), 90, np.uint8)
    boxes = [(start.real, True), (start.seen, True)]  # while nothing is known yet
    assert [(box, box.isVisibleTo(start)) for box, _ in boxes] == boxes
    start.show_preview(real, None, "track 3")
    page.show_preview()
    assert (start.real.isVisibleTo(start), start.seen.isVisibleTo(start)) == (True, False)
    assert start._real_words.text() == "the real frame; V draws no picture"
    assert page.view.image is not None  # that whose numbers it hands on
    assert page.view.caption == "the start; V draws no picture"
    start.show_preview(None, real, "random latents")
    page.show_preview()
    assert (start.real.isVisibleTo(start), start.seen.isVisibleTo(start)) == (False, True)
    assert page.view.caption == "the start, as the model sees it"
    start.say("nothing is there")
    start.show_preview(None, None, "")
    start.say("nothing is there")
    assert not start.real.isVisibleTo(start)
    assert not start.seen.isVisibleTo(start)
